"""WSO2's dynamic client registration in a tenant of its dialect, as an administrator's programs call it."""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from mintmark.admin.tenants import TenantChanges, TenantRequest, change_tenant, create_tenant
from tests.endpoints.in_process import SECRET
from tests.endpoints.servers import Answer, Request
from tests.manage.world import World, add_manager

PATH = "/api/identity/oauth2/dcr/v1.1/register"


class IdentityServer(NamedTuple):
    """A tenant at a host of its own, and its administrator."""

    world: World

    async def send(
        self,
        method: str,
        path: str = PATH,
        body: Any = None,
        authorization: str | None = None,
        host: str = "is.example",
    ) -> Answer:
        basic = "Basic " + base64.b64encode(f"manager:{SECRET}".encode()).decode()
        headers = {"host": host, "authorization": basic if authorization is None else authorization}
        if body is not None:
            headers["content-type"] = "application/json"
        octets = b"" if body is None else json.dumps(body).encode()
        return await self.world.process.send(Request(method, path, headers, octets))

    async def token(self, client_id: str, secret: str) -> Answer:
        body = f"grant_type=client_credentials&client_id={client_id}&client_secret={secret}".encode()
        headers = {"host": "is.example", "content-type": "application/x-www-form-urlencoded"}
        return await self.world.process.send(Request("POST", "/oauth2/token", headers, body))


@pytest_asyncio.fixture
async def identity(world: World) -> IdentityServer:
    administration = world.process.administration
    request = TenantRequest(
        tenant_id="is",
        dialect="wso2",
        issuer="https://is.example",
        hosts=("is.example",),
        token_rules={"alg": "ES256"},
    )
    await create_tenant(administration, request)
    await change_tenant(administration, "is", TenantChanges(allows_registration=True))
    await add_manager(world.process, "is")
    await add_manager(world.process, "is", "reader", "clients:read")
    await world.process.application.refresh()
    return IdentityServer(world)


async def test_an_application_is_registered_shown_changed_and_removed(identity: IdentityServer):
    made = await identity.send("POST", body={"client_name": "app", "grant_types": ["client_credentials"]})
    where = f"{PATH}/{made.json['client_id']}"
    token = await identity.token(made.json["client_id"], made.json["client_secret"])
    shown = await identity.send("GET", where)
    changed = await identity.send("PUT", where, {"client_name": "app2", "ext_application_token_lifetime": 60})
    removed = await identity.send("DELETE", where)
    gone = await identity.send("GET", where)

    assert (made.status, list(made.json)) == (
        201,
        ["client_id", "client_secret", "client_secret_expires_at", "redirect_uris", "grant_types", "client_name",
         "ext_token_type"],
    )  # fmt: skip
    assert (made.json["client_secret_expires_at"], made.json["redirect_uris"]) == (0, [])
    assert token.status == 200
    assert (shown.status, "client_secret" in shown.json) == (200, False)
    assert (changed.json["client_name"], changed.json["ext_application_token_lifetime"]) == ("app2", 60)
    assert (removed.status, gone.status) == (204, 404)


async def test_an_administrator_may_choose_id_secret_lifetime_and_form(identity: IdentityServer):
    body = {
        "client_name": "app",
        "redirect_uris": ["https://app.example/callback"],
        "ext_param_client_id": "chosen-id",
        "ext_param_client_secret": "chosen-secret",
        "ext_application_token_lifetime": 77,
        "token_type_extension": "JWT",
    }
    made = await identity.send("POST", body=body)
    token = await identity.token("chosen-id", "chosen-secret")

    assert made.json["client_id"] == "chosen-id"
    assert token.json["expires_in"] == 77
    assert token.json["access_token"].count(".") == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"client_name": "x", "grant_types": ["password"]},
        {"client_name": "x", "ext_param_client_id": "manager"},
        {"client_name": "x", "ext_token_type": "SAML"},
        {"client_name": "x", "ext_application_token_lifetime": -1},
        {"client_name": "x", "token_endpoint_auth_method": "tls_client_auth"},
    ],
)
async def test_what_cannot_be_registered_is_refused_in_the_vendors_shape(identity: IdentityServer, body: Any):
    answer = await identity.send("POST", body=body)

    assert (answer.status, list(answer.json)) == (400, ["error", "error_description", "traceId"])
    assert answer.json["error"] == "invalid_client_metadata"


async def test_only_an_administrator_registers(identity: IdentityServer):
    reader = "Basic " + base64.b64encode(f"reader:{SECRET}".encode()).decode()
    wrong = "Basic " + base64.b64encode(b"manager:wrong").decode()
    own = "Bearer " + await identity.world.token("own")
    admin = "Bearer " + await identity.world.token("admin")
    answers = [
        (await identity.send("POST", body={"client_name": "x"}, authorization=one)).status
        for one in ("", wrong, "Bearer x", reader, own, admin)
    ]

    assert answers == [401, 401, 401, 403, 404, 201]


async def test_the_prefix_of_a_tenant_leads_there_too_and_another_dialect_has_nothing_there(identity: IdentityServer):
    body = {"client_name": "x"}

    assert (await identity.send("POST", f"/t/is{PATH}", body, host="id.example")).status == 201
    assert (await identity.send("POST", f"/t/own{PATH}", body, host="id.example")).status == 404
