"""Introspection: who may ask, what is said of a live token, and that nothing else is ever called alive.

RFC: 7662, RFC: 9701. JWTs and opaque tokens alike: most tests run for both.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import ECKey, KeySet

from mintmark.admin.clients import disable_client, remove_client
from mintmark.admin.keys import list_keys, revoke_key
from mintmark.admin.tenants import suspend_tenant
from mintmark.tokens.keys import open_signing_key
from tests.life.jwts import decode, encode, read_part, write_part
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
    token_request,
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


@pytest.mark.parametrize("dialect", ["ciam", "wso2", "oneaccess", "omada"])
@pytest.mark.parametrize("as_jwt", [True, False])
async def test_every_dialect_tells_both_forms(world: World, dialect: str, as_jwt: bool):
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


# JWTs that look like ours.

Forge = Callable[[World, Caller, str], Awaitable[str]]


async def own_key(world: World) -> tuple[ECKey, dict[str, object]]:
    """The published key of the tenant, as its resource servers have it."""
    jwk = (await world.send(Sent("GET", "/t/std/oauth2/jwks", {}))).json["keys"][0]
    return ECKey.import_key(jwk), jwk


async def resign(world: World, header: dict[str, object], claims: dict[str, object]) -> str:
    """Sign anything with the tenant's own private key: what only this server could do by mistake."""
    record = (await list_keys(world.administration, "std"))[0]
    key = open_signing_key(record, world.administration.sealing_key)
    text = f"{write_part(header)}.{write_part(claims)}"
    return f"{text}.{encode(key.sign(text.encode()))}"


async def with_alg_none(world: World, caller: Caller, token: str) -> str:
    header = read_part(token, 0) | {"alg": "none"}
    return f"{write_part(header)}.{token.split('.')[1]}."


async def with_alg_none_and_the_signature(world: World, caller: Caller, token: str) -> str:
    header = read_part(token, 0) | {"alg": "none"}
    return ".".join([write_part(header), *token.split(".")[1:]])


async def signed_with_the_public_key_as_a_secret(world: World, caller: Caller, token: str) -> str:
    key, _ = await own_key(world)
    pem = key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = f"{write_part(read_part(token, 0) | {'alg': 'HS256'})}.{token.split('.')[1]}"
    return f"{text}.{encode(hmac.digest(pem, text.encode(), hashlib.sha256))}"


async def with_more_scope(world: World, caller: Caller, token: str) -> str:
    head, _, signature = token.split(".")
    return f"{head}.{write_part(read_part(token, 1) | {'scope': 'admin'})}.{signature}"


async def with_a_changed_signature(world: World, caller: Caller, token: str) -> str:
    head, payload, signature = token.split(".")
    octets = bytearray(decode(signature))
    octets[7] ^= 1
    return f"{head}.{payload}.{encode(bytes(octets))}"


async def with_a_key_of_its_own_in_the_header(world: World, caller: Caller, token: str) -> str:
    key = ECKey.generate_key("P-256")
    header = read_part(token, 0) | {"jwk": key.as_dict(private=False)}
    return jws.serialize_compact(header, decode(token.split(".")[1]), key)


async def of_a_foreign_key_under_our_kid(world: World, caller: Caller, token: str) -> str:
    return jws.serialize_compact(read_part(token, 0), decode(token.split(".")[1]), ECKey.generate_key("P-256"))


async def with_crit(world: World, caller: Caller, token: str) -> str:
    return await resign(world, read_part(token, 0) | {"crit": ["exp"]}, read_part(token, 1))


async def without_kid(world: World, caller: Caller, token: str) -> str:
    header = read_part(token, 0)
    del header["kid"]
    return await resign(world, header, read_part(token, 1))


async def with_another_spelling_of_the_signature(world: World, caller: Caller, token: str) -> str:
    """The last character of 64 octets in base64url carries four bits that nobody reads."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(token[-1]) ^ 1]
    assert decode(token[:-1] + other) == decode(token) or decode((token[:-1] + other).split(".")[2])
    return token[:-1] + other


async def with_padding(world: World, caller: Caller, token: str) -> str:
    return token + "=="


async def with_the_standard_alphabet(world: World, caller: Caller, token: str) -> str:
    while "-" not in token.split(".")[2] and "_" not in token.split(".")[2]:
        token = await world.token(caller)
    return token.replace("-", "+").replace("_", "/")


async def with_a_line_break(world: World, caller: Caller, token: str) -> str:
    return token[:-4] + "\n" + token[-4:]


async def with_a_part_more(world: World, caller: Caller, token: str) -> str:
    return token + "." + token.split(".")[2]


async def of_another_client(world: World, caller: Caller, token: str) -> str:
    """Even our own signature does not move a token to another client: the `jti` is bound to the first."""
    other = await world.add_client("std")
    return await resign(world, read_part(token, 0), read_part(token, 1) | {"client_id": other.client_id})


async def with_a_jti_of_its_own(world: World, caller: Caller, token: str) -> str:
    claims = read_part(token, 1) | {"jti": "1b4e28ba-2fa1-4d1b-883f-0016d3cca427"}
    return await resign(world, read_part(token, 0), claims)


async def of_another_issuer(world: World, caller: Caller, token: str) -> str:
    return await resign(world, read_part(token, 0), read_part(token, 1) | {"iss": ISSUER + "other"})


async def without_exp(world: World, caller: Caller, token: str) -> str:
    claims = read_part(token, 1)
    del claims["exp"]
    return await resign(world, read_part(token, 0), claims)


FORGERIES = [
    with_alg_none,
    with_alg_none_and_the_signature,
    signed_with_the_public_key_as_a_secret,
    with_more_scope,
    with_a_changed_signature,
    with_a_key_of_its_own_in_the_header,
    of_a_foreign_key_under_our_kid,
    with_crit,
    without_kid,
    with_another_spelling_of_the_signature,
    with_padding,
    with_the_standard_alphabet,
    with_a_line_break,
    with_a_part_more,
    of_another_client,
    with_a_jti_of_its_own,
    of_another_issuer,
    without_exp,
]


@pytest.mark.rfc("8725", "3.1")
@pytest.mark.rfc("7515", "5.2")
@pytest.mark.parametrize("forge", FORGERIES)
async def test_a_jwt_that_this_server_did_not_issue_is_never_active(jwt_world: World, forge: Forge):
    caller, resource = await jwt_world.add_client("std"), await jwt_world.add_resource("std")
    token = await jwt_world.token(caller)
    forged = await forge(jwt_world, caller, token)

    assert await jwt_world.is_active(resource, token)
    assert await jwt_world.introspect(resource, forged) == {"active": False}
    assert (await jwt_world.send(show("std", f"Bearer {forged}".replace("\n", " ")))).status == 401


async def test_what_the_forgeries_rest_on_is_a_token_that_would_live(jwt_world: World):
    """Signed again by the same hand without a change, it is active: the changes are what the others die of."""
    caller = await jwt_world.add_client("std")
    token = await jwt_world.token(caller)

    assert await jwt_world.is_active(caller, await resign(jwt_world, read_part(token, 0), read_part(token, 1)))


async def test_a_jwt_of_another_tenant_is_never_active(jwt_world: World):
    await jwt_world.add_tenant("other", form="jwt")
    there = await jwt_world.add_client("other", "same", audience=("api1",))
    here = await jwt_world.add_client("std", "same", audience=("api1",))
    resource = await jwt_world.add_resource("std", "api1")
    token = await jwt_world.token(there)

    assert await jwt_world.introspect(resource, token) == {"active": False}
    assert await jwt_world.introspect(here, token) == {"active": False}
    assert (await jwt_world.send(show("std", f"Bearer {token}"))).status == 401


@pytest.mark.rfc("8725", "3.12")
@pytest.mark.parametrize("token_form", FORMS)
async def test_an_id_token_of_oneaccess_is_never_active(world: World, token_form: str):
    await world.add_tenant("cloud", "oneaccess", form=token_form)
    caller = await world.add_client("cloud")
    resource = await world.add_resource("cloud", caller.client_id)
    issued = await world.issue(caller)

    assert await world.is_active(resource, issued["access_token"])
    for one in (caller, resource):
        assert await world.introspect(one, issued["id_token"]) == {"active": False}
    assert (await world.send(show("cloud", f"Bearer {issued['id_token']}"))).status == 401


# Signed answers.

SIGNED = "application/token-introspection+jwt"


async def ask_signed(world: World, caller: Caller, token: str, accept: str = SIGNED) -> str:
    sent = inquiry(caller, "introspect", token)
    answer = await world.send(sent._replace(headers={**sent.headers, "accept": accept}))
    assert answer.status == 200
    assert answer.headers["content-type"] == SIGNED
    return answer.body.decode()


@pytest.mark.rfc("9701", "5")
@pytest.mark.parametrize(
    "accept", [SIGNED, "application/json;q=0.5, application/token-introspection+jwt", SIGNED.upper()]
)
async def test_who_accepts_a_signed_answer_gets_one_for_himself_alone(std: World, accept: str):
    caller, resource = await std.add_client("std"), await std.add_resource("std")
    token = await std.token(caller)
    keys = KeySet.import_key_set((await std.send(Sent("GET", "/t/std/oauth2/jwks", {}))).json)
    signed = jws.deserialize_compact(await ask_signed(std, resource, token, accept), keys, ["ES256"])
    claims = json.loads(signed.payload)

    assert signed.headers()["typ"] == "token-introspection+jwt"
    assert claims == {
        "iss": ISSUER + "std",
        "aud": resource.client_id,
        "iat": int(std.clock.now),
        "token_introspection": await std.introspect(resource, token),
    }
    assert claims["token_introspection"]["active"] is True


@pytest.mark.rfc("9701", "5")
async def test_a_signed_answer_on_a_dead_token_says_no_more_than_that(std: World):
    caller = await std.add_client("std")

    assert read_part(await ask_signed(std, caller, "x"), 1)["token_introspection"] == {"active": False}


@pytest.mark.rfc("9701", "8.1")
async def test_a_signed_answer_is_no_access_token(std: World):
    """Neither shown to a resource nor introspected; nor does it become one by being told about itself."""
    caller = await std.add_client("std", resources=(ISSUER + "std",))
    signed = await ask_signed(std, caller, await std.token(caller))

    assert (await std.send(show("std", f"Bearer {signed}"))).status == 401
    assert await std.introspect(caller, signed) == {"active": False}


async def test_who_does_not_ask_for_a_signed_answer_gets_plain_json(std: World):
    caller = await std.add_client("std")
    sent = inquiry(caller, "introspect", await std.token(caller))
    answer = await std.send(sent._replace(headers={**sent.headers, "accept": "application/json, */*"}))

    assert answer.headers["content-type"] == "application/json"


async def test_a_token_request_shows_that_the_expected_values_are_not_our_own(std: World):
    """The tests above rest on issued tokens being alive for what the answer says."""
    caller = await std.add_client("std")
    answer = await std.send(token_request(caller))

    assert msgspec.json.decode(answer.body)["expires_in"] == 600
