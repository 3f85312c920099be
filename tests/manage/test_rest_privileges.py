"""What an application of the Open API may do and see is shown and set by REST, and never more than who sets it has."""

from __future__ import annotations

from typing import Any

import pytest

from mintmark.admin.sites import SiteRequest, create_site
from mintmark.admin.tenants import TenantChanges, change_tenant, remove_tenant
from tests.manage.asking import problem
from tests.manage.world import World, add_manager

APP = "/tenants/{}/clients/app"


async def add_app(world: World, tenant_id: str, **privileges: Any) -> Any:
    token = await world.token(tenant_id)
    return await world.call("POST", f"/tenants/{tenant_id}/clients", token, {"client_id": "app", **privileges})


async def add_site(world: World, name: str) -> str:
    request = SiteRequest(name=name, region="Norway", time_zone="UTC", scenario="Office")
    return (await create_site(world.process.administration, "own", request)).site_id


async def test_role_and_sites_are_set_shown_and_changed(world: World):
    site = await add_site(world, "harbour")
    made = await add_app(world, "own", role="viewer_id", sites=[site])
    token = await world.token("own")
    wider = {"role": "admin_id", "sites": [], "all_sites": True}
    changed = await world.call("PATCH", APP.format("own"), token, wider)
    [listed] = [
        one
        for one in (await world.call("GET", "/tenants/own/clients", token)).json["items"]
        if one["client_id"] == "app"
    ]

    assert (made.status, made.json["role"], made.json["sites"]) == (201, "viewer_id", [site])
    assert changed.status == 200
    assert {name: listed[name] for name in wider} == wider


async def test_an_msps_application_names_customers(world: World):
    made = await add_app(world, "hub", role="viewer_id", customers=["spoke"])

    assert (made.status, made.json["customers"]) == (201, ["spoke"])


@pytest.mark.parametrize(
    ("tenant_id", "privileges", "member"),
    [
        ("own", {"role": "nobody"}, "role"),
        ("own", {"sites": ["gone"]}, "sites"),
        ("own", {"customers": ["spoke"]}, "customers"),
        ("own", {"sites": ["gone"], "all_sites": True}, "sites"),
        ("hub", {"sites": ["gone"]}, "sites"),
        ("hub", {"customers": ["foreign"]}, "customers"),
        ("hub", {"customers": ["spoke"], "all_customers": True}, "customers"),
    ],
)
async def test_what_is_not_there_is_no_privilege(world: World, tenant_id: str, privileges: Any, member: str):
    refused = await add_app(world, tenant_id, **privileges)
    await add_app(world, tenant_id)
    unchanged = await world.call("PATCH", APP.format(tenant_id), await world.token(tenant_id), privileges)

    for answer in (refused, unchanged):
        assert problem(answer) == (422, "invalid-values")
        assert answer.json["errors"][0]["pointer"] == f"#/{member}"


async def test_nobody_gives_or_takes_a_role_of_more_than_he_may(world: World):
    await add_app(world, "own", role="super_admin_id")
    await add_manager(world.process, "own", "junior", "clients:read clients:write")
    await world.process.application.refresh()
    junior = await world.token("own", client_id="junior")
    given = await world.call("POST", "/tenants/own/clients", junior, {"role": "viewer_id"})
    taken = await world.call("PATCH", APP.format("own"), junior, {"role": ""})
    plain = await world.call("POST", "/tenants/own/clients", junior, {"all_sites": True})

    assert (problem(given), problem(taken)) == ((403, "refused"),) * 2
    assert plain.status == 201


@pytest.mark.parametrize("way", ["removed", "moved"])
async def test_a_client_that_names_a_customer_who_is_gone_can_be_changed(world: World, way: str):
    await add_app(world, "hub", role="viewer_id", customers=["spoke"])
    if way == "removed":
        await remove_tenant(world.process.administration, "spoke")
    else:
        await change_tenant(world.process.administration, "spoke", TenantChanges(msp_id=None))
    token = await world.token("hub")
    changed = await world.call("PATCH", APP.format("hub"), token, {"role": "admin_id"})
    again = await world.call("PATCH", APP.format("hub"), token, {"customers": ["spoke"]})
    cleared = await world.call("PATCH", APP.format("hub"), token, {"customers": []})
    rotated = await world.call("POST", f"{APP.format('hub')}/secrets/rotate", token, {})

    assert (changed.status, problem(again), cleared.status) == (200, (422, "invalid-values"), 200)
    assert rotated.status in {200, 201}
