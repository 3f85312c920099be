"""JSON in TEXT columns: what the store writes into them and reads back."""

from __future__ import annotations

from typing import Any, Final

import msgspec

_ENCODER: Final = msgspec.json.Encoder()
_NAMES: Final = msgspec.json.Decoder(tuple[str, ...])
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


def write_json(value: object) -> str:
    """Return the value as JSON text."""
    return _ENCODER.encode(value).decode("utf-8")


def read_names(text: str) -> tuple[str, ...]:
    """Return the strings of a JSON array. Raises: msgspec.DecodeError (another wrote the column)."""
    return _NAMES.decode(text)


def read_object(text: str) -> dict[str, Any]:
    """Return a JSON object. Raises: msgspec.DecodeError (another wrote the column)."""
    return _OBJECT.decode(text)
