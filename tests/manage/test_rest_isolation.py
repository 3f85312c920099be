"""Tenants never see each other, whatever their administrators ask, in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mintmark.api.table import TABLE
from tests.endpoints.deployments import Deployment
from tests.endpoints.in_process import Clock, open_in_process
from tests.manage.asking import WHOLE, fill
from tests.manage.world import World, make_world

SIDES: Final = ("own", "foreign")
OPERATIONS: Final = [one for one in TABLE.operations if one.name != "runBatch"]
CALLS: Final = st.lists(
    st.fixed_dictionaries(
        {
            "caller": st.sampled_from(SIDES),
            "operation": st.sampled_from(OPERATIONS),
            "tenant": st.sampled_from(SIDES),
            "things_of": st.sampled_from(SIDES),
            "in_query": st.sampled_from([None, *SIDES]),
            "is_batched": st.booleans(),
        }
    ),
    min_size=1,
    max_size=12,
)


async def snapshot(world: World, tenant_id: str) -> bytes:
    """All that a tenant is: itself, its clients with their secrets, and its keys."""
    store = world.process.administration.store
    tenant = await store.tenants.find(tenant_id)
    held = [tenant, await store.clients.page(tenant_id, "", 1000), await store.keys.list(tenant_id)]
    # Used, not changed: the callers ask for tokens.
    return msgspec.json.encode(held).replace(b'"last_used_at":', b'"ignored":')


async def act(world: World, call: dict[str, Any], things: dict[str, dict[str, str]], tokens: dict[str, str]) -> bytes:
    """Do one call and return the octets of its answer."""
    operation, place = call["operation"], {**things[call["things_of"]], "tenant_id": call["tenant"]}
    body = None if operation.takes is None else dict(WHOLE.get(operation.name, operation.example or {}))
    if body is not None and "token" in body:
        body["token"] = place["token"]
    path = operation.path.format_map(place)
    if call["in_query"] and "tenant_id" in operation.query.__struct_fields__:
        path += f"?tenant_id={call['in_query']}"
    token = tokens[call["caller"]]
    if not call["is_batched"]:
        return (await world.call(operation.method, path, token, body)).body
    action = {"method": operation.method, "path": f"/api/v1{path}"} | ({} if body is None else {"body": body})
    return (await world.call("POST", "/batch", token, {"actions": [action]})).body


async def play(world: World, calls: list[dict[str, Any]]) -> None:
    things = {side: dict(await fill(world, side)) for side in SIDES}
    tokens = {side: await world.token(side) for side in SIDES}
    for call in calls:
        other = SIDES[1 - SIDES.index(call["caller"])]
        before = await snapshot(world, other)
        shown = await act(world, call, things, tokens)
        # Its own id it may have typed itself; what only the other tenant's answers hold, it may not learn.
        for secret_of_other in (things[other]["secret_id"], things[other]["kid"], f"/t/{other}"):
            assert secret_of_other.encode() not in shown, (call["operation"].name, shown)
        assert await snapshot(world, other) == before, call["operation"].name


@pytest.fixture
def play_anew(bare_deployment: Deployment, tmp_path: Path) -> Callable[[list[dict[str, Any]]], None]:
    """Plays calls in a world of their own."""
    made = bare_deployment.copy_to(tmp_path)
    asyncio.run(_prepare(made))
    count = iter(range(1_000_000))

    def run(calls: list[dict[str, Any]]) -> None:
        asyncio.run(_open(made.copy_to(tmp_path / str(next(count))), lambda world: play(world, calls)))

    return run


async def _prepare(made: Deployment) -> None:
    process = await open_in_process(made.state_dir, Clock())
    await make_world(process)
    await process.application.close()


async def _open(made: Deployment, run: Callable[[World], Awaitable[None]]) -> None:
    process = await open_in_process(made.state_dir, Clock())
    try:
        await run(World(process))
    finally:
        await process.application.close()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls=CALLS)
def test_no_call_shows_or_changes_anything_of_another_tenant(
    play_anew: Callable[[list[dict[str, Any]]], None], calls: list[dict[str, Any]]
):
    play_anew(calls)
