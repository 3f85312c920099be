"""JWTs that look like ours: whatever this server did not issue as an access token of this tenant is never active.

RFC: 7515 section 5.2, RFC: 8725 sections 3.1 and 3.12.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import ECKey

from mintmark.admin.keys import list_keys
from mintmark.tokens.keys import open_signing_key
from tests.life.jwts import decode, encode, read_part, write_part
from tests.life.world import ISSUER, Caller, Sent, World, show


@pytest_asyncio.fixture
async def jwt_world(world: World) -> World:
    await world.add_tenant("std", form="jwt", lifetime_s=600)
    return world


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


async def with_another_alg_in_the_header(world: World, caller: Caller, token: str) -> str:
    """Signed by our own key, rightly, under a name that is not the key's: the key says what it is, not the token."""
    return await resign(world, read_part(token, 0) | {"alg": "RS256"}, read_part(token, 1))


async def with_the_typ_of_another_kind(world: World, caller: Caller, token: str) -> str:
    return await resign(world, read_part(token, 0) | {"typ": "token-introspection+jwt"}, read_part(token, 1))


async def without_typ(world: World, caller: Caller, token: str) -> str:
    header = read_part(token, 0)
    del header["typ"]
    return await resign(world, header, read_part(token, 1))


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
    with_another_alg_in_the_header,
    with_the_typ_of_another_kind,
    without_typ,
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
@pytest.mark.parametrize("token_form", ["jwt", "opaque"])
async def test_an_id_token_of_oneaccess_is_never_active(world: World, token_form: str):
    await world.add_tenant("cloud", "oneaccess", form=token_form)
    caller = await world.add_client("cloud")
    resource = await world.add_resource("cloud", caller.client_id)
    issued = await world.issue(caller)

    assert await world.is_active(resource, issued["access_token"])
    for one in (caller, resource):
        assert await world.introspect(one, issued["id_token"]) == {"active": False}
    assert (await world.send(show("cloud", f"Bearer {issued['id_token']}"))).status == 401
