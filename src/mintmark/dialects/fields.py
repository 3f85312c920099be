"""The closed table of field codecs: how one value of a success body is written in JSON, and read back.

A value that no codec can spell earns a new codec here, with tests; a dialect file cannot bring its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from mintmark.protocol.secret import Secret


class FieldError(Exception):
    """A value on the wire is not of its codec's form."""


class FieldCodec(NamedTuple):
    """How one kind of value goes to JSON and comes back."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def _read_string(value: object) -> str:
    if not isinstance(value, str):
        raise FieldError("a string is wanted")
    return value


def _read_secret(value: object) -> Secret:
    text = _read_string(value)
    if not text:
        raise FieldError("an empty token")
    return Secret(text)


def _read_seconds(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise FieldError("a whole number of seconds is wanted")
    return value


FIELD_CODECS: Final[dict[str, FieldCodec]] = {
    "token": FieldCodec(Secret.reveal, _read_secret),
    "string": FieldCodec(str, _read_string),
    "seconds": FieldCodec(int, _read_seconds),
}

SUCCESS_FIELDS: Final[dict[str, str]] = {
    "access_token": "token",
    "token_type": "string",
    "expires_in": "seconds",
    "scope": "string",
    "refresh_token": "token",
    "id_token": "token",
}
"""Each canonical member of a token response (RFC: 6749 section 5.1) and the codec that it must have."""

REQUEST_FIELDS: Final = frozenset(
    {"grant_type", "client_id", "client_secret", "scope", "refresh_token", "tenant_identifier"}
)
"""Each canonical member of a token request that a dialect may place."""
