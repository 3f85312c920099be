"""Clients that register themselves: RFC 7591 and 7592, within the limits that an administrator set."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from mintmark.admin.audit import list_audit
from mintmark.admin.registration import create_initial_token
from mintmark.admin.tenants import TenantChanges, change_tenant
from tests.endpoints.servers import Answer, Request
from tests.manage.world import World

PATH = "/t/own/connect/register"
METADATA = {"client_name": "Branch 7", "scope": "read"}


class Office(NamedTuple):
    """Where clients register themselves, and the token that lets them."""

    world: World
    initial: str

    async def send(self, method: str, path: str, token: str | None, body: Any = None) -> Answer:
        headers = {"host": "id.example"} | ({} if token is None else {"authorization": f"Bearer {token}"})
        octets = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        if body is not None:
            headers["content-type"] = "application/json"
        return await self.world.process.send(Request(method, path, headers, octets))

    async def register(self, **more: Any) -> Answer:
        return await self.send("POST", PATH, self.initial, METADATA | more)


@pytest_asyncio.fixture
async def office(world: World) -> Office:
    administration = world.process.administration
    await change_tenant(administration, "own", TenantChanges(allows_registration=True))
    _, secret = await create_initial_token(administration, "own", scope=("read", "write"), uses=3, lifetime_s=600)
    await world.process.application.refresh()
    return Office(world, secret.reveal())


@pytest.mark.rfc("7591", "3.2.1")
async def test_a_client_that_registers_itself_gets_what_it_needs_for_a_token(office: Office):
    made = await office.register(token_endpoint_auth_method="client_secret_post", software_id="x", jwks_uri="https://a")

    assert made.status == 201, made.body
    assert (made.json["client_secret_expires_at"], made.json["grant_types"]) == (0, ["client_credentials"])
    assert made.json["scope"] == "read"
    assert not {"software_id", "jwks_uri", "redirect_uris"} & set(made.json), "what is not kept is not said to be"
    assert made.header("cache-control") == "no-store"
    fields = (
        f"grant_type=client_credentials&client_id={made.json['client_id']}&client_secret={made.json['client_secret']}"
    )
    headers = {"host": "id.example", "content-type": "application/x-www-form-urlencoded"}
    token = await office.world.process.send(Request("POST", "/t/own/oauth2/token", headers, fields.encode()))
    assert token.json["scope"] == "read"


@pytest.mark.rfc("8414", "2")
async def test_the_endpoint_is_announced_where_it_is_and_only_there(office: Office):
    announced = {}
    for tenant in ("own", "foreign"):
        metadata = await office.send("GET", f"/.well-known/oauth-authorization-server/t/{tenant}", None)
        announced[tenant] = metadata.json.get("registration_endpoint")

    assert announced == {"own": "https://id.example/t/own/connect/register", "foreign": None}


async def test_where_it_is_off_there_is_nothing(office: Office):
    for path in ("/t/foreign/connect/register", "/t/foreign/connect/register/x", "/connect/register"):
        answer = await office.send("POST", path, office.initial, METADATA)
        assert answer.status == 404


@pytest.mark.rfc("7591", "3")
async def test_a_token_registers_as_many_clients_as_it_may_and_no_more(office: Office):
    answers = await asyncio.gather(*(office.register() for _ in range(6)))

    assert sorted(answer.status for answer in answers) == [201, 201, 201, 401, 401, 401]
    refused = next(answer for answer in answers if answer.status == 401)
    assert refused.header("www-authenticate") == 'Bearer error="invalid_token"'


async def test_a_token_ends_with_its_time(office: Office):
    office.world.process.clock.now += 601

    assert (await office.register()).status == 401


async def test_a_token_of_another_tenant_or_none_registers_nobody(office: Office):
    administration = office.world.process.administration
    _, foreign = await create_initial_token(administration, "foreign", scope=("read",))
    management = await office.world.token("own")

    for token in (None, "", foreign.reveal(), management, office.initial + "x"):
        assert (await office.send("POST", PATH, token, METADATA)).status == 401


@pytest.mark.rfc("7591", "3.2.2")
@pytest.mark.parametrize(
    "metadata",
    [
        {"scope": "read admin"},
        {"scope": 'r"'},
        {"client_id": "mine"},
        {"client_secret": "mine"},
        {"sub": "somebody"},
        {"grant_types": ["authorization_code"]},
        {"token_endpoint_auth_method": "none"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"response_types": ["code"]},
        {"jwks": {"keys": []}, "jwks_uri": "https://a"},
        {"client_name": 7},
        {"client_name": "a\u0000b"},
    ],
)
async def test_metadata_that_cannot_be_honoured_is_refused_and_takes_no_use(office: Office, metadata: dict[str, Any]):
    refused = await office.register(**metadata)
    after = [(await office.register()).status for _ in range(4)]

    assert (refused.status, refused.json["error"]) == (400, "invalid_client_metadata")
    assert refused.json["error_description"]
    assert after == [201, 201, 201, 401]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
async def test_a_body_that_is_no_object_is_refused(office: Office, body: bytes):
    assert (await office.send("POST", PATH, office.initial, body)).status == 400


@pytest.mark.rfc("7592", "2")
async def test_a_client_sees_changes_and_removes_its_registration(office: Office):
    made = (await office.register()).json
    where = urlsplit(made["registration_client_uri"]).path
    own = {"client_id": made["client_id"], "client_secret": made["client_secret"]}
    shown = await office.send("GET", where, made["registration_access_token"])
    changed = await office.send("PUT", where, made["registration_access_token"], {**own, "scope": "write"})
    removed = await office.send("DELETE", where, changed.json["registration_access_token"])
    gone = await office.send("GET", where, changed.json["registration_access_token"])

    assert (shown.status, shown.json["client_name"]) == (200, "Branch 7")
    assert "client_secret" not in shown.json
    assert (changed.json["scope"], changed.json.get("client_name")) == ("write", None)
    assert (removed.status, removed.body, gone.status) == (204, b"", 401)


@pytest.mark.rfc("7592", "5")
async def test_the_registration_access_token_changes_and_the_old_one_ends_with_the_first_use_of_the_new(office: Office):
    made = (await office.register()).json
    where, first = urlsplit(made["registration_client_uri"]).path, made["registration_access_token"]
    second = (await office.send("PUT", where, first, {"client_id": made["client_id"]})).json[
        "registration_access_token"
    ]

    lost = await office.send("GET", where, first)
    arrived = await office.send("GET", where, second)
    late = await office.send("GET", where, first)

    assert first != second
    assert (lost.status, arrived.status, late.status) == (200, 200, 401)


@pytest.mark.rfc("7592", "2.2")
@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "another"},
        {"client_secret": "another"},
        {"registration_access_token": "x"},
        {"client_secret_expires_at": 0},
        {"scope": "read admin"},
    ],
)
async def test_a_client_changes_nothing_but_its_metadata_and_within_the_limits(office: Office, change: dict[str, Any]):
    made = (await office.register()).json
    where = urlsplit(made["registration_client_uri"]).path

    answer = await office.send(
        "PUT", where, made["registration_access_token"], {"client_id": made["client_id"]} | change
    )

    assert (answer.status, answer.json["error"]) == (400, "invalid_client_metadata")


async def test_no_client_reaches_the_registration_of_another(office: Office):
    first, second = [(await office.register()).json for _ in range(2)]
    where = urlsplit(second["registration_client_uri"]).path

    for method in ("GET", "PUT", "DELETE"):
        for path in (where, f"{PATH}/manager", f"{PATH}/nobody"):
            body = {"client_id": path.rpartition("/")[2]} if method == "PUT" else None
            answer = await office.send(method, path, first["registration_access_token"], body)
            assert (answer.status, answer.json["error"]) == (401, "invalid_token")


async def test_registering_is_in_the_audit_log_and_the_tokens_are_not(office: Office):
    made = await office.register()
    token = await office.world.token("own")
    audit = await office.world.call("GET", "/audit?limit=1000", token)

    kinds = [one["kind"] for one in audit.json["items"]]
    actors = [one["actor"] for one in audit.json["items"] if one["kind"] == "register_client"]
    assert {"create_initial_token", "register_client"} <= set(kinds)
    assert actors[0].startswith("registration ")
    for secret in (office.initial, made.json["registration_access_token"], made.json["client_secret"]):
        assert secret.encode() not in audit.body


async def test_a_path_that_repeats_itself_is_nothing(office: Office):
    for times in (2, 3, 2000):
        assert (await office.send("GET", "/t/own" + "/register" * times, None)).status == 404
        assert (await office.send("GET", "/register" * times, None)).status == 404


async def test_a_token_that_is_refused_is_told_of_in_the_audit_log_without_the_token(office: Office):
    process, shown = office.world.process, "mmi_wrong-one"
    await office.send("POST", PATH, shown, METADATA)
    await office.send("GET", f"{PATH}/manager", "mmr_wrong-one")
    for _ in range(3):
        await office.world.call("GET", "/tenants", "mm_wrong-one")
    await process.send(Request("GET", f"/openapi/v1/{'1' * 32}/sites", {"authorization": "AccessToken=wrong-one"}, b""))
    await process.application._recording.write_events()
    records = [one for one in await list_audit(process.administration, limit=9) if one.kind == "credentials_refused"]
    entries = [[one.tenant_id, *entry] for one in records for entry in json.loads(one.body)["entries"]]

    assert sorted((str(entry[0]), entry[3], entry[5]) for entry in entries) == [
        ("None", "invalid_token", 4),
        ("own", "invalid_registration_token", 2),
    ]
    assert all("wrong-one" not in one.body for one in records)
