"""Opaque tokens: random text in the form that the system's tokens have; only its digest is kept."""

from __future__ import annotations

import base64
import hashlib
import string
from collections.abc import Callable
from typing import Final

from mintmark.grants.rules import Alphabet, OpaqueForm

Randomness = Callable[[int], bytes]

ALPHANUMERIC: Final = string.ascii_uppercase + string.ascii_lowercase + string.digits
UNBIASED: Final = 256 - 256 % len(ALPHANUMERIC)
UUID_OCTETS: Final = 16


def mint_opaque(form: OpaqueForm, randomness: Randomness) -> str:
    """Make an opaque token: the prefix and `length` random characters of the alphabet. RFC: 6749 section 10.10."""
    return form.prefix + WRITERS[form.alphabet](form.length, randomness)


def digest_token(token: str) -> bytes:
    """Return the SHA-256 digest under which a token is kept; its entropy makes a slow hash needless."""
    return hashlib.sha256(token.encode()).digest()


def format_uuid(octets: bytes) -> str:
    """Write 16 octets in the form of a UUID, all 128 bits of them random: a version 4 UUID would hold but 122."""
    text = octets.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _hex(length: int, randomness: Randomness) -> str:
    return randomness((length + 1) // 2).hex()[:length]


def _base64url(length: int, randomness: Randomness) -> str:
    return base64.urlsafe_b64encode(randomness((length * 6 + 7) // 8)).decode()[:length]


def _uuid(length: int, randomness: Randomness) -> str:
    return format_uuid(randomness(UUID_OCTETS))


def _alphanumeric(length: int, randomness: Randomness) -> str:
    """Octets of 248 and more are thrown away, so that each character is as likely as another."""
    text = ""
    while len(text) < length:
        octets = randomness(length + 8)
        text += "".join([ALPHANUMERIC[octet % len(ALPHANUMERIC)] for octet in octets if octet < UNBIASED])
    return text[:length]


WRITERS: Final[dict[Alphabet, Callable[[int, Randomness], str]]] = {
    "hex": _hex,
    "base64url": _base64url,
    "uuid": _uuid,
    "alphanumeric": _alphanumeric,
}
