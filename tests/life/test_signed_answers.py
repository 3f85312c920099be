"""Introspection answers as JWTs: for who asks so, for him alone, and of no use as a token.

RFC: 9701.
"""

from __future__ import annotations

import json

import pytest
import pytest_asyncio
from joserfc import jws
from joserfc.jwk import KeySet

from tests.life.jwts import read_part
from tests.life.world import ISSUER, Caller, Sent, World, inquiry, show


@pytest_asyncio.fixture(params=["jwt", "opaque"])
async def std(request: pytest.FixtureRequest, world: World) -> World:
    """A tenant of the standard dialect whose tokens have the form."""
    await world.add_tenant("std", form=request.param, lifetime_s=600)
    return world


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
