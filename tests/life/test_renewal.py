"""A new token at each request that ends the one before it: for each client, set of scope-tokens and audience."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from mintmark.admin.clients import ClientChanges, change_client
from mintmark.protocol.errors import SettingsError
from tests.life.serving import LifeServer, Worker, read_token
from tests.life.test_reuse import count_rows
from tests.life.world import Caller, World

LIFETIME_S = 600

OPAQUE: dict[str, Any] = {"form": "opaque", "renew_per_request": True}
JWT: dict[str, Any] = {"form": "jwt", "renew_per_request": True}
JWT_OF_REUSE = {"form": "jwt", "reuse": True}
RENEWING = pytest.mark.parametrize("rules", [OPAQUE, JWT, JWT_OF_REUSE], ids=["opaque", "jwt", "jwt-of-reuse"])


async def ask(world: World, caller: Caller, times: int, scope: str | None = None) -> list[str]:
    return [await world.token(caller, scope) for _ in range(times)]


async def tell_active(world: World, caller: Caller, tokens: list[str]) -> list[bool]:
    return [await world.is_active(caller, token) for token in tokens]


@RENEWING
async def test_a_new_token_ends_the_one_before_it_at_once(world: World, rules: dict[str, Any]):
    await world.add_tenant("std", lifetime_s=LIFETIME_S, **rules)
    caller = await world.add_client("std")
    first = await world.issue(caller)
    world.clock.now += 100
    second = await world.issue(caller)
    third = await world.issue(caller)
    tokens = [answer["access_token"] for answer in (first, second, third)]

    assert len(set(tokens)) == 3
    assert [answer["expires_in"] for answer in (first, second, third)] == [LIFETIME_S] * 3
    assert await tell_active(world, caller, tokens) == [False, False, True]


@RENEWING
async def test_another_scope_or_client_or_audience_is_left_alone(world: World, rules: dict[str, Any]):
    await world.add_tenant("std", **rules)
    caller, other = await world.add_client("std"), await world.add_client("std", audience=("https://api.example",))
    tokens = [await world.token(caller, scope) for scope in ("read", "write", "read write")]
    theirs = await world.token(other, "read")

    assert await tell_active(world, caller, tokens) == [True, True, True]
    assert await world.is_active(other, theirs)
    await world.token(caller, "write read")
    assert await tell_active(world, caller, tokens) == [True, True, False]


@RENEWING
async def test_a_renewal_after_a_revocation_or_an_end_by_age_is_like_a_first_one(world: World, rules: dict[str, Any]):
    await world.add_tenant("std", lifetime_s=LIFETIME_S, **rules)
    caller = await world.add_client("std")
    revoked = await world.token(caller)
    await world.revoke(caller, revoked)
    expired = await world.token(caller)
    world.clock.now += LIFETIME_S
    last = await world.token(caller)

    assert await tell_active(world, caller, [revoked, expired, last]) == [False, False, True]


@RENEWING
async def test_after_a_change_of_its_client_a_slot_begins_anew(world: World, rules: dict[str, Any]):
    await world.add_tenant("std", **rules)
    caller = await world.add_client("std")
    before = await world.token(caller)
    await change_client(world.administration, "std", caller.client_id, ClientChanges(client_name="changed"))
    await world.application.refresh()
    tokens = await ask(world, caller, 2)

    assert await tell_active(world, caller, [before, *tokens]) == [False, False, True]


async def test_a_jwt_renewed_without_revoking_leaves_the_one_before_it(world: World):
    await world.add_tenant("std", renew_without_revoking=True, **JWT)
    caller = await world.add_client("std")
    tokens = await ask(world, caller, 3)

    assert len(set(tokens)) == 3
    assert await tell_active(world, caller, tokens) == [True, True, True]


async def test_an_opaque_token_is_renewed_whatever_is_said_of_jwts(world: World):
    await world.add_tenant("std", renew_without_revoking=True, **OPAQUE)
    caller = await world.add_client("std")

    assert await tell_active(world, caller, await ask(world, caller, 2)) == [False, True]


async def test_renewal_goes_before_reuse(world: World):
    await world.add_tenant("w", "wso2", renew_per_request=True)
    caller = await world.add_client("w")

    assert await tell_active(world, caller, await ask(world, caller, 2)) == [False, True]


async def test_a_wso2_tenant_with_jwts_renews_them(world: World):
    await world.add_tenant("w", "wso2", form="jwt")
    caller = await world.add_client("w")

    assert await tell_active(world, caller, await ask(world, caller, 2)) == [False, True]


async def test_a_client_may_renew_where_its_tenant_does_not(world: World):
    await world.add_tenant("std")
    caller, other = (
        await world.add_client("std", token_rules={"renew_per_request": True}),
        await world.add_client("std"),
    )

    assert await tell_active(world, caller, await ask(world, caller, 2)) == [False, True]
    assert await tell_active(world, other, await ask(world, other, 2)) == [True, True]


async def test_a_renewed_token_may_come_with_an_id_token(world: World):
    await world.add_tenant("one", "oneaccess", renew_per_request=True)
    caller = await world.add_client("one")
    answers = [await world.issue(caller) for _ in range(2)]

    assert len({answer["id_token"] for answer in answers}) == 2
    assert [await world.is_active(caller, answer["access_token"]) for answer in answers] == [False, True]


async def test_renewal_is_refused_where_a_refresh_token_goes_with_the_token(world: World):
    with pytest.raises(SettingsError, match="renew_per_request: not where a refresh token"):
        await world.add_tenant("omada", "omada", renew_per_request=True)


@pytest.mark.parametrize("form", ["opaque", "jwt"])
def test_of_parallel_requests_to_two_processes_each_gets_a_token_and_one_lives(pair: LifeServer, form: str):
    tenant = f"renewed-{form}"
    pair.add_tenant(tenant, form=form, renew_per_request=True)
    workers = [worker for _ in range(3) for worker in pair.connect()]
    with ThreadPoolExecutor(len(workers)) as pool:
        for _ in range(6):
            caller = pair.add_client(tenant)
            gate = Barrier(len(workers))
            asked = pool.map(lambda worker, caller=caller, gate=gate: ask_thrice(worker, caller, gate), workers)
            tokens = [token for several in asked for token in several]
            assert len(set(tokens)) == 3 * len(workers)
            for worker in workers[:2]:
                assert sum(worker.is_active(caller, token) for token in tokens) == 1
            assert count_rows(pair.state_dir, "token", caller) == (1 if form == "opaque" else 0)
            assert count_rows(pair.state_dir, "jwt_slot", caller) == (0 if form == "opaque" else 1)


def ask_thrice(worker: Worker, caller: Caller, gate: Barrier) -> list[str]:
    gate.wait()
    return [read_token(worker.issue(caller)) for _ in range(3)]
