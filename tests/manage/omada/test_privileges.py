"""What a role permits and a site or customer privilege limits, call by call."""

from __future__ import annotations

from typing import Any

import pytest

from mintmark.admin.actor import Actor
from mintmark.admin.administration import PermissionRefused
from mintmark.admin.applications import ApplicationChanges, change_applications, reset_application_secret
from mintmark.admin.tenants import suspend_tenant
from tests.manage.omada.world import ADMIN, OMADAC_ID, SITE, SUPER, UNKNOWN_SITE, VIEWER, Omada

OK, NO_PERMISSION, NO_REACH, UNKNOWN = 0, -1007, -1505, -7131
NEW_APP = {"appName": "job", "roleId": VIEWER, "allSites": True}
NEW_MSP_APP = {"appName": "job", "roleId": VIEWER, "allCustomers": True}
CHANGED = {key: value for key, value in SITE.items() if key != "name"}
PAGE = "?page=1&pageSize=10"
MSP = f"msp/{'2' * 32}"

CONTROLLER_CALLS: dict[str, tuple[str, str, Any]] = {
    "list sites": ("GET", f"/sites{PAGE}", None),
    "get own site": ("GET", "/sites/<Airport>", None),
    "get other site": ("GET", "/sites/<Beach>", None),
    "get unknown site": ("GET", f"/sites/{UNKNOWN_SITE}", None),
    "create site": ("POST", "/sites", SITE),
    "change own site": ("PUT", "/sites/<Airport>", CHANGED),
    "change other site": ("PUT", "/sites/<Beach>", CHANGED),
    "delete own site": ("DELETE", "/sites/<Airport>", None),
    "delete other site": ("DELETE", "/sites/<Beach>", None),
    "copy own site": ("POST", "/sites/copy", {"sourceSiteId": "<Airport>", "siteNamePrefix": "C", "targetSiteNum": 1}),
    "import": ("POST", "/sites/multi-import", {"siteImportConfigList": [{"siteName": "I", "siteConfig": SITE}]}),
    "list applications": ("GET", f"/applications{PAGE}", None),
    "create application": ("POST", "/applications", NEW_APP),
    "get application": ("GET", "/applications/<bare>", None),
    "change application": ("PATCH", "/applications/<bare>", {"appName": "x"}),
    "reset secret": ("POST", "/applications/<bare>/reset-secret", None),
    "delete application": ("DELETE", "/applications/<bare>", None),
    "list roles": ("GET", "/roles", None),
    "get role": ("GET", f"/roles/{VIEWER}", None),
}
READING = {"list sites", "get own site", "get other site", "list roles", "get role"}
MANAGING = {"list applications", "get application"}

CONTROLLER_MATRIX: dict[str, dict[str, int]] = {
    "owner": dict.fromkeys(CONTROLLER_CALLS, OK) | {"get unknown site": -1300},
    "admin": dict.fromkeys(CONTROLLER_CALLS, OK)
    | {"get unknown site": -1300}
    | dict.fromkeys(("create application", "change application", "reset secret", "delete application"), NO_PERMISSION),
    "viewer": dict.fromkeys(CONTROLLER_CALLS, NO_PERMISSION)
    | {"get unknown site": -1300}
    | dict.fromkeys(READING | MANAGING, OK),
    "limited": dict.fromkeys(CONTROLLER_CALLS, NO_PERMISSION)
    | dict.fromkeys(("list sites", "get own site", "change own site", "delete own site", "list roles", "get role"), OK)
    | dict.fromkeys(
        (
            "get other site",
            "get unknown site",
            "create site",
            "change other site",
            "delete other site",
            "copy own site",
            "import",
        ),
        NO_REACH,
    ),
    "bare": dict.fromkeys(CONTROLLER_CALLS, NO_PERMISSION),
    "msp owner": dict.fromkeys(CONTROLLER_CALLS, UNKNOWN),
    "north owner": dict.fromkeys(CONTROLLER_CALLS, UNKNOWN),
}

MSP_CALLS: dict[str, tuple[str, str, Any]] = {
    "list customers": ("GET", f"/customers{PAGE}", None),
    "get own customer": ("GET", "/customers/<North>", None),
    "get other customer": ("GET", "/customers/<South>", None),
    "create customer": ("POST", "/customers", {"customerName": "East"}),
    "change other customer": ("PATCH", "/customers/<South>", {"description": "d"}),
    "delete other customer": ("DELETE", "/customers/<South>", None),
    "list applications": ("GET", f"/applications{PAGE}", None),
    "create application": ("POST", "/applications", NEW_MSP_APP),
    "change application": ("PATCH", "/applications/<msp viewer>", {"appName": "x"}),
    "delete application": ("DELETE", "/applications/<msp viewer>", None),
    "list roles": ("GET", "/roles", None),
}
MSP_MATRIX: dict[str, dict[str, int]] = {
    "msp owner": dict.fromkeys(MSP_CALLS, OK) | {"delete other customer": -34707},
    "msp viewer": dict.fromkeys(MSP_CALLS, NO_PERMISSION)
    | dict.fromkeys(
        ("list customers", "get own customer", "get other customer", "list applications", "list roles"), OK
    ),
    "msp limited": dict.fromkeys(MSP_CALLS, NO_PERMISSION)
    | dict.fromkeys(("list customers", "get own customer", "list roles"), OK)
    | dict.fromkeys(("get other customer", "change other customer", "delete other customer"), UNKNOWN),
    "north owner": dict.fromkeys(MSP_CALLS, UNKNOWN),
    "owner": dict.fromkeys(MSP_CALLS, UNKNOWN),
}


def fill(omada: Omada, value: Any) -> Any:
    """Put ids into their places."""
    if isinstance(value, dict):
        return {name: fill(omada, one) for name, one in value.items()}
    if not isinstance(value, str):
        return value
    ids = {**omada.sites, **omada.customers, **{name: app.client_id for name, app in omada.apps.items()}}
    for name, one in ids.items():
        value = value.replace(f"<{name}>", one)
    return value


def rows(matrix: dict[str, dict[str, int]]) -> list[Any]:
    return [pytest.param(by, call, code, id=f"{by}-{call}") for by, row in matrix.items() for call, code in row.items()]


@pytest.mark.parametrize(("by", "call", "code"), rows(CONTROLLER_MATRIX))
async def test_a_controllers_call_ends_as_role_and_privilege_say(omada: Omada, by: str, call: str, code: int) -> None:
    method, path, body = CONTROLLER_CALLS[call]
    answer = await omada.call(method, fill(omada, path), fill(omada, body), by=by, under=OMADAC_ID)
    assert answer["errorCode"] == code, answer


@pytest.mark.parametrize(("by", "call", "code"), rows(MSP_MATRIX))
async def test_an_msps_call_ends_as_role_and_privilege_say(omada: Omada, by: str, call: str, code: int) -> None:
    method, path, body = MSP_CALLS[call]
    answer = await omada.call(method, fill(omada, path), fill(omada, body), by=by, under=f"msp/{'2' * 32}")
    assert answer["errorCode"] == code, answer


async def test_an_msps_application_reaches_the_sites_of_its_customers(omada: Omada) -> None:
    for by, customer, code in (
        ("msp owner", "North", 0),
        ("msp owner", "South", 0),
        ("msp limited", "North", 0),
        ("msp limited", "South", -7131),
        ("north owner", "North", 0),
        ("north owner", "South", -7131),
        ("owner", "North", -7131),
    ):
        answer = await omada.call("GET", f"/sites{PAGE}", by=by, under=omada.customers[customer])
        assert answer["errorCode"] == code, (by, customer)
        if code == 0:
            assert [one["name"] for one in answer["result"]["data"]] == [f"{customer} office"]


async def test_a_list_holds_only_what_the_caller_sees(omada: Omada) -> None:
    sites = (await omada.call("GET", f"/sites{PAGE}", by="limited"))["result"]
    assert (sites["totalRows"], [one["name"] for one in sites["data"]]) == (1, ["Airport"])
    customers = (await omada.call("GET", f"/customers{PAGE}", by="msp limited", under=f"msp/{'2' * 32}"))["result"]
    assert (customers["totalRows"], [one["customerName"] for one in customers["data"]]) == (1, ["North"])


async def test_a_search_finds_nothing_beyond_the_privilege(omada: Omada) -> None:
    found = (await omada.call("GET", f"/sites{PAGE}&searchKey=beach", by="limited"))["result"]
    assert found["totalRows"] == 0
    found = (await omada.call("GET", f"/sites{PAGE}&searchKey=beach"))["result"]
    assert [one["name"] for one in found["data"]] == ["Beach"]


async def test_an_msp_is_no_controller_and_a_controller_no_msp(omada: Omada) -> None:
    assert (await omada.call("GET", f"/sites{PAGE}", by="msp owner"))["errorCode"] == -7131
    assert (await omada.call("GET", f"/customers{PAGE}", under=f"msp/{OMADAC_ID}"))["errorCode"] == -7131


async def test_nobody_gives_a_role_that_permits_more_than_its_own(omada: Omada) -> None:
    await omada.add_app("helper", "omada", role=ADMIN, all_sites=True)
    for body in ({"appName": "x", "roleId": SUPER, "allSites": True}, {"appName": "x", "roleId": VIEWER}):
        answer = await omada.call("POST", "/applications", body, by="helper")
        assert answer["errorCode"] == -1007


async def test_who_is_limited_to_a_customer_manages_all_of_it(omada: Omada) -> None:
    north = omada.customers["North"]
    made = await omada.call("POST", "/applications", NEW_APP, by="msp limited", under=north)
    assert made["errorCode"] == 0
    assert (await omada.call("GET", f"/applications{PAGE}", by="msp limited", under=north))["errorCode"] == 0
    assert (await omada.call("POST", "/applications", NEW_MSP_APP, by="msp limited", under=MSP))["errorCode"] == -1007


async def test_who_gives_away_more_than_it_has_is_refused(omada: Omada) -> None:
    """By the verbs: over this API only a role that permits everything manages applications."""
    permissions = frozenset({"clients:read", "clients:write", "sites:read"})
    actor = Actor(name="client:omada/helper", permissions=permissions, tenants=frozenset({"omada"}))
    helper = omada.administration.on_behalf_of(actor)
    bare = omada.apps["bare"].client_id
    for role in (SUPER, ADMIN, VIEWER):
        with pytest.raises(PermissionRefused):
            await change_applications(helper, "omada", {bare: ApplicationChanges(role=role)})
    for name in ("owner", "admin", "viewer"):
        with pytest.raises(PermissionRefused):
            await reset_application_secret(helper, "omada", omada.apps[name].client_id)
    await change_applications(helper, "omada", {bare: ApplicationChanges(name="x")})


async def test_a_suspended_customer_is_not_there(omada: Omada) -> None:
    token = await omada.token("msp owner")
    await suspend_tenant(omada.administration, omada.tenant_of("South"), suspended=True)
    path = f"/sites{PAGE}"
    assert (await omada.call_with(token, "GET", path, under=omada.customers["South"]))["errorCode"] == -7131
    assert (await omada.call_with(token, "GET", path, under=omada.customers["North"]))["errorCode"] == 0
