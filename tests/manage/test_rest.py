"""The management API as HTTP: problems, conditions, pages, and what is refused."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mintmark.admin.clients import ClientRequest, register_clients
from mintmark.admin.tenants import TenantChanges, change_tenant
from mintmark.api.operation import PREFIX
from mintmark.api.table import TABLE
from mintmark.protocol.secret import Secret
from tests.endpoints.in_process import SECRET
from tests.endpoints.servers import Request
from tests.manage.asking import ask, fill, problem
from tests.manage.world import World

CLIENTS = "/tenants/own/clients"


@pytest.fixture
async def token(world: World) -> AsyncIterator[str]:
    yield await world.token("own")


async def test_a_client_is_registered_changed_and_removed(world: World, token: str):
    made = await world.call("POST", CLIENTS, token, {"client_id": "a/b", "scope": ["read"]})
    where = (made.header("location") or "").removeprefix(PREFIX)
    got = await world.call("GET", where, token)
    changed = await world.call("PATCH", where, token, {"client_name": "A", "token_rules": {"lifetime_s": 60}})
    disabled = await world.call("PATCH", where, token, {"is_disabled": True})
    removed = await world.call("DELETE", where, token)
    gone = await world.call("GET", where, token)

    assert (made.status, where) == (201, f"{CLIENTS}/a%2Fb")
    assert {**made.json, "client_secret": None} == {**got.json, "client_secret": None}
    assert (changed.json["client_name"], changed.json["token_rules"]) == ("A", {"lifetime_s": 60})
    assert changed.json["scope"] == ["read"]
    assert (disabled.json["is_disabled"], disabled.json["version"]) == (True, 3)
    assert (removed.status, removed.body) == (204, b"")
    assert problem(gone) == (404, "not-found")


async def test_a_tenant_is_created_changed_suspended_and_removed(world: World):
    token = await world.token("admin")
    body = {"tenant_id": "new", "dialect": "oauth2", "issuer": "https://id.example/t/new"}
    made = await world.call("POST", "/tenants", token, body)
    scopes = await world.call("PUT", "/tenants/new/scopes", token, {"scope": ["read"]})
    audiences = await world.call("PUT", "/tenants/new/audiences", token, {"audience": ["https://api.example"]})
    wide = await world.call("POST", "/tenants/new/clients", token, {"scope": ["write"]})
    suspended = await world.call("PATCH", "/tenants/new", token, {"is_suspended": True})
    removed = await world.call("DELETE", "/tenants/new", token)

    assert made.status == 201
    assert (scopes.json, audiences.json) == ({"scope": ["read"]}, {"audience": ["https://api.example"]})
    assert problem(wide) == (422, "invalid-values")
    assert suspended.json["token_rules"] == {"scope": ["read"], "audience": ["https://api.example"]}
    assert (suspended.json["is_suspended"], removed.status) == (True, 204)


async def test_secrets_are_added_rotated_reset_and_removed(world: World, token: str):
    await world.call("POST", CLIENTS, token, {"client_id": "a"})
    secrets = f"{CLIENTS}/a/secrets"
    added = await world.call("POST", secrets, token, {"label": "blue"})
    rotated = await world.call("POST", f"{secrets}/rotate", token, {"overlap_s": 60})
    listed = await world.call("GET", secrets, token)
    removed = await world.call("DELETE", f"{secrets}/{added.json['secret_id']}", token)
    reset = await world.call("POST", f"{secrets}/reset", token, {})
    last = await world.call("GET", secrets, token)

    assert (added.status, added.json["label"], rotated.status, removed.status) == (201, "blue", 201, 204)
    ends = world.process.clock.now + 60
    assert sorted(str(one["expires_at"]) for one in listed.json["items"]) == sorted([str(int(ends))] * 2 + ["None"])
    assert [one["secret_id"] for one in last.json["items"]] == [reset.json["secret_id"]]


async def test_keys_are_listed_rotated_and_revoked(world: World, token: str):
    before = (await world.call("GET", "/tenants/own/keys", token)).json["items"]
    rotated = await world.call("POST", "/tenants/own/keys", token, {"alg": "ES256"})
    early = await world.call("POST", "/tenants/own/keys", token, {"alg": "ES256", "announce_s": 1})
    revoked = await world.call("POST", f"/tenants/own/keys/{before[0]['kid']}/revoke", token)
    after = await world.call("GET", "/tenants/own/keys", token)

    assert [(key["state"], "d" in key["public_jwk"]) for key in before] == [("active", False)]
    assert (rotated.status, rotated.json["state"]) == (201, "announced")
    assert problem(early) == (422, "invalid-values")
    assert revoked.json["successor"]["state"] == "active"
    assert problem(after) == (401, "invalid-token"), "the key that signed the caller's token is revoked"


async def test_a_token_is_looked_up_and_revoked(world: World, token: str):
    other = await world.token("own", "clients:read")
    body = {"token": other}
    alive = await world.call("POST", "/tenants/own/tokens/lookup", token, body)
    revoked = await world.call("POST", "/tenants/own/tokens/revoke", token, body)
    again = await world.call("POST", "/tenants/own/tokens/revoke", token, body)
    dead = await world.call("POST", "/tenants/own/tokens/lookup", token, body)
    refused = await world.call("GET", CLIENTS, other)

    assert (alive.json["active"], alive.json["client_id"], alive.json["scope"]) == (True, "manager", ["clients:read"])
    assert (revoked.json, again.json, dead.json) == ({"revoked": True}, {"revoked": False}, {"active": False})
    assert problem(refused) == (401, "invalid-token")


async def test_a_token_is_revoked_by_what_the_audit_log_calls_it(world: World, token: str):
    other = await world.token("own", "clients:read")
    alive = await world.call("POST", "/tenants/own/tokens/lookup", token, {"token": other})
    gone = await world.call("DELETE", f"/tenants/own/tokens/{alive.json['name']}", token)
    wrong = await world.call("DELETE", "/tenants/own/tokens/somebody", token)

    assert (gone.status, problem(wrong)) == (204, (422, "invalid-values"))
    assert problem(await world.call("GET", CLIENTS, other)) == (401, "invalid-token")


# Conditions: RFC 9110 section 13.


@pytest.mark.rfc("9110", "13.1.1")
async def test_of_two_administrators_the_second_is_told_that_he_saw_an_old_state(world: World, token: str):
    made = await world.call("POST", CLIENTS, token, {"client_id": "a"})
    seen = made.header("etag") or ""

    first = await world.call("PATCH", f"{CLIENTS}/a", token, {"client_name": "first"}, if_match=seen)
    second = await world.call("PATCH", f"{CLIENTS}/a", token, {"client_name": "second"}, if_match=seen)

    assert (first.status, problem(second)) == (200, (412, "outdated"))
    assert (await world.call("GET", f"{CLIENTS}/a", token)).json["client_name"] == "first"


@pytest.mark.rfc("9110", "13.1.1")
async def test_of_parallel_changes_of_one_version_exactly_one_is_made(world: World, token: str):
    await world.call("POST", CLIENTS, token, {"client_id": "a"})
    admins = [world.call("PATCH", f"{CLIENTS}/a", token, {"client_name": str(i)}, if_match='"1"') for i in range(8)]

    answers = await asyncio.gather(*admins)

    assert sorted(answer.status for answer in answers) == [200] + [412] * 7
    assert (await world.call("GET", f"{CLIENTS}/a", token)).json["version"] == 2


@pytest.mark.rfc("9110", "13.1.1")
@pytest.mark.parametrize("operation", [one for one in TABLE.operations if one.is_versioned], ids=lambda one: one.name)
async def test_every_versioned_operation_minds_if_match(world: World, operation: Any):
    place = await fill(world, "own")
    token = await world.token("admin")
    path = operation.path.format_map(place)
    body = None if operation.takes is None else operation.example

    refused = await world.call(operation.method, path, token, body, if_match='"99"')
    unread = await world.call(operation.method, path, token, body, if_match="99")
    several = await world.call(operation.method, path, token, body, if_match='"1", "2"')
    any_one = await ask(world, operation, token, place)

    assert problem(refused) == (412, "outdated")
    assert (problem(unread), problem(several)) == ((400, "malformed-request"),) * 2
    assert any_one.status == operation.success


@pytest.mark.rfc("9110", "13.1.2")
async def test_what_is_known_already_is_not_sent_again(world: World, token: str):
    for path in ("/tenants/own", "/tenants/own/scopes", f"{CLIENTS}/manager"):
        etag = (await world.call("GET", path, token)).header("etag") or ""
        for known in (etag, f'"x", W/{etag}', "*"):
            answer = await world.call("GET", path, token, if_none_match=known)
            assert (answer.status, answer.body, answer.header("etag")) == (304, b"", etag)
        assert (await world.call("GET", path, token, if_none_match='"77"')).status == 200


async def test_a_condition_that_would_not_be_minded_is_refused(world: World, token: str):
    created = await world.call("POST", CLIENTS, token, {}, if_match='"1"')
    keyed = await world.call("POST", "/tenants/own/tokens/revoke", token, {"token": "x"}, idempotency_key="k")

    assert (problem(created), problem(keyed)) == ((400, "malformed-request"),) * 2


# Pages.


async def register_many(world: World, count: int) -> None:
    requests = [
        ClientRequest(tenant_id="own", client_id=f"c{number:05}", client_secret=Secret(SECRET))
        for number in range(count)
    ]
    await register_clients(world.process.administration, "own", requests)


async def test_pages_show_every_client_once_and_in_order(world: World, token: str):
    await register_many(world, 25)
    seen, path = [], f"{CLIENTS}?limit=10"
    while path:
        page = await world.call("GET", path, token)
        assert len(page.json["items"]) <= 10
        seen += [one["client_id"] for one in page.json["items"]]
        link = page.header("link")
        assert link == (page.json["next"] and f'<{page.json["next"]}>; rel="next"')
        path = (page.json["next"] or "").removeprefix(PREFIX)

    assert seen == [*(f"c{number:05}" for number in range(25)), "manager"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "cursor=!", "cursor=_w", "offset=1", "limit=1&limit=2"]
)
async def test_a_wrong_query_is_refused_by_its_name(world: World, token: str, query: str):
    answer = await world.call("GET", f"{CLIENTS}?{query}", token)

    assert problem(answer) == (400, "invalid-query")
    assert answer.json["errors"][0]["parameter"] == query.partition("=")[0]


async def test_a_cursor_of_another_tenant_shows_nothing_of_it(world: World, token: str):
    await register_many(world, 3)
    foreign = await world.token("foreign")
    cursor = (await world.call("GET", f"{CLIENTS}?limit=1", token)).json["next"].partition("?")[2]

    answer = await world.call("GET", f"/tenants/foreign/clients?{cursor}", foreign)

    assert [one["client_id"] for one in answer.json["items"]] == ["manager"]


# Bodies.


@pytest.mark.parametrize(
    ("body", "pointer", "text"),
    [
        ({"clientid": "a"}, "#/clientid", "'client_id'"),
        ({"token_rules": {"lifetime": 60}}, "#/token_rules/lifetime", "'lifetime_s'"),
        ({"scope": "read"}, "#/scope", "array"),
        ({"scope": ["a", 'b"']}, "#/scope/1", "regex"),
        ({"token_rules": {"lifetime_s": "60"}}, "#/token_rules/lifetime_s", "int"),
        ({"token_rules": {"alg": "none"}}, "#/token_rules/alg", "none"),
        ({"client_id": "a b"}, "#/client_id", "regex"),
        ({"grant_types": ["password"]}, "#/grant_types", "password"),
        ({"a/b~c": 1}, "#/a~1b~0c", "a/b~c"),
        ([], "#", "object"),
    ],
)
async def test_a_wrong_member_is_refused_by_its_name(world: World, token: str, body: Any, pointer: str, text: str):
    answer = await world.call("POST", CLIENTS, token, body)

    assert problem(answer) == (422, "invalid-values")
    assert answer.json["errors"][0]["pointer"] == pointer
    assert text in answer.json["errors"][0]["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"{}x", b"[" * 5000, b'{"client_name":"\\ud800"}'])
async def test_a_body_that_is_no_json_is_malformed(world: World, token: str, body: bytes):
    assert problem(await world.call("POST", CLIENTS, token, body))[0] in {400, 422}


async def test_a_body_is_bounded(world: World, token: str):
    large = {"client_name": "x" * 70_000}
    single = await world.call("POST", CLIENTS, token, large)
    batch = {"actions": [{"method": "POST", "path": f"{PREFIX}{CLIENTS}", "body": large}]}
    in_batch = await world.call("POST", "/batch", token, batch)
    too_large = await world.call("POST", "/batch", token, {"actions": [], "x": "x" * 1_100_000})

    assert problem(single) == (413, "body-too-large")
    assert in_batch.status == 200
    assert problem(too_large) == (413, "body-too-large")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/json; charset=latin-1"}, 415),
        ({"content_type": "application/merge-patch+json"}, 415),
        ({"content_encoding": "gzip"}, 415),
        ({"accept": "text/html"}, 406),
        ({"accept": "application/json;q=0"}, 406),
        ({"accept": "text/html, application/*;q=0.1"}, 201),
        ({"content_type": "application/json; charset=UTF-8"}, 201),
    ],
)
async def test_only_json_goes_in_and_out(world: World, token: str, sent: dict[str, str], status: int):
    answer = await world.call("POST", CLIENTS, token, {}, **sent)

    assert answer.status == status


async def test_a_change_may_call_itself_a_merge_patch(world: World, token: str):
    answer = await world.call(
        "PATCH", f"{CLIENTS}/manager", token, {"client_name": "m"}, content_type="application/merge-patch+json"
    )

    assert answer.json["client_name"] == "m"


# Refusals.


@pytest.mark.rfc("6750", "2.1")
@pytest.mark.parametrize("header", ["", "Basic eDp5", "Bearer", "Bearer a b", "AccessToken=x", "Bearer \xe9"])
async def test_what_is_no_bearer_token_is_no_token(world: World, header: str):
    answer = await world.call("GET", "/tenants", None, authorization=header.encode("latin-1").decode("latin-1"))

    assert problem(answer) == (401, "no-token")
    assert (answer.header("www-authenticate") or "").startswith("Bearer resource_metadata=")


@pytest.mark.rfc("6750", "2.3")
async def test_a_token_in_the_query_is_no_token(world: World, token: str):
    answer = await world.call("GET", f"/tenants?access_token={token}", None)

    assert problem(answer) == (401, "no-token")


@pytest.mark.rfc("6750", "3.1")
async def test_a_challenge_names_the_scope_that_would_do(world: World):
    answer = await world.call("GET", "/tenants", await world.token("own", "clients:read"))

    challenge = answer.header("www-authenticate") or ""
    assert problem(answer) == (403, "insufficient-scope")
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="tenants:read"' in challenge


@pytest.mark.rfc("9728", "5.1")
@pytest.mark.rfc("9728", "3.3")
async def test_the_challenge_leads_to_the_metadata_of_the_resource(world: World):
    challenge = (await world.call("GET", "/tenants", None)).header("www-authenticate") or ""
    url = re.findall('resource_metadata="([^"]+)"', challenge)[0]
    path = url.removeprefix("http://id.example")

    answer = await world.process.send(Request("GET", path, {"host": "id.example"}))

    assert answer.json["resource"] == "http://id.example/api/v1"
    assert url == "http://id.example/.well-known/oauth-protected-resource/api/v1"
    assert answer.json["bearer_methods_supported"] == ["header"]
    assert "clients:write" in answer.json["scopes_supported"]


OURS = ("id.example", "ID.example", "own.example", "own.example:8443")
FOREIGN = ("evil.example", "id.example.evil.example", "", "id.example@evil.example", 'x"')


@pytest.mark.rfc("9728", "3.3")
async def test_only_hosts_of_tenants_are_named_as_the_resource(world: World):
    await change_tenant(world.process.administration, "own", TenantChanges(hosts=("own.example",)))
    await world.process.application.refresh()
    path = "/.well-known/oauth-protected-resource/api/v1"
    for host in (*OURS, *FOREIGN):
        document = await world.process.send(Request("GET", path, {"host": host}))
        challenge = (await world.process.send(Request("GET", "/api/v1/tenants", {"host": host}))).header(
            "www-authenticate"
        )
        origin = f"http://{host.lower()}"
        if host in OURS:
            assert (document.status, document.json["resource"]) == (200, f"{origin}/api/v1")
            assert challenge == f'Bearer resource_metadata="{origin}{path}"'
        else:
            assert document.status in {400, 404}
            assert challenge in {"Bearer", None}


async def test_a_path_with_an_empty_segment_is_not_there(world: World, token: str):
    for path in ("//tenants", "/tenants//own", "//", "/tenants/own//"):
        assert problem(await world.call("GET", path, token)) == (404, "not-found")


async def test_every_path_answers_with_a_problem(world: World, token: str):
    for path in ("", "/", "/nothing", "/tenants/own/nothing", "/tenants/own/clients/a/b", "/batch/x", "/../x"):
        assert problem(await world.call("GET", path, token)) == (404, "not-found")


@pytest.mark.rfc("9110", "15.5.6")
async def test_a_method_that_is_not_there_is_answered_with_those_that_are(world: World, token: str):
    answer = await world.call("PUT", CLIENTS, token, {})

    assert problem(answer) == (405, "method-not-allowed")
    assert set((answer.header("allow") or "").split(", ")) == {"GET", "HEAD", "POST", "OPTIONS"}


async def test_head_tells_what_get_would(world: World, token: str):
    answer = await world.call("HEAD", "/tenants/own", token)

    assert (answer.status, answer.header("etag")) == (200, '"1"')


async def test_a_correlation_id_goes_back_the_callers_own_if_it_is_one(world: World, token: str):
    own = await world.call("GET", "/tenants", token, x_correlation_id="order-66")
    forged = await world.call("GET", "/tenants", token, x_correlation_id='a"b\\c')

    assert own.header("x-correlation-id") == "order-66"
    assert re.fullmatch("[0-9a-f-]{36}", forged.header("x-correlation-id") or "")


async def test_a_fault_of_ours_tells_its_number_and_nothing_else(world: World, token: str, tmp_path: Path):
    with sqlite3.connect(tmp_path / "var" / "mintmark.db") as damaged:
        damaged.execute("DROP TABLE client_secret")

    answer = await world.call("POST", CLIENTS, token, {})

    assert answer.status in {500, 503}
    assert set(answer.json) == {"type", "title", "status", "correlation_id"}
