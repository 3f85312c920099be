"""A live token handed out again, as a tenant's rule: one for each client, set of scope-tokens and audience."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import pytest_asyncio

from mintmark.admin.client_secrets import reset_secret
from mintmark.admin.clients import ClientChanges, change_client, disable_client, remove_client
from mintmark.admin.tenants import invalidate_tokens, suspend_tenant
from tests.life.serving import LifeServer, Worker, read_token
from tests.life.world import Caller, World

LIFETIME_S = 600


@pytest_asyncio.fixture
async def reusing(world: World) -> World:
    """`mintmark tenant create std --set reuse=true --set form=opaque`."""
    await world.add_tenant("std", form="opaque", reuse=True, lifetime_s=LIFETIME_S)
    return world


async def test_the_live_token_is_handed_out_again_with_the_time_that_is_left(reusing: World):
    caller = await reusing.add_client("std")
    first = await reusing.issue(caller)
    reusing.clock.now += 100.9
    second = await reusing.issue(caller)

    assert second["access_token"] == first["access_token"]
    assert (first["expires_in"], second["expires_in"]) == (LIFETIME_S, LIFETIME_S - 100)
    assert second["scope"] == first["scope"] == "read write"
    assert (await reusing.introspect(caller, second["access_token"]))["iat"] == int(reusing.clock.now) - 100


async def test_scope_in_another_order_is_the_same_scope(reusing: World):
    caller = await reusing.add_client("std")

    assert len({await reusing.token(caller, scope) for scope in ("read write", "write read")}) == 1


async def test_another_scope_or_client_or_audience_has_a_token_of_its_own(reusing: World):
    caller, other = await reusing.add_client("std"), await reusing.add_client("std")
    tokens = {await reusing.token(caller, scope) for scope in ("read write", "read", "write")}
    tokens.add(await reusing.token(other))
    await change_client(
        reusing.administration, "std", caller.client_id, ClientChanges(audience=("https://api.example",))
    )
    await reusing.application.refresh()
    tokens.add(await reusing.token(caller))

    assert len(tokens) == 5


@pytest.mark.parametrize(("age_s", "again"), [(LIFETIME_S - 2, True), (LIFETIME_S - 1, False), (LIFETIME_S, False)])
async def test_a_token_with_a_second_to_live_is_not_handed_out_again(reusing: World, age_s: int, again: bool):
    caller = await reusing.add_client("std")
    token = await reusing.token(caller)
    reusing.clock.now += age_s
    fresh = await reusing.issue(caller)

    assert (fresh["access_token"] == token) is again
    assert fresh["expires_in"] == (LIFETIME_S - age_s if again else LIFETIME_S)


async def change_and_change_back(world: World, caller: Caller) -> None:
    for scope in (("read",), ("read", "write")):
        await change_client(world.administration, "std", caller.client_id, ClientChanges(scope=scope))


async def disable_and_enable(world: World, caller: Caller) -> None:
    for disabled in (True, False):
        await disable_client(world.administration, "std", caller.client_id, disabled=disabled)


async def register_again(world: World, caller: Caller) -> None:
    await remove_client(world.administration, "std", caller.client_id)
    await world.add_client("std", caller.client_id, client_secret=caller.client_secret)


async def invalidate(world: World, caller: Caller) -> None:
    await invalidate_tokens(world.administration, "std")


async def suspend_and_resume(world: World, caller: Caller) -> None:
    for suspended in (True, False):
        await suspend_tenant(world.administration, "std", suspended=suspended)


@pytest.mark.parametrize(
    "bump", [change_and_change_back, disable_and_enable, register_again, invalidate, suspend_and_resume]
)
async def test_after_a_bump_the_slot_is_never_handed_out_again(reusing: World, bump):
    caller = await reusing.add_client("std")
    old = await reusing.token(caller)
    await bump(reusing, caller)
    await reusing.application.refresh()
    fresh = await reusing.token(caller)

    assert fresh != old
    assert await reusing.is_active(caller, fresh)
    assert not await reusing.is_active(caller, old)
    assert await reusing.token(caller) == fresh


async def test_after_a_reset_secret_wso2_hands_out_a_new_token_and_keeps_to_it(world: World):
    await world.add_tenant("w", "wso2")
    caller = await world.add_client("w")
    old = await world.token(caller)
    secret = await reset_secret(world.administration, "w", caller.client_id)
    await world.application.refresh()
    renewed = caller._replace(client_secret=secret.reveal())
    fresh = await world.token(renewed)

    assert fresh != old
    assert await world.is_active(renewed, fresh)
    assert await world.token(renewed) == fresh


def test_of_parallel_requests_to_two_processes_exactly_one_mints(pair: LifeServer):
    pair.add_tenant("reuse", form="opaque", reuse=True)
    workers = [worker for _ in range(3) for worker in pair.connect()]
    with ThreadPoolExecutor(len(workers)) as pool:
        for _ in range(8):
            caller = pair.add_client("reuse")
            gate = Barrier(len(workers))
            tokens = set(pool.map(lambda worker, caller=caller, gate=gate: ask(worker, caller, gate), workers))
            assert len(tokens) == 1
            assert count_rows(pair.state_dir, "token", caller) == 1
            assert {worker.is_active(caller, *tokens) for worker in workers[:2]} == {True}


def ask(worker: Worker, caller: Caller, gate: Barrier) -> str:
    gate.wait()
    return read_token(worker.issue(caller))


def count_rows(state_dir: Path, table: str, caller: Caller) -> int:
    connection = sqlite3.connect(f"file:{state_dir / 'mintmark.db'}?mode=ro", uri=True)
    try:
        sql = f"SELECT count(*) FROM {table} WHERE client_id = ?"
        count: int = connection.execute(sql, (caller.client_id,)).fetchone()[0]
    finally:
        connection.close()
    return count
