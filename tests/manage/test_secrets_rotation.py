"""Secrets take turns without an outage; how many live beside each other is their system's rule."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import structlog

from mintmark.admin.actor import Actor
from mintmark.admin.administration import LimitReached, Malformed, Missing, PermissionRefused
from mintmark.admin.client_secrets import (
    add_secret,
    list_expiring_secrets,
    place_of_secret,
    remove_secret,
    reset_secret,
    rotate_secret,
)
from mintmark.admin.clients import ClientRequest, register_client
from mintmark.admin.permissions import MANAGEMENT_AUDIENCE, PERMISSIONS
from mintmark.admin.upkeep import KEEP_EXPIRED_SECRETS_S, announce_expiring_secrets, purge_expired
from mintmark.protocol.secret import Secret
from mintmark.store.records import ClientRecord, SecretRecord
from tests.endpoints.deployments import Deployment
from tests.life.world import Caller, Clock, World, open_world, token_request

DAY = 86_400


@pytest_asyncio.fixture
async def world(bare_deployment: Deployment, tmp_path: Path) -> AsyncIterator[World]:
    opened = await open_world(bare_deployment.copy_to(tmp_path).state_dir, Clock())
    yield opened
    await opened.close()


async def works(world: World, caller: Caller) -> bool:
    await world.application.refresh()
    answer = await world.send(token_request(caller, world.dialects[caller.tenant]))
    return answer.status == 200


async def client_of(world: World, caller: Caller) -> ClientRecord:
    found = await world.administration.store.clients.find(caller.tenant, caller.client_id)
    assert found is not None
    return found


async def rotated(world: World, caller: Caller, **named: Any) -> Caller:
    _, secret = await rotate_secret(world.administration, caller.tenant, caller.client_id, **named)
    return caller._replace(client_secret=secret.reveal())


async def test_both_secrets_work_for_the_overlap_and_then_the_new_one_alone(world: World):
    await world.add_tenant("t")
    old = await world.add_client("t")
    new = await rotated(world, old, overlap_s=3600)
    assert (await works(world, old), await works(world, new)) == (True, True)
    world.clock.now += 3599
    assert await works(world, old)
    world.clock.now += 1

    assert (await works(world, old), await works(world, new)) == (False, True)


async def test_the_overlap_is_a_day_when_nobody_says_otherwise(world: World):
    await world.add_tenant("t")
    old = await world.add_client("t")
    await rotated(world, old, label="autumn", expires_at=int(world.clock.now) + 90 * DAY)
    newest, oldest = (await client_of(world, old)).secrets

    assert (newest.label, newest.expires_at) == ("autumn", world.clock.now + 90 * DAY)
    assert oldest.expires_at == world.clock.now + DAY


async def test_without_an_overlap_the_old_secrets_are_gone_at_once(world: World):
    await world.add_tenant("t")
    old = await world.add_client("t")
    await add_secret(world.administration, "t", old.client_id)
    new = await rotated(world, old, overlap_s=0)

    assert (await works(world, old), await works(world, new)) == (False, True)
    assert len((await client_of(world, old)).secrets) == 1


async def test_tokens_go_on_when_a_secret_is_rotated(world: World):
    await world.add_tenant("t")
    caller = await world.add_client("t")
    token = await world.token(caller)
    new = await rotated(world, caller)
    await world.application.refresh()

    assert await world.is_active(new, token)


async def test_five_secrets_live_beside_each_other_and_expired_ones_do_not_count(world: World):
    await world.add_tenant("t")
    caller = await world.add_client("t")
    for _ in range(4):
        await add_secret(world.administration, "t", caller.client_id, expires_at=int(world.clock.now) + 60)
    for verb in (add_secret, rotate_secret):
        with pytest.raises(LimitReached):
            await verb(world.administration, "t", caller.client_id)
    world.clock.now += 60
    await add_secret(world.administration, "t", caller.client_id)
    await rotated(world, caller)

    # Of the four that have expired, the newest three.
    assert len((await client_of(world, caller)).secrets) == 6


async def test_of_secrets_added_at_once_no_more_than_five_live(world: World):
    await world.add_tenant("t")
    caller = await world.add_client("t")
    calls = [add_secret(world.administration, "t", caller.client_id) for _ in range(5)]
    ended = await asyncio.gather(*calls, return_exceptions=True)

    assert sum(isinstance(one, LimitReached) for one in ended) == 1
    assert len((await client_of(world, caller)).secrets) == 5


async def test_a_wso2_client_has_two_secrets_and_keeps_its_newest(world: World):
    await world.add_tenant("t", "wso2")
    old = await world.add_client("t")
    token = await world.token(old)
    newest, secret = await add_secret(world.administration, "t", old.client_id)
    assert await world.token(old._replace(client_secret=secret.reveal())) == token
    with pytest.raises(LimitReached):
        await add_secret(world.administration, "t", old.client_id)
    with pytest.raises(LimitReached):
        await remove_secret(world.administration, "t", old.client_id, newest.secret_id)
    older = (await client_of(world, old)).secrets[1]
    await remove_secret(world.administration, "t", old.client_id, older.secret_id)

    assert not await works(world, old)


@pytest.mark.parametrize(("overlap_s", "lives"), [(3600, True), (0, False)])
async def test_a_wso2_clients_tokens_die_when_its_secrets_are_reset_and_not_when_one_is_added(
    world: World, overlap_s: int, lives: bool
):
    await world.add_tenant("t", "wso2")
    caller = await world.add_client("t")
    token = await world.token(caller)
    new = await rotated(world, caller, overlap_s=overlap_s)
    await world.application.refresh()

    assert await world.is_active(new, token) is lives


async def test_an_expired_secret_of_a_wso2_client_works_for_five_minutes_more(world: World):
    await world.add_tenant("t", "wso2")
    old = await world.add_client("t")
    await rotated(world, old, overlap_s=60)
    world.clock.now += 60 + 299
    assert await works(world, old)
    world.clock.now += 1

    assert not await works(world, old)


async def test_a_oneaccess_client_has_one_secret_and_a_new_one_takes_its_place_at_once(world: World):
    await world.add_tenant("t", "oneaccess")
    old = await world.add_client("t")
    with pytest.raises(LimitReached):
        await add_secret(world.administration, "t", old.client_id)
    with pytest.raises(LimitReached):
        await rotate_secret(world.administration, "t", old.client_id, overlap_s=60)
    new = await rotated(world, old)

    assert (await works(world, old), await works(world, new)) == (False, True)


@pytest.mark.parametrize("named", [{"overlap_s": -1}, {"label": "a\nb"}, {"label": "x" * 256}, {"expires_at": 1}])
async def test_a_rotation_that_makes_no_sense_is_refused(world: World, named: dict[str, Any]):
    await world.add_tenant("t")
    caller = await world.add_client("t")
    with pytest.raises(Malformed):
        await rotate_secret(world.administration, "t", caller.client_id, **named)

    assert len((await client_of(world, caller)).secrets) == 1


async def test_the_last_use_is_written_within_half_a_minute_and_not_with_each_request(world: World):
    await world.add_tenant("t")
    caller = await world.add_client("t")
    recording = world.application._recording
    before = await world.administration.store.deployment.revision()
    for _ in range(3):
        world.clock.now += 1
        await world.token(caller)
    assert (await client_of(world, caller)).secrets[0].last_used_at is None
    await recording.write_last_used()
    found = await client_of(world, caller)

    assert found.secrets[0].last_used_at == world.clock.now
    assert (found.version, await world.administration.store.deployment.revision()) == (1, before)


async def test_many_notes_of_last_use_are_written_before_their_half_minute_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    await world.add_tenant("t")
    callers = [await world.add_client("t", f"client {number}") for number in range(3)]
    monkeypatch.setattr("mintmark.authentication.last_used.MANY", 3)
    written = []
    for caller in callers:
        await world.token(caller)
        await world.application._recording._write_due()
        written.append([(await client_of(world, one)).secrets[0].last_used_at is not None for one in callers])

    assert written == [[False] * 3, [False] * 3, [True] * 3]


async def test_only_the_secret_that_was_sent_has_been_used(world: World):
    await world.add_tenant("t")
    old = await world.add_client("t")
    new = await rotated(world, old)
    assert await works(world, new)
    assert not await works(world, old._replace(client_secret="wrong"))
    await world.application._recording.write_last_used()
    newest, oldest = (await client_of(world, old)).secrets

    assert (newest.last_used_at, oldest.last_used_at) == (world.clock.now, None)


async def test_expired_secrets_are_listed_for_a_while_and_then_removed(world: World):
    await world.add_tenant("t")
    caller = await world.add_client("t")
    await rotated(world, caller, overlap_s=60)
    world.clock.now += 60 + KEEP_EXPIRED_SECRETS_S - 1
    await purge_expired(world.administration)
    assert len((await client_of(world, caller)).secrets) == 2
    world.clock.now += 1
    await purge_expired(world.administration)

    assert len((await client_of(world, caller)).secrets) == 1


async def some_expire(world: World, *tenants: str) -> list[SecretRecord]:
    made = []
    for number, tenant_id in enumerate(tenants):
        await world.add_tenant(tenant_id)
        caller = await world.add_client(tenant_id)
        at = int(world.clock.now) + (number + 1) * DAY
        record, _ = await add_secret(world.administration, tenant_id, caller.client_id, expires_at=at)
        made.append(record)
    return made


async def test_expiring_secrets_are_listed_by_who_may_read_their_clients(world: World):
    made = await some_expire(world, "a", "b", "c")
    one = await list_expiring_secrets(world.administration, within_s=14 * DAY, limit=2)
    rest = await list_expiring_secrets(world.administration, within_s=14 * DAY, after=place_of_secret(one[-1]), limit=2)
    actor = Actor(name="client:b/x", permissions=frozenset({"clients:read"}), tenants=frozenset({"b"}))
    of_b = world.administration.on_behalf_of(actor)

    assert [secret.secret_id for secret in one + rest] == [secret.secret_id for secret in made]
    assert await list_expiring_secrets(world.administration, within_s=DAY // 2, limit=9) == []
    assert [secret.tenant_id for secret in await list_expiring_secrets(of_b, within_s=14 * DAY, limit=9)] == ["b"]
    with pytest.raises(Missing):
        await list_expiring_secrets(of_b, "a", within_s=14 * DAY, limit=9)


async def test_expiring_secrets_are_announced_once_a_day(world: World):
    await some_expire(world, "a", "b")
    with structlog.testing.capture_logs() as log:
        assert await announce_expiring_secrets(world.administration, 14 * DAY) == 2
        assert await announce_expiring_secrets(world.administration, 14 * DAY) == 0
        world.clock.now += DAY
        assert await announce_expiring_secrets(world.administration, 14 * DAY) == 1

    assert [line["event"] for line in log] == ["secret_expires"] * 3
    assert set(log[0]) == {
        "event",
        "log_level",
        "tenant_id",
        "client_id",
        "secret_id",
        "expires_at",
        "last_used_at",
    }


async def make_boss(world: World) -> Caller:
    """A client that may do everything in its tenant."""
    request = ClientRequest(
        tenant_id="t", client_id="boss", scope=tuple(sorted(PERMISSIONS)), audience=(MANAGEMENT_AUDIENCE,)
    )
    made = await register_client(world.administration, request)
    return Caller("t", "boss", made.client_secret.reveal())


@pytest.mark.parametrize("verb", [add_secret, rotate_secret, reset_secret])
async def test_nobody_gets_a_secret_of_who_may_do_more(world: World, verb: Any):
    await world.add_tenant("t")
    await make_boss(world)
    actor = Actor(name="client:t/x", permissions=frozenset({"clients:write"}), tenants=frozenset({"t"}))
    with pytest.raises(PermissionRefused):
        await verb(world.administration.on_behalf_of(actor), "t", "boss")


@pytest.mark.parametrize(
    "audience",
    [
        {"audience": (MANAGEMENT_AUDIENCE,)},
        {"token_rules": {"audience": [MANAGEMENT_AUDIENCE]}},
    ],
    ids=["its own", "by a rule"],
)
async def test_nobody_registers_a_client_that_may_do_more(world: World, audience: dict[str, Any]):
    await world.add_tenant("t")
    actor = Actor(name="client:t/x", permissions=frozenset({"clients:write"}), tenants=frozenset({"t"}))
    of_x = world.administration.on_behalf_of(actor)
    request = ClientRequest(tenant_id="t", scope=("clients:write",), **audience)
    await register_client(of_x, request)
    more = msgspec.structs.replace(request, scope=("tenants:write",), client_secret=Secret("s"))
    with pytest.raises(PermissionRefused):
        await register_client(of_x, more)
