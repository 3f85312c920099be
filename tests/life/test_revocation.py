"""Revocation: a client ends its own token, at once, everywhere, and nobody else's.

RFC: 7009.
"""

from __future__ import annotations

from typing import Any

import pytest

from mintmark.protocol.errors import SettingsError
from tests.life.jwts import read_part
from tests.life.serving import LifeServer, read_token
from tests.life.world import Sent, World, inquiry, post, show

FORMS = ["jwt", "opaque"]


@pytest.mark.rfc("7009", "2.2")
@pytest.mark.parametrize("form", FORMS)
async def test_a_revoked_token_is_dead_and_the_others_live_on(world: World, form: str):
    await world.add_tenant("std", form=form)
    caller, other = await world.add_client("std"), await world.add_client("std")
    tokens = [await world.token(caller) for _ in range(3)] + [await world.token(other)]
    answer = await world.revoke(caller, tokens[1])

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == "0"
    assert answer.headers["cache-control"] == "no-store"
    owners = [caller, caller, caller, other]
    assert [await world.is_active(owner, token) for owner, token in zip(owners, tokens, strict=True)] == [
        True,
        False,
        True,
        True,
    ]
    assert (await world.send(show("std", f"Bearer {tokens[1]}"))).status == 401
    assert (await world.send(show("std", f"Bearer {tokens[0]}"))).status == 200


@pytest.mark.rfc("7009", "2.2")
@pytest.mark.parametrize(
    ("dialect", "form"), [(name, form) for name in ("oauth2", "ciam", "wso2") for form in FORMS] + [("omada", "opaque")]
)
async def test_an_unknown_and_an_already_revoked_token_are_no_error(world: World, dialect: str, form: str):
    await world.add_tenant("omada", dialect, form=form, reuse=False)
    caller = await world.add_client("omada")
    token = await world.token(caller)
    answers = [await world.revoke(caller, one) for one in (token, token, "x", "a.b.c", token[:-1])]

    assert [answer.status for answer in answers] == [200] * 5
    assert not await world.is_active(caller, token)


async def test_an_expired_token_is_no_error_and_leaves_no_row(world: World):
    await world.add_tenant("std", form="jwt", lifetime_s=10)
    caller = await world.add_client("std")
    token = await world.token(caller)
    world.clock.now += 10
    assert (await world.revoke(caller, token)).status == 200
    world.clock.now -= 10

    assert await world.is_active(caller, token)


@pytest.mark.parametrize("form", FORMS)
async def test_a_token_from_a_node_whose_clock_is_ahead_is_revoked_on_the_others(world: World, form: str):
    await world.add_tenant("std", form=form)
    caller = await world.add_client("std")
    world.clock.now += 30
    token = await world.token(caller)
    world.clock.now -= 30
    assert (await world.revoke(caller, token)).status == 200
    world.clock.now += 30

    assert not await world.is_active(caller, token)


@pytest.mark.rfc("7009", "2.1")
@pytest.mark.parametrize("hint", ["refresh_token", "access_token", "pet"])
@pytest.mark.parametrize("kind", ["accessToken", "refreshToken"])
async def test_a_wrong_hint_still_finds_the_token(world: World, kind: str, hint: str):
    await world.add_tenant("omada", "omada")
    caller = await world.add_client("omada")
    token = (await world.issue(caller))[kind]
    assert (await world.revoke(caller, token, token_type_hint=hint)).status == 200

    assert not await world.is_active(caller, token)


@pytest.mark.rfc("7009", "2.1")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("dialect", "status", "error"),
    [
        ("oauth2", 400, "unauthorized_client"),
        ("ciam", 401, "invalid_client"),
        ("wso2", 401, "unauthorized_client"),
    ],
)
async def test_a_token_of_another_client_is_refused_and_lives(
    world: World, form: str, dialect: str, status: int, error: str
):
    await world.add_tenant("std", dialect, form=form, reuse=False)
    caller, thief = await world.add_client("std"), await world.add_client("std", resources=("api1",))
    token = await world.token(caller)
    answer = await world.revoke(thief, token)

    assert (answer.status, answer.json["error"]) == (status, error)
    assert await world.is_active(caller, token)


@pytest.mark.rfc("7009", "2.1")
@pytest.mark.parametrize("dialect", ["oauth2", "ciam", "wso2"])
@pytest.mark.parametrize("wrong", ["no credentials", "wrong secret"])
async def test_who_is_not_authenticated_revokes_nothing(world: World, dialect: str, wrong: str):
    await world.add_tenant("std", dialect)
    caller = await world.add_client("std")
    token = await world.token(caller)
    asked = inquiry(caller._replace(client_secret="no"), "revoke", token)
    if wrong == "no credentials":
        asked = post("/t/std/oauth2/revoke", {"token": token})
    answer = await world.send(asked)

    assert answer.status == 401
    assert await world.is_active(caller, token)


@pytest.mark.rfc("7009", "2")
@pytest.mark.parametrize("wrong", ["GET", "in the URL", "missing", "twice"])
async def test_a_malformed_request_revokes_nothing(world: World, wrong: str):
    await world.add_tenant("std", form="opaque")
    caller = await world.add_client("std")
    token = await world.token(caller)
    path, basic = "/t/std/oauth2/revoke", caller.basic
    twice = post(path, {}, authorization=basic)._replace(body=f"token={token}&token={token}".encode())
    asked = {
        "GET": Sent("GET", f"{path}?token={token}", {"authorization": basic}),
        "in the URL": post(f"{path}?token={token}", {}, authorization=basic),
        "missing": post(path, {}, authorization=basic),
        "twice": twice,
    }[wrong]
    answer = await world.send(asked)

    assert answer.status == (405 if wrong == "GET" else 400)
    assert answer.json["error"] == "invalid_request"
    assert await world.is_active(caller, token)


async def test_a_token_that_was_handed_out_twice_is_minted_anew_after_it_was_revoked(world: World):
    await world.add_tenant("w", "wso2")
    caller = await world.add_client("w")
    token = await world.token(caller)
    assert await world.token(caller) == token
    await world.revoke(caller, token)
    fresh = await world.token(caller)

    assert fresh != token
    assert await world.is_active(caller, fresh)
    assert not await world.is_active(caller, token)


# Families.


@pytest.mark.rfc("7009", "2.1")
async def test_a_revoked_refresh_token_takes_its_family_with_it(world: World):
    await world.add_tenant("omada", "omada")
    caller = await world.add_client("omada")
    first, apart = await world.issue(caller), await world.issue(caller)
    second = (await world.refresh(caller, first["refreshToken"]))["result"]
    assert (await world.revoke(caller, second["refreshToken"])).status == 200

    for dead in (first["accessToken"], second["accessToken"], second["refreshToken"]):
        assert not await world.is_active(caller, dead)
    assert (await world.refresh(caller, second["refreshToken"]))["errorCode"] == -1001
    for alive in (apart["accessToken"], apart["refreshToken"]):
        assert await world.is_active(caller, alive)


async def test_a_revoked_access_token_dies_alone(world: World):
    await world.add_tenant("omada", "omada")
    caller = await world.add_client("omada")
    issued = await world.issue(caller)
    await world.revoke(caller, issued["accessToken"])

    assert not await world.is_active(caller, issued["accessToken"])
    assert await world.is_active(caller, issued["refreshToken"])
    assert (await world.refresh(caller, issued["refreshToken"]))["errorCode"] == 0


@pytest.mark.rfc("7009", "2.1")
@pytest.mark.rfc("9700", "4.14.2")
async def test_a_revoked_refresh_token_that_was_spent_takes_its_family_with_it(world: World):
    await world.add_tenant("omada", "omada")
    caller, other = await world.add_client("omada"), await world.add_client("omada")
    first, apart = await world.issue(caller), await world.issue(caller)
    second = (await world.refresh(caller, first["refreshToken"]))["result"]
    refused = await world.revoke(other, first["refreshToken"])
    assert (refused.status, refused.body != b"") == (400, True)
    assert await world.is_active(caller, second["accessToken"])
    assert (await world.revoke(caller, first["refreshToken"])).status == 200

    for dead in (first["accessToken"], second["accessToken"], second["refreshToken"]):
        assert not await world.is_active(caller, dead)
    assert (await world.refresh(caller, second["refreshToken"]))["errorCode"] == -1001
    assert await world.is_active(caller, apart["accessToken"])


async def test_a_spent_refresh_token_that_has_expired_ends_nothing(world: World):
    await world.add_tenant("omada", "omada")
    caller = await world.add_client("omada")
    first = await world.issue(caller)
    world.clock.now += 1_209_600 - 10
    second = (await world.refresh(caller, first["refreshToken"]))["result"]
    world.clock.now += 10
    assert (await world.revoke(caller, first["refreshToken"])).status == 200

    assert await world.is_active(caller, second["accessToken"])


async def test_a_jwt_never_comes_with_a_refresh_token_that_could_not_end_it(world: World):
    """It has no row by which its family would find it."""
    with pytest.raises(SettingsError, match="refresh token"):
        await world.add_tenant("omada", "omada", form="jwt")


# WSO2's own ways.


async def wso2_caller(world: World, **rules: Any):
    await world.add_tenant("w", "wso2", **rules)
    return await world.add_client("w", "meter-7")


@pytest.mark.parametrize("rules", [{}, {"form": "jwt", "reuse": False}])
async def test_wso2_names_what_was_revoked_and_whose_it_was(world: World, rules: dict[str, Any]):
    caller = await wso2_caller(world, **rules)
    token = await world.token(caller)
    answer = await world.revoke(caller, token)

    assert answer.headers == {
        "content-length": "0",
        "content-type": "application/json",
        "cache-control": "no-store",
        "pragma": "no-cache",
        "revokedaccesstoken": token,
        "authorizeduser": "meter-7",
    }
    assert (answer.status, answer.body) == (200, b"")


async def test_wso2_names_nothing_when_nothing_was_revoked(world: World):
    caller = await wso2_caller(world)
    token = await world.token(caller)
    await world.revoke(caller, token)
    for dead in (token, "x"):
        answer = await world.revoke(caller, dead)
        assert (answer.status, answer.body) == (200, b"")
        assert {"revokedaccesstoken", "authorizeduser"}.isdisjoint(answer.headers)


async def test_other_systems_name_nothing(world: World):
    for dialect in ("oauth2", "ciam", "oneaccess"):
        await world.add_tenant(dialect, dialect)
        caller = await world.add_client(dialect)
        answer = await world.revoke(caller, await world.token(caller))
        assert {"revokedaccesstoken", "authorizeduser"}.isdisjoint(answer.headers)


async def test_wso2_refuses_bad_clients_as_html_with_a_challenge(world: World):
    caller = await wso2_caller(world)
    token = await world.token(caller)
    answer = await world.send(inquiry(caller._replace(client_secret="no"), "revoke", token))

    assert answer.status == 401
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["www-authenticate"] == "Basic realm=id.example"
    assert answer.json == {"error": "invalid_client", "error_description": "Client Authentication failed."}


@pytest.mark.rfc("7009", "2.3")
async def test_wso2_wraps_its_answers_for_a_callback(world: World):
    caller = await wso2_caller(world)
    token = await world.token(caller)
    done = await world.revoke(caller, token, callback="package.myCallback")
    refused = await world.send(inquiry(caller._replace(client_secret="no"), "revoke", token, callback="x"))
    missing = await world.send(inquiry(caller, "revoke", None, callback="x"))

    assert (done.status, done.body, done.headers["content-type"]) == (
        200,
        b"package.myCallback();",
        "application/javascript",
    )
    assert (refused.status, refused.headers["content-type"]) == (401, "application/javascript")
    assert refused.body.startswith(b'x({"error":"invalid_client"')
    assert missing.body == b'x({"error":"invalid_request","error_description":"Invalid revocation request"});'
    assert not await world.is_active(caller, token)


@pytest.mark.parametrize("callback", ["alert(1)//", "x y", "<script>", "1x", "a" * 101, "x;y"])
async def test_a_callback_that_is_no_name_is_not_written(world: World, callback: str):
    caller = await wso2_caller(world)
    answer = await world.revoke(caller, await world.token(caller), callback=callback)

    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"", "application/json")


async def test_other_systems_know_no_callback(world: World):
    await world.add_tenant("std")
    caller = await world.add_client("std")
    answer = await world.revoke(caller, await world.token(caller), callback="x")

    assert (answer.status, answer.body) == (200, b"")


# Every process.


@pytest.mark.rfc("7009", "2")
@pytest.mark.parametrize("form", FORMS)
def test_what_one_worker_revoked_is_dead_in_every_other_at_once(pair: LifeServer, form: str):
    tenant = f"revoke-{form}"
    pair.add_tenant(tenant, form=form)
    caller = pair.add_client(tenant)
    one, two = pair.connect()
    assert one.pid != two.pid
    for minter, killer, judge in ((one, one, two), (one, two, one), (two, one, two)) * 5:
        token, other = read_token(minter.issue(caller)), read_token(minter.issue(caller))
        assert judge.is_active(caller, token)
        assert killer.send(inquiry(caller, "revoke", token)).status == 200
        assert not judge.is_active(caller, token)
        assert not killer.is_active(caller, token)
        assert judge.is_active(caller, other)


def test_a_revoked_jti_is_kept_apart_by_tenant_and_token(pair: LifeServer):
    pair.add_tenant("jti-a", form="jwt")
    caller = pair.add_client("jti-a")
    one, two = pair.connect()
    token, other = read_token(one.issue(caller)), read_token(two.issue(caller))
    assert read_part(token, 1)["jti"] != read_part(other, 1)["jti"]
    two.send(inquiry(caller, "revoke", other))

    assert [worker.is_active(caller, token) for worker in (one, two)] == [True, True]
    assert [worker.is_active(caller, other) for worker in (one, two)] == [False, False]
