"""JWTs: the header and claims that a system's rules list, in their order, signed.

What many tokens share (issuer, audience, scope) is written once and kept as a template.
RFC: 7515 section 3.1, RFC: 9068 section 2.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec

from mintmark.grants.policy import AccessGrant
from mintmark.grants.rules import ClaimRow, ClaimValue, JwtForm
from mintmark.protocol.scope import format_scope
from mintmark.tokens.keys import SigningKey

JTI_OCTETS: Final = 16
MAX_TEMPLATES: Final = 4096
PLACE: Final = re.compile(rb"\x00([a-z_]+)\x00")
URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_encode_json = msgspec.json.Encoder().encode


class Subject(msgspec.Struct, frozen=True):
    """What many JWTs share."""

    issuer: str
    audience: tuple[str, ...]
    scope: tuple[str, ...]


class Moment(msgspec.Struct, frozen=True, gc=False):
    """What is new in every JWT: the claims `iat` and `exp` (seconds since 1970-01-01T00:00:00Z), and `jti`."""

    now: int
    expires_at: int
    jwt_id: str


CLAIM_VALUES: Final[dict[ClaimValue, Callable[[Subject], Any]]] = {
    "issuer": lambda subject: subject.issuer,
    "audience": lambda subject: subject.audience if len(subject.audience) > 1 else subject.audience[0],
    "scope": lambda subject: format_scope(subject.scope) or None,
    "scope_array": lambda subject: subject.scope or None,
}
"""The claim values that many tokens share; None leaves the claim out. The others are places."""


def mint_jwt(grant: AccessGrant, moment: Moment, key: SigningKey) -> str:
    """Make a signed JWT access token. RFC: 9068 section 2."""
    form = grant.rules.jwt
    return sign_jwt(form, grant.token.typ, write_payload(form, grant, moment), key)


def write_payload(form: JwtForm, grant: AccessGrant, moment: Moment, **others: bytes) -> bytes:
    """Write the claims of a form as JSON.

    Args:
        others: JSON text of values that need a key, by the name of the claim value.
    """
    values: dict[bytes, bytes] = {
        b"issued_at": b"%d" % moment.now,
        b"expires_at": b"%d" % moment.expires_at,
        b"jwt_id": b'"%b"' % moment.jwt_id.encode(),
        b"client_id": _write_json(form, grant.client_id),
    }
    for name, value in others.items():
        values[name.encode()] = value
    return _template(form, grant.issuer, grant.audience, grant.scope) % values


@lru_cache(maxsize=MAX_TEMPLATES)
def _template(form: JwtForm, issuer: str, audience: tuple[str, ...], scope: tuple[str, ...]) -> bytes:
    """Return the payload as a format for `%`, with a place for each value that is new in every token."""
    payload = _write_json(form, _static_claims(form.claims, Subject(issuer, audience, scope)))
    return PLACE.sub(rb"%(\1)b", payload.replace(b"%", b"%%"))


def _write_json(form: JwtForm, value: Any) -> bytes:
    text = _encode_json(value)
    return text.replace(b"/", b"\\/") if form.escape_slash else text


def _static_claims(rows: tuple[ClaimRow, ...], subject: Subject) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    for row in rows:
        if row.value is None:
            claims[row.claim] = row.constant
        elif row.value not in CLAIM_VALUES:
            # JSON text never holds a NUL, so nothing that a caller chose can look like a place.
            claims[row.claim] = msgspec.Raw(b"\x00%b\x00" % row.value.encode())
        elif (value := CLAIM_VALUES[row.value](subject)) is not None:
            claims[row.claim] = value
    return claims


def sign_jwt(form: JwtForm, typ: str, payload: bytes, key: SigningKey) -> str:
    """Return the compact form of a JWS over a payload. RFC: 7515 section 3.1."""
    signing_input = encode_header(form.header, typ, key.alg, key.kid) + _base64url(payload)
    return (signing_input + b"." + _base64url(key.sign(signing_input))).decode()


@lru_cache(maxsize=1024)
def encode_header(names: tuple[str, ...], typ: str, alg: str, kid: str) -> bytes:
    """Return a JOSE header in base64url and a dot, its members in the order given. RFC: 7515 section 4.1."""
    values = {"typ": typ, "alg": alg, "kid": kid}
    return _base64url(_encode_json({name: values[name] for name in names})) + b"."


def _base64url(octets: bytes) -> bytes:
    return binascii.b2a_base64(octets, newline=False).rstrip(b"=").translate(URL_SAFE)
