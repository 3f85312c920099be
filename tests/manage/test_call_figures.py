"""Every call of the management API is counted once, by what was asked, of which tenant, and what became of it."""

from __future__ import annotations

from tests.manage.world import World
from tests.observe.watching import Figures, read_figures

CALLS = "mintmark_management_calls_total"
TOOK = "mintmark_management_call_duration_seconds"


async def figures(world: World) -> Figures:
    return read_figures((await world.process.application.observation.write_figures()).decode())


async def test_a_call_is_counted_by_operation_tenant_and_outcome(world: World):
    token = await world.token("own")
    for body in ({"client_id": "a"}, {"client_id": "a"}, {"client_id": "b"}):
        await world.call("POST", "/tenants/own/clients", token, body)
    await world.call("GET", "/tenants", token)
    seen = await figures(world)

    created = {"api": "rest", "operation": "createClient", "tenant": "own"}
    assert (seen.of(CALLS, **created, outcome="done"), seen.of(CALLS, **created, outcome="refused")) == (2, 1)
    assert seen.of(CALLS, operation="listTenants", tenant="", outcome="done") == 1
    assert seen.of(f"{TOOK}_count", api="rest", operation="createClient") == 3
    assert seen.of(CALLS) == seen.of(f"{TOOK}_count") == 4


async def test_a_batch_is_one_call(world: World):
    actions = {"actions": [{"method": "GET", "path": "/tenants/own"}, {"method": "GET", "path": "/tenants/own/keys"}]}
    await world.call("POST", "/batch", await world.token("own"), actions)
    seen = await figures(world)

    assert (seen.labels(CALLS, "operation"), seen.of(CALLS)) == ({"runBatch"}, 1)


async def test_nobody_makes_series_by_what_he_asks_for(world: World):
    token = await world.token("own")
    for number in range(5):
        await world.call("GET", f"/tenants/nobody-{number}", token)
        await world.call("GET", f"/nothing/{number}", token)
        await world.call("GET", "/tenants/foreign", "no-token")
        await world.call(f"X{number}", "/tenants", token)
    await world.call("POST", "/tenants/own/clients", token, b"x" * 70_000)
    seen = await figures(world)

    assert seen.labels(CALLS, "tenant") == {"", "own"}
    assert seen.labels(CALLS, "operation") == {"getTenant", "none", "createClient"}
    assert seen.labels(CALLS, "outcome") == {"refused"}
    assert seen.of(CALLS) == 21
