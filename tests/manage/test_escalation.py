"""Nobody gets at more than he has: not through a client's name, a tenant's, a repetition, or what others lose."""

from __future__ import annotations

import asyncio
import base64
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from mintmark.admin.permissions import MANAGEMENT_AUDIENCE, PERMISSIONS
from mintmark.admin.tenants import TenantChanges, change_tenant
from tests.endpoints.in_process import SECRET, send_to
from tests.endpoints.servers import Answer, Request
from tests.manage.asking import problem
from tests.manage.world import EVERYTHING, World, add_manager

FORM: Final = "application/x-www-form-urlencoded"
FIELDS: Final = {"grant_type": "client_credentials", "client_id": "meter", "client_secret": SECRET}
WSO2_REGISTRATION: Final = "/api/identity/oauth2/dcr/v1.1/register"
BASIC: Final = "Basic " + base64.b64encode(f"manager:{SECRET}".encode()).decode()


async def ask_at(world: World, path: str, **fields: str) -> Answer:
    """Ask for a token where no host names a tenant."""
    body = urlencode(FIELDS | fields).encode()
    return await world.process.send(Request("POST", path, {"host": "is.example", "content-type": FORM}, body))


async def add_junior(world: World, tenant_id: str, scope: str) -> str:
    """Return the token of a lesser administrator."""
    await add_manager(world.process, tenant_id, "junior", scope)
    await world.process.application.refresh()
    return await world.token(tenant_id, client_id="junior")


async def add_wso2(world: World, *scope: str) -> None:
    """Make a tenant whose system registers clients in its own way."""
    await world.process.add_tenant("is", "wso2", hosts=("is.example",))
    await add_manager(world.process, "is")
    rules = {"alg": "ES256", **({"scope": list(scope)} if scope else {})}
    await change_tenant(world.process.administration, "is", TenantChanges(allows_registration=True, token_rules=rules))
    await world.process.application.refresh()


async def register_at_wso2(world: World, authorization: str, **more: Any) -> Answer:
    body = b'{"client_name":"x"' + "".join(f',"{name}":{value}' for name, value in more.items()).encode() + b"}"
    headers = {"host": "is.example", "authorization": authorization, "content-type": "application/json"}
    return await world.process.send(Request("POST", WSO2_REGISTRATION, headers, body))


def customer(tenant_id: str, **members: Any) -> dict[str, Any]:
    """The body of a customer of `hub`."""
    issuer = f"https://id.example/t/{tenant_id}"
    rules = {"alg": "ES256"}
    return {
        "tenant_id": tenant_id,
        "dialect": "oauth2",
        "issuer": issuer,
        "msp_id": "hub",
        "token_rules": rules,
    } | members


@pytest.mark.parametrize("tenant_id", ["own", "admin"])
async def test_no_client_is_called_as_the_management_audience(world: World, tenant_id: str):
    token = await world.token(tenant_id)

    answer = await world.call("POST", f"/tenants/{tenant_id}/clients", token, {"client_id": MANAGEMENT_AUDIENCE})

    assert (problem(answer), answer.json["errors"][0]["pointer"]) == ((422, "invalid-values"), "#/client_id")


@pytest.mark.parametrize("audience", [[MANAGEMENT_AUDIENCE], ["x", MANAGEMENT_AUDIENCE]])
@pytest.mark.parametrize("place", ["audience", "token_rules"])
async def test_no_way_to_an_audience_gives_a_permission_that_its_giver_lacks(
    world: World, place: str, audience: list[str]
):
    junior = await add_junior(world, "own", "clients:write")
    given = {"audience": audience} if place == "audience" else {"token_rules": {"audience": audience}}
    await world.call("POST", "/tenants/own/clients", junior, {"client_id": "a", "scope": ["keys:rotate"]})

    made = await world.call("POST", "/tenants/own/clients", junior, {"scope": ["keys:rotate"], **given})
    changed = await world.call("PATCH", "/tenants/own/clients/a", junior, given)

    assert (problem(made), problem(changed)) == ((403, "refused"),) * 2


async def test_an_msp_does_not_get_the_id_and_so_the_records_of_a_removed_tenant(world: World):
    hub, root = await world.token("hub"), await world.token("admin")
    await world.call("POST", "/tenants/foreign/clients", root, {"client_id": "their-project"})
    await world.call("DELETE", "/tenants/foreign", root)

    taken = await world.call("POST", "/tenants", hub, customer("foreign"))
    read = await world.call("GET", "/audit?tenant_id=foreign", hub)
    given_again = await world.call("POST", "/tenants", root, customer("foreign", msp_id=None))

    assert (problem(taken), problem(read), given_again.status) == ((409, "taken"), (404, "not-found"), 201)


async def test_a_customer_takes_no_path_from_a_tenant_that_need_not_be_named(world: World):
    await world.process.add_tenant("theirs", "oneaccess")
    path = world.process.administration.dialects["oneaccess"].endpoints["token"]
    hub = await world.token("hub")

    made = await world.call("POST", "/tenants", hub, customer("new", dialect="oneaccess"))
    await world.process.application.refresh()

    assert (made.status, (await ask_at(world, path)).status) == (201, 200)
    assert (await ask_at(world, f"/t/new{path}")).json["error"] == "invalid_client"


async def test_an_answer_is_not_given_again_to_who_lost_its_tenant(world: World):
    root, hub, body = await world.token("admin"), await world.token("hub"), {"client_id": "a"}
    new = customer("new")
    await world.call("POST", "/tenants/spoke/clients", hub, body, idempotency_key="client")
    await world.call("POST", "/tenants", hub, new, idempotency_key="tenant")
    for tenant_id in ("spoke", "new"):
        await world.call("PATCH", f"/tenants/{tenant_id}", root, {"msp_id": None})

    client = await world.call("POST", "/tenants/spoke/clients", hub, body, idempotency_key="client")
    tenant = await world.call("POST", "/tenants", hub, new, idempotency_key="tenant")

    assert (problem(client), problem(tenant)) == ((404, "not-found"),) * 2


async def test_parallel_repetitions_of_a_customers_creation_are_answered_alike(world: World):
    hub = await world.token("hub")

    calls = [world.call("POST", "/tenants", hub, customer("new"), idempotency_key="k") for _ in range(6)]

    assert {one.status for one in await asyncio.gather(*calls)} == {201}


async def test_an_answer_is_not_given_again_to_a_lesser_token(world: World):
    body = {"client_id": "boss", "scope": ["keys:rotate"], "audience": [MANAGEMENT_AUDIENCE]}
    path, own = "/tenants/own/clients", await world.token("own")
    await world.call("POST", path, own, body, idempotency_key="k")

    lesser = await world.call("POST", path, await world.token("own", "clients:write"), body, idempotency_key="k")
    same = await world.call("POST", path, await world.token("own"), body, idempotency_key="k")

    assert (problem(lesser), same.status) == ((403, "refused"), 201)


async def test_a_client_that_shows_its_secret_may_what_its_token_may(world: World):
    await add_wso2(world, "read", "clients:read")
    answer = await ask_at(world, "/oauth2/token", client_id="manager", scope=EVERYTHING)

    by_token = await register_at_wso2(world, f"Bearer {answer.json['access_token']}")
    by_secret = await register_at_wso2(world, BASIC)

    assert (by_token.status, by_secret.status) == (403, 403)


async def test_a_tenant_has_a_key_of_whatever_algorithm_it_is_given(world: World):
    own = await world.token("own")
    changed = await world.call("PATCH", "/tenants/own", own, {"token_rules": {"alg": "EdDSA"}})

    keys = (await world.call("GET", "/tenants/own/keys", await world.token("own"))).json["items"]

    assert (changed.status, {one["alg"] for one in keys}) == (200, {"ES256", "EdDSA"})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/clients/manager", None),
        ("PATCH", "/clients/manager", {"is_disabled": True}),
        ("PATCH", "/clients/manager", {"scope": []}),
        ("POST", "/clients/manager/secrets/reset", {}),
        ("DELETE", "/clients/manager/secrets/{secret_id}", None),
        ("PUT", "/scopes", {"scope": ["read"]}),
    ],
)
async def test_a_lesser_administrator_does_not_shut_out_a_greater(
    world: World, method: str, path: str, body: dict[str, Any] | None
):
    junior, root = await add_junior(world, "admin", "clients:write tenants:write"), await world.token("admin")
    held = (await world.call("GET", "/tenants/admin/clients/manager/secrets", root)).json["items"]
    place = path.format(secret_id=held[0]["secret_id"])

    refused = await world.call(method, f"/tenants/admin{place}", junior, body)

    assert problem(refused) == (403, "refused")
    assert (await world.call("GET", "/tenants", await world.token("admin"))).status == 200


@pytest.mark.parametrize(
    "issuer", ["/t/own/", "", "/t/future", "/t/new/", "/t/new/x", "/T/new", "/t/hub/new", "/t/%6Eew"]
)
async def test_a_customer_made_by_its_msp_has_the_issuer_of_its_own_prefix(world: World, issuer: str):
    hub = await world.token("hub")

    other = await world.call("POST", "/tenants", hub, customer("new", issuer=f"https://id.example{issuer}"))
    own = await world.call("POST", "/tenants", hub, customer("new"))

    assert (problem(other), own.status) == ((422, "invalid-values"), 201)


async def test_expired_secrets_do_not_pile_up(world: World):
    token, path = await world.token("own"), "/tenants/own/clients/a/secrets"
    await world.call("POST", "/tenants/own/clients", token, {"client_id": "a"})
    for _ in range(12):
        ends = int(world.process.clock.now) + 1
        made = [await world.call("POST", path, token, {"expires_at": ends}) for _ in range(4)]
        assert {one.status for one in made} == {201}
        world.process.clock.now += 2

    assert len((await world.call("GET", path, token)).json["items"]) <= 8


@pytest.mark.parametrize("moment", [2**53, 2**63, 2**64, 10**40, -1, "1e400"])
async def test_a_number_that_nothing_can_hold_is_malformed(world: World, moment: object):
    await add_wso2(world)

    answer = await register_at_wso2(world, BASIC, ext_param_client_secret_expires_at=moment)

    assert (answer.status, answer.json["error"]) == (400, "invalid_client_metadata")


@pytest.mark.parametrize(
    ("path", "member"),
    [
        ("/clients", "secret_expires_at"),
        ("/clients/manager/secrets", "expires_at"),
        ("/clients/manager/secrets/rotate", "overlap_s"),
        ("/keys", "announce_s"),
        ("/registration-tokens", "uses"),
        ("/registration-tokens", "lifetime_s"),
    ],
)
@pytest.mark.parametrize("number", [2**53, 2**63, 10**40])
async def test_a_number_of_the_api_is_bounded(world: World, path: str, member: str, number: int):
    answer = await world.call("POST", f"/tenants/own{path}", await world.token("own"), {member: number})

    assert answer.status == 422, answer.body


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
@pytest.mark.parametrize("path", ["/api/v1/tenants", WSO2_REGISTRATION, "/openapi/v1/x/sites"])
async def test_two_authorization_headers_show_nothing(world: World, path: str, scheme: str):
    await add_wso2(world)
    shown = {"Bearer": f"Bearer {await world.token('own')}", "Basic": BASIC}[scheme]
    other = {"Bearer": f"Bearer {await world.token('foreign')}", "Basic": BASIC}[scheme]
    method = "POST" if path == WSO2_REGISTRATION else "GET"
    headers = {"host": "is.example", "authorization": shown, "content-type": "application/json"}
    request = Request(method, path, headers, b'{"client_name":"x"}')

    answer = await send_to(world.process.app, request, more=[("authorization", other)])

    assert answer.status in {400, 401}, answer.body


async def test_two_conditions_are_no_condition(world: World):
    headers = {
        "host": "id.example",
        "authorization": f"Bearer {await world.token('own')}",
        "content-type": "application/json",
        "if-match": '"7"',
    }
    request = Request("PATCH", "/api/v1/tenants/own", headers, b'{"title":"x"}')

    answer = await send_to(world.process.app, request, more=[("if-match", '"1"')])

    assert problem(answer) == (400, "malformed-request")


def test_every_permission_is_asked_of_the_world():
    assert set(EVERYTHING.split()) == PERMISSIONS
