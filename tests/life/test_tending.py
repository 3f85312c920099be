"""Upkeep, first starts and changes where something else goes wrong or happens at the same time."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import pytest

from mintmark.admin.client_secrets import reset_secret
from mintmark.admin.clients import ClientChanges, change_client, disable_client
from mintmark.admin.deployment import initialize, open_deployment
from mintmark.admin.tenants import suspend_tenant
from mintmark.admin.upkeep import KEEP_EXPIRED_S, KeySchedule, purge_expired, tend_keys
from mintmark.authentication.master_key import create_master_key
from mintmark.protocol.errors import SettingsError
from mintmark.settings import load_settings
from mintmark.store.schema import migrate
from mintmark.store.sql_store import SqlStore
from tests.life.world import World, copy_state

DAY_S = 86_400
SCHEDULE = KeySchedule(lifetime_s=90 * DAY_S, announce_s=2 * DAY_S)


async def count_keys(world: World, tenant_id: str) -> int:
    return len(await world.administration.store.keys.list(tenant_id))


async def test_a_tenant_that_cannot_be_tended_stops_no_other(world: World):
    for name in ("a", "b", "c", "d"):
        await world.add_tenant(name)
    store = world.administration.store
    for days in (88, 2):
        world.clock.now += days * DAY_S
        await tend_keys(world.administration, SCHEDULE)
    await store.tenants.change("a", {"dialect": "gone"})
    await store.tenants.change("b", {"token_rules": {"lifetime_s": "long"}})
    assert [await count_keys(world, name) for name in "abcd"] == [2, 2, 2, 2]
    world.clock.now += DAY_S
    await tend_keys(world.administration, SCHEDULE)

    assert [await count_keys(world, name) for name in "abcd"] == [2, 2, 1, 1]


async def test_requests_are_answered_between_tenants(world: World):
    for name in ("a", "b", "c"):
        await world.add_tenant(name)
    tending = asyncio.create_task(tend_keys(world.administration, SCHEDULE))
    turns = 0
    while not tending.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns >= 3


async def test_a_clock_that_was_far_ahead_does_not_end_rotation(world: World):
    await world.add_tenant("std")
    start = world.clock.now
    world.clock.now = start + 3650 * DAY_S
    await tend_keys(world.administration, SCHEDULE)
    world.clock.now = start + 88 * DAY_S
    await tend_keys(world.administration, SCHEDULE)
    await tend_keys(world.administration, SCHEDULE)

    keys = await world.administration.store.keys.list("std")
    assert sorted(key.active_from - int(start) for key in keys) == [0, 90 * DAY_S, 3652 * DAY_S]


async def test_an_expired_token_is_kept_for_a_while(world: World):
    await world.add_tenant("std", form="opaque", lifetime_s=60)
    caller = await world.add_client("std")
    await world.token(caller)
    world.clock.now += 60 + KEEP_EXPIRED_S - 1
    assert await purge_expired(world.administration) == 0
    world.clock.now += 1

    assert await purge_expired(world.administration) == 1


async def test_parallel_changes_of_one_client_all_stand(world: World, monkeypatch: pytest.MonkeyPatch):
    """Each has read the client before any has written it."""
    await world.add_tenant("std")
    caller = await world.add_client("std")
    key = (caller.tenant, caller.client_id)
    clients = world.administration.store.clients
    stale, find = [await clients.find(*key)], clients.find
    await disable_client(world.administration, *key, disabled=True)

    async def find_stale(*asked: str) -> object:
        return stale.pop() if stale else await find(*asked)

    monkeypatch.setattr(clients, "find", find_stale)
    answered = await change_client(world.administration, *key, ClientChanges(client_name="new"))
    assert (answered.is_disabled, answered.client_name) == (True, "new")
    assert not stale
    answered = await disable_client(world.administration, *key, disabled=False)
    assert (answered.is_disabled, answered.client_name) == (False, "new")


async def test_suspending_a_tenant_undoes_no_change_made_meanwhile(world: World, monkeypatch: pytest.MonkeyPatch):
    await world.add_tenant("std")
    store = world.administration.store
    stale = await store.tenants.find("std")
    await store.tenants.change("std", {"token_rules": {"lifetime_s": 60}})

    async def find_stale(_: str) -> object:
        return stale

    monkeypatch.setattr(store.tenants, "find", find_stale)
    answered = await suspend_tenant(world.administration, "std", suspended=True)
    assert (answered.is_suspended, answered.token_rules) == (True, {"lifetime_s": 60})


async def test_parallel_resets_leave_one_secret(world: World):
    await world.add_tenant("std")
    caller = await world.add_client("std")
    key = (caller.tenant, caller.client_id)
    await asyncio.gather(*(reset_secret(world.administration, *key) for _ in range(5)))
    client = await world.administration.store.clients.find(*key)

    assert client is not None
    assert len(client.secrets) == 1


async def test_of_parallel_first_starts_all_have_one_root_key(folder: Path):
    read = load_settings(None, {"state_dir": folder}, {})
    create_master_key(read.key_file)
    migrate(read.database)
    opened = await asyncio.gather(*(open_deployment(read) for _ in range(4)))
    sealed = opened[0].sealing_key.seal(b"anything", b"a test")
    found = [each.sealing_key.open(sealed, b"a test") for each in opened]
    for each in opened:
        await each.store.close()

    assert found == [b"anything"] * 4


async def test_a_database_that_lost_its_root_key_is_refused(world: World, empty_state: Path, folder: Path):
    other = folder / "other"
    other.mkdir()
    read = load_settings(None, {"state_dir": copy_state(empty_state, other)}, {})
    store = SqlStore.open(read.database)
    await world.add_tenant("std")
    [tenant] = await world.administration.store.tenants.list()
    await store.tenants.add(msgspec.structs.replace(tenant, generation=1), [])
    await store.close()
    path = str(read.database).removeprefix("sqlite:///")
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM deployment_fact")
    connection.commit()
    connection.close()
    for start in (open_deployment, initialize):
        with pytest.raises(SettingsError, match="root key is gone"):
            await start(read)
