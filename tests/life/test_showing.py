"""Showing a token to a resource: each system's spelling, its refusals, and where the resource describes itself.

RFC: 6750, RFC: 9728.
"""

from __future__ import annotations

import pytest

from tests.life.world import ISSUER, Sent, World, show

METADATA = "https://id.example/.well-known/oauth-protected-resource/t/std/oauth2/check"
POINTER = f'resource_metadata="{METADATA}"'


@pytest.mark.rfc("6750", "2.1")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
@pytest.mark.parametrize("form", ["jwt", "opaque"])
async def test_a_live_token_is_let_in_whatever_the_case_of_the_scheme(world: World, form: str, scheme: str):
    await world.add_tenant("std", form=form)
    caller = await world.add_client("std", audience=("api1",))
    answer = await world.send(show("std", f"{scheme} {await world.token(caller)}"))

    assert answer.status == 200
    assert answer.json == {
        "client_id": caller.client_id,
        "scope": "read write",
        "aud": ["api1"],
        "exp": int(world.clock.now) + 3600,
    }
    assert (answer.headers["x-client-id"], answer.headers["x-scope"]) == (caller.client_id, "read write")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.rfc("6750", "3.1")
@pytest.mark.rfc("9728", "5.1")
@pytest.mark.parametrize("authorization", [None, "Basic eDp5", "Bearer", "Bearer ", "Token x", "AccessToken=x"])
async def test_who_shows_nothing_is_told_where_to_look_and_of_no_error(world: World, authorization: str | None):
    await world.add_tenant("std")
    answer = await world.send(show("std", authorization))

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == f"Bearer {POINTER}"


@pytest.mark.rfc("6750", "3")
@pytest.mark.parametrize("state", ["bogus", "revoked", "expired"])
async def test_a_token_that_will_not_do_is_an_invalid_token(world: World, state: str):
    await world.add_tenant("std", form="opaque")
    caller = await world.add_client("std")
    token = "x" if state == "bogus" else await world.token(caller)
    if state == "revoked":
        await world.revoke(caller, token)
    world.clock.now += 3600 if state == "expired" else 0
    answer = await world.send(show("std", f"Bearer {token}"))
    description = "The access token is invalid, expired or revoked."

    assert answer.status == 401
    assert answer.json == {"error": "invalid_token", "error_description": description}
    assert answer.headers["www-authenticate"] == (
        f'Bearer error="invalid_token", error_description="{description}", {POINTER}'
    )


@pytest.mark.rfc("6750", "3.1")
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200),
        ("?scope=read", 200),
        ("?scope=write%20read", 200),
        ("?scope=write+read", 200),
        ("?scope=admin", 403),
        ("?scope=read%20admin", 403),
        ("?scope=rea", 403),
        ("?scope=read&scope=admin", 400),
    ],
)
async def test_a_scope_that_the_token_lacks_is_asked_for_in_the_query(world: World, query: str, status: int):
    await world.add_tenant("std")
    caller = await world.add_client("std")
    answer = await world.send(show("std", f"Bearer {await world.token(caller)}", query))

    assert answer.status == status
    if status == 403:
        assert answer.json["error"] == "insufficient_scope"
        assert answer.headers["www-authenticate"].startswith('Bearer error="insufficient_scope", error_description="')
        assert answer.headers["www-authenticate"].endswith(POINTER)


@pytest.mark.rfc("6750", "3.1")
@pytest.mark.parametrize("form", ["jwt", "opaque"])
@pytest.mark.parametrize(("audience", "status"), [("api1", 200), ("api2", 200), ("api3", 401), ("api", 401)])
async def test_an_audience_that_the_token_is_not_meant_for_is_asked_for_in_the_query(
    world: World, form: str, audience: str, status: int
):
    await world.add_tenant("std", form=form)
    caller = await world.add_client("std", audience=("api1", "api2"))
    answer = await world.send(show("std", f"Bearer {await world.token(caller)}", f"?audience={audience}"))

    assert answer.status == status
    assert answer.headers.get("x-audience") == ("api1 api2" if status == 200 else None)
    assert status == 200 or answer.json["error"] == "invalid_token"


@pytest.mark.rfc("6750", "2.3")
async def test_a_token_in_the_query_is_not_shown(world: World):
    await world.add_tenant("std")
    caller = await world.add_client("std")

    assert (await world.send(show("std", None, f"?access_token={await world.token(caller)}"))).status == 401


async def test_a_refresh_token_opens_nothing(world: World):
    await world.add_tenant("omada", "omada")
    caller = await world.add_client("omada")
    issued = await world.issue(caller)
    answer = await world.send(show("omada", f"AccessToken={issued['refreshToken']}"))

    assert answer.json["errorCode"] == -44113


@pytest.mark.rfc("9728", "3.2")
async def test_the_resource_describes_itself_where_its_refusal_points(world: World):
    await world.add_tenant("std")
    for path in (METADATA.removeprefix("https://id.example"), "/.well-known/oauth-protected-resource/oauth2/check"):
        answer = await world.send(Sent("GET", path, {}))
        assert answer.status == 200
        assert answer.json == {
            "resource": ISSUER + "std/oauth2/check",
            "authorization_servers": [ISSUER + "std"],
            "bearer_methods_supported": ["header"],
            "jwks_uri": ISSUER + "std/oauth2/jwks",
        }
        assert answer.headers["cache-control"].startswith("public, max-age=")


# Other systems.


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("AccessToken={}", 0),
        ("accesstoken={}", 0),
        ("Bearer {}", -44113),
        ("AccessToken {}", -44113),
        ("AccessToken=", -44113),
        ("AccessToken=x", -44113),
        (None, -44113),
    ],
)
async def test_omada_shows_its_token_in_its_own_way(world: World, authorization: str | None, code: int):
    await world.add_tenant("omada", "omada")
    caller = await world.add_client("omada")
    shown = None if authorization is None else authorization.format(await world.token(caller))
    answer = await world.send(show("omada", shown))

    assert answer.json.get("errorCode", 0) == code
    assert ("client_id" in answer.json) is (code == 0)
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("dialect", ["oauth2", "ciam", "wso2", "oneaccess", "omada"])
async def test_no_refusal_looks_like_a_success_to_a_gateway_that_reads_the_status_alone(world: World, dialect: str):
    """nginx's auth_request lets in whatever is answered with 2xx, and Omada's own errors are answered with 200."""
    await world.add_tenant("omada", dialect)
    caller = await world.add_client("omada")
    way = "AccessToken=" if dialect == "omada" else "Bearer "
    token = way + await world.token(caller)
    assert (await world.send(show("omada", token))).status == 200
    for authorization, query, status in ((None, "", 401), (way + "x", "", 401), (token, "?scope=admin", 403)):
        expected = 400 if dialect == "ciam" and authorization is None else status
        assert (await world.send(show("omada", authorization, query))).status == expected


CIAM = 'error_uri="https://tools.ietf.org/html/rfc6750#section-3.1"'


@pytest.mark.parametrize(
    ("state", "status", "error", "description"),
    [
        ("none", 400, "invalid_request", "Bearer token not found in the request"),
        ("bogus", 401, "invalid_token", "Error decoding JWT"),
        ("revoked", 401, "invalid_token", "Error decoding JWT"),
        ("expired", 401, "invalid_token", "Error decoding JWT"),
        (
            "no scope",
            403,
            "insufficient_scope",
            "The request requires higher privileges than provided by the access token.",
        ),
    ],
)
async def test_ciam_refuses_in_the_header_and_leaves_the_body_empty(
    world: World, state: str, status: int, error: str, description: str
):
    await world.add_tenant("c", "ciam")
    caller = await world.add_client("c")
    token = await world.token(caller)
    if state == "revoked":
        await world.revoke(caller, token)
    world.clock.now += 300 if state == "expired" else 0
    shown = {"none": None, "bogus": "Bearer x"}.get(state, f"Bearer {token}")
    answer = await world.send(show("c", shown, "?scope=admin" if state == "no scope" else ""))

    assert (answer.status, answer.body) == (status, b"")
    assert answer.headers["www-authenticate"] == (f'Bearer error="{error}", error_description="{description}", {CIAM}')


async def test_oneaccess_refuses_in_the_body(world: World):
    await world.add_tenant("cloud", "oneaccess")
    caller = await world.add_client("cloud")
    token = await world.token(caller)
    refused = await world.send(show("cloud", "Bearer x"))
    narrow = await world.send(show("cloud", f"Bearer {token}", "?scope=admin"))

    assert (refused.status, refused.json) == (
        401,
        {"error": "invalid_token", "error_description": "Invalid access token."},
    )
    assert refused.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    assert (narrow.status, narrow.json["error"]) == (403, "insufficient_scope")


async def test_a_token_opens_its_own_tenants_resource_alone(world: World):
    await world.add_tenant("std", form="opaque")
    await world.add_tenant("other", form="opaque")
    caller = await world.add_client("std")
    token = await world.token(caller)

    assert (await world.send(show("std", f"Bearer {token}"))).status == 200
    assert (await world.send(show("other", f"Bearer {token}"))).status == 401
