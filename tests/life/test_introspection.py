"""Introspection: who may ask, what is said of a live token, and that nothing else is ever called alive.

RFC: 7662, RFC: 9701. JWTs and opaque tokens alike: most tests run for both.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from mintmark.admin.clients import disable_client, remove_client
from mintmark.admin.keys import revoke_key
from mintmark.admin.tenants import suspend_tenant
from tests.life.jwts import read_part
from tests.life.world import (
    FORM,
    INACTIVE,
    ISSUER,
    Caller,
    Clock,
    Sent,
    World,
    copy_state,
    inquiry,
    open_world,
    post,
    show,
)

FORMS = ["jwt", "opaque"]


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def std(world: World, form: str) -> World:
    """A tenant of the standard dialect whose tokens have the form."""
    await world.add_tenant("std", form=form, lifetime_s=600)
    return world


@pytest_asyncio.fixture
async def jwt_world(world: World) -> World:
    await world.add_tenant("std", form="jwt", lifetime_s=600)
    return world


# Who asks.


@pytest.mark.rfc("7662", "2.1")
@pytest.mark.rfc("7662", "2.3")
@pytest.mark.parametrize("wrong", ["no credentials", "wrong secret", "unknown client", "disabled caller"])
async def test_a_caller_that_is_not_authenticated_is_refused_with_401(std: World, wrong: str):
    caller = await std.add_client("std")
    token = await std.token(caller)
    if wrong == "disabled caller":
        other = await std.add_client("std")
        await disable_client(std.administration, "std", other.client_id, disabled=True)
        await std.application.refresh()
        asked = inquiry(other, "introspect", token)
    elif wrong == "no credentials":
        asked = post("/t/std/oauth2/introspect", {"token": token})
    else:
        changed = {"wrong secret": {"client_secret": "no"}, "unknown client": {"client_id": "no"}}[wrong]
        asked = inquiry(caller._replace(**changed), "introspect", token)
    answer = await std.send(asked)

    assert answer.status == 401
    assert answer.json["error"] == "invalid_client"
    assert "active" not in answer.json


@pytest.mark.rfc("7662", "2.1")
async def test_credentials_in_the_body_will_do(std: World):
    caller = await std.add_client("std")
    token = await std.token(caller)
    answer = await std.send(post("/t/std/oauth2/introspect", {"token": token, **caller.fields}))

    assert answer.json["active"] is True


@pytest.mark.rfc("7662", "4")
async def test_guessing_is_throttled(empty_state: Path, tmp_path: Path):
    world = await open_world(copy_state(empty_state, tmp_path), Clock(), failures_per_client=3)
    await world.add_tenant("std")
    caller = await world.add_client("std")
    wrong = inquiry(caller._replace(client_secret="no"), "introspect", "x")
    statuses = [(await world.send(wrong)).status for _ in range(4)]
    await world.close()

    assert statuses == [401, 401, 401, 429]


@pytest.mark.rfc("7662", "2.1")
async def test_get_is_refused(std: World):
    caller = await std.add_client("std")
    token = await std.token(caller)
    answer = await std.send(Sent("GET", f"/t/std/oauth2/introspect?token={token}", {"authorization": caller.basic}))

    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert "active" not in answer.json


@pytest.mark.rfc("7662", "4")
@pytest.mark.parametrize("in_body_too", [True, False])
async def test_a_token_in_the_url_is_refused(std: World, in_body_too: bool):
    caller = await std.add_client("std")
    token = await std.token(caller)
    fields = {"token": token} if in_body_too else {"token_type_hint": "access_token"}
    answer = await std.send(post(f"/t/std/oauth2/introspect?token={token}", fields, authorization=caller.basic))

    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


@pytest.mark.rfc("7662", "2.1")
@pytest.mark.parametrize("wrong", ["missing", "empty", "twice", "json"])
async def test_a_malformed_request_is_refused(std: World, wrong: str):
    caller = await std.add_client("std")
    token = await std.token(caller)
    body = {"missing": b"", "empty": b"token=", "twice": f"token={token}&token={token}".encode()}
    kind = "application/json" if wrong == "json" else FORM
    headers = {"content-type": kind, "authorization": caller.basic}
    octets = json.dumps({"token": token}).encode() if wrong == "json" else body[wrong]
    answer = await std.send(Sent("POST", "/t/std/oauth2/introspect", headers, octets))

    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


# What is said.


@pytest.mark.rfc("7662", "2.2")
async def test_a_live_token_is_told_in_the_words_of_the_rfc(std: World, form: str):
    caller = await std.add_client("std", audience=("api1",))
    resource = await std.add_resource("std", "api1")
    token = await std.token(caller)
    answer = await std.send(inquiry(resource, "introspect", token))
    expected = {
        "active": True,
        "scope": "read write",
        "client_id": caller.client_id,
        "token_type": "Bearer",
        "exp": int(std.clock.now) + 600,
        "iat": int(std.clock.now),
        "sub": caller.client_id,
        "aud": "api1",
        "iss": ISSUER + "std",
    }
    if form == "jwt":
        expected["jti"] = read_part(token, 1)["jti"]

    assert answer.json == expected
    assert answer.json["active"] is True
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.rfc("7662", "2.2")
async def test_several_audiences_are_an_array_and_one_scope_stays_a_string(std: World):
    caller = await std.add_client("std", audience=("api1", "https://api.example/2"))
    found = await std.introspect(caller, await std.token(caller, "write"))

    assert found["aud"] == ["api1", "https://api.example/2"]
    assert found["scope"] == "write"


async def test_a_token_without_scope_has_no_scope_member(std: World):
    caller = await std.add_client("std", scope=())

    assert "scope" not in await std.introspect(caller, await std.token(caller))


@pytest.mark.rfc("7662", "2.2")
async def test_the_client_id_is_that_of_the_token_not_of_the_caller(std: World):
    caller, resource = await std.add_client("std"), await std.add_resource("std")
    found = await std.introspect(resource, await std.token(caller))

    assert found["client_id"] == found["sub"] == caller.client_id != resource.client_id


async def test_wso2_tells_an_opaque_token_in_its_own_shape(world: World):
    await world.add_tenant("w", "wso2")
    caller = await world.add_client("w")
    found = await world.introspect(caller, await world.token(caller, "read"))
    now = int(world.clock.now)

    assert found == {
        "active": True,
        "nbf": now,
        "scope": "read",
        "token_type": "Bearer",
        "client_id": caller.client_id,
        "iat": now,
        "exp": now + 3600,
        "aut": "APPLICATION",
        "aud": caller.client_id,
    }


async def test_wso2_tells_a_jwt_with_jti_sub_and_iss(world: World):
    await world.add_tenant("w", "wso2", form="jwt", reuse=False)
    caller = await world.add_client("w")
    token = await world.token(caller)
    found = await world.introspect(caller, token)

    assert (found["jti"], found["sub"], found["iss"]) == (read_part(token, 1)["jti"], caller.client_id, ISSUER + "w")


@pytest.mark.parametrize(
    ("dialect", "as_jwt"),
    [(name, form) for name in ("ciam", "wso2", "oneaccess") for form in (True, False)] + [("omada", False)],
)
async def test_every_dialect_tells_every_form_that_it_has(world: World, dialect: str, as_jwt: bool):
    await world.add_tenant("omada", dialect, form="jwt" if as_jwt else "opaque", reuse=False)
    caller, stranger = await world.add_client("omada"), await world.add_client("omada")
    token = await world.token(caller)
    found = await world.introspect(caller, token)

    assert found["active"] is True
    assert found["client_id"] == caller.client_id
    assert found["exp"] > found["iat"] == int(world.clock.now)
    assert (token.count(".") == 2) is as_jwt
    assert await world.introspect(stranger, token) == {"active": False}


# Who may know.


@pytest.mark.rfc("7662", "4")
async def test_a_resource_server_sees_only_tokens_meant_for_it(std: World):
    for_one = await std.add_client("std", audience=("api1",))
    for_both = await std.add_client("std", audience=("api2", "api1"))
    one, two = await std.add_resource("std", "api1"), await std.add_resource("std", "api2")
    token, shared = await std.token(for_one), await std.token(for_both)

    assert await std.is_active(one, token)
    assert await std.introspect(two, token) == {"active": False}
    assert await std.is_active(one, shared)
    assert await std.is_active(two, shared)


async def test_a_resource_server_of_several_audiences_sees_the_tokens_of_each(std: World):
    resource = await std.add_resource("std", "api1", "api2")
    for audience, seen in {"api1": True, "api2": True, "api3": False, "api": False}.items():
        caller = await std.add_client("std", audience=(audience,))
        assert await std.is_active(resource, await std.token(caller)) is seen


@pytest.mark.rfc("7662", "4")
async def test_a_client_sees_only_its_own_tokens(std: World):
    one, two = await std.add_client("std", audience=("api1",)), await std.add_client("std", audience=("api1",))
    token = await std.token(one)

    assert await std.is_active(one, token)
    assert await std.introspect(two, token) == {"active": False}


async def test_a_client_of_the_same_id_in_another_tenant_sees_nothing(std: World, form: str):
    await std.add_tenant("other", form=form)
    here = await std.add_client("std", "same")
    there = await std.add_client("other", "same", resources=(ISSUER + "std",))

    assert await std.introspect(there, await std.token(here)) == {"active": False}


async def test_a_resource_server_sees_no_refresh_token(world: World):
    """It would take for an access token what lives a hundred times as long. The client itself may ask."""
    await world.add_tenant("omada", "omada")
    caller, resource = await world.add_client("omada"), await world.add_resource("omada")
    issued = await world.issue(caller)

    assert await world.is_active(resource, issued["accessToken"])
    assert await world.introspect(resource, issued["refreshToken"]) == {"active": False}
    assert (await world.introspect(caller, issued["refreshToken"]))["token_type"] == "refresh_token"


@pytest.mark.rfc("7662", "2.1")
@pytest.mark.parametrize("hint", ["refresh_token", "access_token", "pet", ""])
async def test_a_wrong_hint_still_finds_the_token(std: World, hint: str):
    caller = await std.add_client("std")

    assert (await std.introspect(caller, await std.token(caller), token_type_hint=hint))["active"] is True


async def test_a_wrong_hint_still_finds_a_refresh_token(world: World):
    await world.add_tenant("omada", "omada")
    caller = await world.add_client("omada")
    token = (await world.issue(caller))["refreshToken"]

    assert (await world.introspect(caller, token, token_type_hint="access_token"))["active"] is True


# What is dead.

Change = Callable[[World, Caller, str], Awaitable[None]]


async def expire(world: World, caller: Caller, token: str) -> None:
    world.clock.now += 600


async def come_early(world: World, caller: Caller, token: str) -> None:
    world.clock.now -= 6


async def revoke(world: World, caller: Caller, token: str) -> None:
    assert (await world.revoke(caller, token)).status == 200


async def disable(world: World, caller: Caller, token: str) -> None:
    await disable_client(world.administration, "std", caller.client_id, disabled=True)


async def disable_and_enable(world: World, caller: Caller, token: str) -> None:
    await disable(world, caller, token)
    await disable_client(world.administration, "std", caller.client_id, disabled=False)


async def remove(world: World, caller: Caller, token: str) -> None:
    await remove_client(world.administration, "std", caller.client_id)


async def register_again(world: World, caller: Caller, token: str) -> None:
    await remove(world, caller, token)
    await world.add_client("std", caller.client_id, client_secret=caller.client_secret, audience=("api1",))


async def suspend_and_resume(world: World, caller: Caller, token: str) -> None:
    await suspend_tenant(world.administration, "std", suspended=True)
    await suspend_tenant(world.administration, "std", suspended=False)


@pytest.mark.rfc("7662", "2.2")
@pytest.mark.rfc("7662", "4")
@pytest.mark.parametrize(
    "change", [expire, come_early, revoke, disable, disable_and_enable, remove, register_again, suspend_and_resume]
)
async def test_a_token_that_died_is_inactive_and_nothing_more_is_said(std: World, change: Change):
    caller = await std.add_client("std", audience=("api1",))
    resource = await std.add_resource("std", "api1")
    token = await std.token(caller)
    assert await std.is_active(resource, token)
    await change(std, caller, token)
    answer = await std.send(inquiry(resource, "introspect", token))

    assert (answer.status, answer.body) == (200, INACTIVE)


async def test_a_token_lives_to_its_last_second_and_not_into_the_next(std: World):
    caller = await std.add_client("std")
    token = await std.token(caller)
    std.clock.now += 599.9
    assert await std.is_active(caller, token)
    std.clock.now += 0.1
    assert not await std.is_active(caller, token)


async def test_another_nodes_clock_may_be_a_little_ahead(std: World):
    caller = await std.add_client("std")
    token = await std.token(caller)
    std.clock.now -= 5

    assert await std.is_active(caller, token)


async def test_a_client_registered_again_has_living_tokens_of_its_own(std: World):
    caller = await std.add_client("std")
    token = await std.token(caller)
    await register_again(std, caller, token)

    assert await std.is_active(caller, await std.token(caller))
    assert not await std.is_active(caller, token)


async def test_tokens_of_a_suspended_tenant_are_dead_to_everyone(std: World):
    caller = await std.add_client("std")
    token = await std.token(caller)
    await suspend_tenant(std.administration, "std", suspended=True)
    await std.application.refresh()

    assert (await std.send(inquiry(caller, "introspect", token))).status == 404
    assert (await std.send(show("std", f"Bearer {token}"))).status == 404


async def test_jwts_of_a_revoked_key_are_inactive_and_those_of_its_successor_are_not(jwt_world: World):
    caller = await jwt_world.add_client("std")
    token = await jwt_world.token(caller)
    await revoke_key(jwt_world.administration, "std", read_part(token, 0)["kid"])

    assert await jwt_world.introspect(caller, token) == {"active": False}
    assert await jwt_world.is_active(caller, await jwt_world.token(caller))


@pytest.mark.parametrize("text", ["x", "..", "a.b.c", "mmt_", "\x00", "é", "𝄞" * 50, "A" * 20_000])
async def test_what_was_never_issued_is_inactive(std: World, text: str):
    caller = await std.add_client("std")

    assert await std.introspect(caller, text) == {"active": False}
