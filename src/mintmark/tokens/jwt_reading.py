"""Reading a JWT of our own: the key by its `kid`, the algorithm by the key, the signature before any claim.

RFC: 7515 section 5.2, RFC: 8725 sections 3.1, 3.10.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from mintmark.protocol.errors import MintmarkError
from mintmark.tokens.keys import VerifyingKey

MAX_OCTETS: Final = 16_384
STANDARD: Final = bytes.maketrans(b"-_", b"+/")


class JwtUnreadable(MintmarkError):
    """Not a JWT, or not signed by one of these keys."""


def read_jwt(text: str, keys: Mapping[str, VerifyingKey]) -> tuple[str, dict[str, Any]]:
    """Return the `typ` and the claims of a JWT that one of the keys signed. Raises: JwtUnreadable."""
    if len(text) > MAX_OCTETS or not text.isascii():
        raise JwtUnreadable("too long, or not ASCII")
    signing_input, _, signature = text.encode().rpartition(b".")
    header_text, _, payload_text = signing_input.partition(b".")
    header = _read_object(header_text)
    key = keys.get(str(header.get("kid")))
    # `crit` names what a verifier must understand, and there is nothing here that it could be.
    if key is None or header.get("alg") != key.alg or "crit" in header:
        raise JwtUnreadable("no such key")
    if not key.verify(_decode(signature), signing_input):
        raise JwtUnreadable("the signature is wrong")
    return str(header.get("typ")), _read_object(payload_text)


def read_unverified_issuer(text: str) -> str:
    """Return the `iss` that a JWT claims, empty if none: good for choosing who judges it, and for nothing else."""
    try:
        return str(_read_object(text.encode("utf-8", "replace")[:MAX_OCTETS].split(b".")[1]).get("iss", ""))
    except (JwtUnreadable, IndexError):
        return ""


def _read_object(text: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(_decode(text))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise JwtUnreadable("not JSON") from error
    if not isinstance(value, dict):
        raise JwtUnreadable("not a JSON object")
    return value


def _decode(text: bytes) -> bytes:
    """Decode base64url without padding, strictly: another spelling of the same octets is another token."""
    try:
        octets = binascii.a2b_base64(text.translate(STANDARD) + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error as error:
        raise JwtUnreadable("not base64url") from error
    if (
        b"+" in text
        or b"/" in text
        or binascii.b2a_base64(octets, newline=False).rstrip(b"=") != text.translate(STANDARD)
    ):
        raise JwtUnreadable("not base64url in its one form")
    return octets
