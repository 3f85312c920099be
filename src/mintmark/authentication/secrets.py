"""Client ids and secrets as this program makes them, and the recognition of a secret of generated form.

A generated secret is 256 random bits with a prefix and a checksum, so that a scanner can find a leaked one:
`mms_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}`. Where a system fixes the form (Omada: 32 hex), that form rules.
"""

from __future__ import annotations

import base64
import re
import secrets
import string
import zlib
from collections.abc import Callable
from typing import Final, Literal

from mintmark.protocol.secret import Secret

SecretForm = Literal["mintmark", "hex32"]
ClientIdForm = Literal["readable", "alphanumeric", "hex32"]

PREFIX: Final = "mms_"
RANDOM_OCTETS: Final = 32
CHECKSUM_LENGTH: Final = 6
MINTMARK_SECRET: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}[0-9A-Za-z]{{{CHECKSUM_LENGTH}}}")
HEX32: Final = re.compile(r"[0-9a-f]{32}")
BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
ALPHANUMERIC_LENGTH: Final = 34


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(BASE62))
        digits = BASE62[digit] + digits
    return digits


def _mintmark_secret() -> str:
    text = PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(RANDOM_OCTETS)).decode().rstrip("=")
    return text + _checksum(text)


def _is_mintmark_secret(text: str) -> bool:
    return MINTMARK_SECRET.fullmatch(text) is not None and _checksum(text[:-CHECKSUM_LENGTH]) == text[-CHECKSUM_LENGTH:]


def _hex32() -> str:
    return secrets.token_hex(16)


def _alphanumeric() -> str:
    return "".join(secrets.choice(BASE62) for _ in range(ALPHANUMERIC_LENGTH))


def _readable_client_id() -> str:
    return "mmc_" + secrets.token_hex(12)


SECRET_FORMS: Final[dict[SecretForm, Callable[[], str]]] = {"mintmark": _mintmark_secret, "hex32": _hex32}
CLIENT_ID_FORMS: Final[dict[ClientIdForm, Callable[[], str]]] = {
    "readable": _readable_client_id,
    "alphanumeric": _alphanumeric,
    "hex32": _hex32,
}


def generate_secret(form: SecretForm = "mintmark") -> Secret:
    """Make a client secret from the system's CSPRNG: 256 bits, or the 128 that `hex32` holds."""
    return Secret(SECRET_FORMS[form]())


def generate_client_id(form: ClientIdForm = "readable") -> str:
    """Make a client id, of characters that every client encodes alike (`A-Z a-z 0-9 _`)."""
    return CLIENT_ID_FORMS[form]()


def is_generated(secret: Secret, form: SecretForm) -> bool:
    """Tell whether a secret has the generated form: it is then of full entropy, and a fast keyed hash suffices."""
    text = secret.reveal()
    return HEX32.fullmatch(text) is not None if form == "hex32" else _is_mintmark_secret(text)
