"""What ends an application's tokens at once, also the token of who asked for it; and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from mintmark.admin.tenants import TenantChanges, change_tenant
from tests.manage.omada.world import OMADAC_ID, SITE, VIEWER, Omada

MSP = f"msp/{'2' * 32}"


@pytest.mark.parametrize(
    "change",
    [
        {"appName": "another name"},
        {"roleId": VIEWER},
        {"sites": ["<Airport>"]},
    ],
    ids=["name", "role", "site privilege"],
)
async def test_changing_an_application_ends_its_tokens_and_no_others(omada: Omada, change: dict[str, Any]) -> None:
    change = {name: [omada.sites["Airport"]] if value == ["<Airport>"] else value for name, value in change.items()}
    token, other = await omada.token("admin"), await omada.token("owner")
    client_id = omada.apps["admin"].client_id
    answer = await omada.call_with(other, "PATCH", f"/applications/{client_id}", change, under=OMADAC_ID)
    assert answer == {"errorCode": 0, "msg": "Success."}
    assert not await omada.is_alive(token)
    assert await omada.is_alive(other)


async def test_changing_a_customer_privilege_ends_the_tokens(omada: Omada) -> None:
    token, other = await omada.token("msp viewer"), await omada.token("msp owner")
    body = {"customers": [omada.customers["South"]]}
    path = f"/applications/{omada.apps['msp viewer'].client_id}"
    assert (await omada.call_with(other, "PATCH", path, body, under=MSP))["errorCode"] == 0
    assert not await omada.is_alive(token, MSP)
    assert await omada.is_alive(other, MSP)


@pytest.mark.parametrize(("method", "suffix"), [("DELETE", ""), ("POST", "/reset-secret")])
async def test_removing_an_application_or_resetting_its_secret_ends_its_tokens(
    omada: Omada, method: str, suffix: str
) -> None:
    token, other = await omada.token("admin"), await omada.token("owner")
    path = f"/applications/{omada.apps['admin'].client_id}{suffix}"
    assert (await omada.call_with(other, method, path, under=OMADAC_ID))["errorCode"] == 0
    assert not await omada.is_alive(token)
    assert await omada.is_alive(other)


async def test_who_changes_itself_ends_its_own_token(omada: Omada) -> None:
    token = await omada.token("owner")
    path = f"/applications/{omada.apps['owner'].client_id}"
    assert (await omada.call_with(token, "PATCH", path, {"appName": "me"}, under=OMADAC_ID))["errorCode"] == 0
    assert not await omada.is_alive(token)
    assert await omada.is_alive(await omada.token("owner"))


NEW_SITES: dict[str, tuple[str, Any]] = {
    "copy": ("/sites/copy", {"sourceSiteId": "<Airport>", "siteNamePrefix": "Copy ", "targetSiteNum": 2}),
    "import": ("/sites/multi-import", {"siteImportConfigList": [{"siteName": "Moved", "siteConfig": SITE}]}),
}


@pytest.mark.parametrize("call", NEW_SITES)
async def test_copying_or_importing_sites_ends_all_tokens_of_the_controller(omada: Omada, call: str) -> None:
    path, body = NEW_SITES[call]
    body = {name: omada.sites["Airport"] if value == "<Airport>" else value for name, value in body.items()}
    tokens = [await omada.token(name) for name in ("owner", "admin", "viewer", "limited")]
    elsewhere = await omada.token("msp owner")
    answer = await omada.call_with(tokens[0], "POST", path, body, under=OMADAC_ID)
    assert answer["errorCode"] == 0
    assert [await omada.is_alive(token) for token in tokens] == [False] * 4
    assert await omada.is_alive(elsewhere, MSP)
    seen = (await omada.call("GET", "/sites?page=1&pageSize=10"))["result"]["data"]
    assert set(answer["result"]["successSiteList"]) <= {one["siteId"] for one in seen}


async def test_copying_a_customers_site_ends_the_tokens_of_the_msps_applications_that_see_it(omada: Omada) -> None:
    await omada.add_app("msp south", "msp", role=VIEWER, customers=(omada.tenant_of("South"),))
    names = ("north owner", "msp owner", "msp limited", "msp south")
    tokens = {name: await omada.token(name) for name in names}
    body = {"sourceSiteId": omada.sites["North office"], "siteNamePrefix": "North ", "targetSiteNum": 1}
    under = omada.customers["North"]
    assert (await omada.call_with(tokens["msp owner"], "POST", "/sites/copy", body, under=under))["errorCode"] == 0
    alive = {name: await omada.is_alive(token, MSP if "msp" in name else under) for name, token in tokens.items()}
    assert alive == {"north owner": False, "msp owner": False, "msp limited": False, "msp south": True}


async def test_changing_the_msp_mode_ends_all_tokens_of_the_tenant(omada: Omada) -> None:
    token, other = await omada.token("owner"), await omada.token("viewer")
    under = f"msp/{OMADAC_ID}"
    await change_tenant(omada.administration, "omada", TenantChanges(is_msp=True))
    for one in (token, other):
        assert not await omada.is_alive(one, under)
    token = await omada.token("owner")
    assert (await omada.call_with(token, "GET", "/customers?page=1&pageSize=1", under=under))["errorCode"] == 0
    await change_tenant(omada.administration, "omada", TenantChanges(is_msp=False))
    assert not await omada.is_alive(token)
    assert await omada.is_alive(await omada.token("owner"))


async def test_making_changing_or_removing_a_site_ends_no_token(omada: Omada) -> None:
    token = await omada.token("owner")
    made = await omada.call_with(token, "POST", "/sites", SITE, under=OMADAC_ID)
    path = f"/sites/{made['result']['siteId']}"
    assert (await omada.call_with(token, "PUT", path, SITE, under=OMADAC_ID))["errorCode"] == 0
    assert (await omada.call_with(token, "DELETE", path, under=OMADAC_ID))["errorCode"] == 0
    assert await omada.is_alive(token)


async def test_removing_a_customer_ends_its_applications(omada: Omada) -> None:
    token = await omada.token("north owner")
    under = omada.customers["North"]
    assert (await omada.call("DELETE", f"/customers/{under}", by="msp owner", under=MSP))["errorCode"] == -34707
    site = omada.sites["North office"]
    assert (await omada.call("DELETE", f"/sites/{site}", by="msp owner", under=under))["errorCode"] == 0
    assert (await omada.call("DELETE", f"/customers/{under}", by="msp owner", under=MSP))["errorCode"] == 0
    assert (await omada.call_with(token, "GET", "/roles", under=under))["errorCode"] == -44113
    assert (await omada.call("GET", "/roles", by="msp owner", under=under))["errorCode"] == -7131
