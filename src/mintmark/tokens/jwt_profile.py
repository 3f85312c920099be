"""JWT access tokens: the header and claims that a system's rules list, in their order, signed.

RFC: 7515 section 3.1, RFC: 9068 section 2.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec

from mintmark.grants.policy import AccessGrant
from mintmark.grants.rules import ClaimRow, ClaimValue
from mintmark.protocol.scope import format_scope
from mintmark.tokens.keys import SigningKey
from mintmark.tokens.opaque import format_uuid4

JTI_OCTETS: Final = 16
_encode_json = msgspec.json.Encoder().encode


class Moment(msgspec.Struct, frozen=True, gc=False):
    """What a JWT has beside its grant: when it is made, how long it lives (seconds), and the octets of its `jti`."""

    now: int
    lifetime_s: int
    jti: bytes


CLAIM_VALUES: Final[dict[ClaimValue, Callable[[AccessGrant, Moment], Any]]] = {
    "issuer": lambda grant, moment: grant.issuer,
    "client_id": lambda grant, moment: grant.client_id,
    "audience": lambda grant, moment: grant.audience if len(grant.audience) > 1 else grant.audience[0],
    "scope": lambda grant, moment: format_scope(grant.scope) or None,
    "scope_array": lambda grant, moment: grant.scope or None,
    "issued_at": lambda grant, moment: moment.now,
    "expires_at": lambda grant, moment: moment.now + moment.lifetime_s,
    "jwt_id": lambda grant, moment: format_uuid4(moment.jti),
}
"""Each claim value of the closed list that needs no key; None leaves the claim out."""


def write_claims(rows: tuple[ClaimRow, ...], grant: AccessGrant, moment: Moment) -> dict[str, Any]:
    """Return the claims that rows list, in order. A value that needs a key is left to the caller."""
    claims: dict[str, Any] = {}
    for row in rows:
        if row.value is None:
            claims[row.claim] = row.constant
        elif (write := CLAIM_VALUES.get(row.value)) is not None and (
            value := write(grant, moment)
        ) is not None:
            claims[row.claim] = value
    return claims


def mint_jwt(grant: AccessGrant, moment: Moment, key: SigningKey) -> str:
    """Make a signed JWT access token. RFC: 9068 section 2."""
    form = grant.rules.jwt
    payload = _encode_json(write_claims(form.claims, grant, moment))
    if form.escape_slash:
        payload = payload.replace(b"/", b"\\/")
    return sign_jwt(encode_header(form.header, grant.token.typ, key.alg, key.kid), payload, key)


def sign_jwt(header: bytes, payload: bytes, key: SigningKey) -> str:
    """Return the compact form of a JWS over a payload; the header comes in base64url. RFC: 7515 section 3.1."""
    signing_input = header + b"." + _base64url(payload)
    return (signing_input + b"." + _base64url(key.sign(signing_input))).decode()


@lru_cache(maxsize=1024)
def encode_header(names: tuple[str, ...], typ: str, alg: str, kid: str) -> bytes:
    """Return a JOSE header in base64url, its members in the order given. RFC: 7515 section 4.1."""
    values = {"typ": typ, "alg": alg, "kid": kid}
    return _base64url(_encode_json({name: values[name] for name in names}))


def _base64url(octets: bytes) -> bytes:
    text = binascii.b2a_base64(octets, newline=False).rstrip(b"=")
    return text.translate(_URL_SAFE)


_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
