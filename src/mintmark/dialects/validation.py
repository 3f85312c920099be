"""What msgspec says of a wrong value, in the words of the file that it came from."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec.inspect import DictType, LiteralType, NoneType, StructType, UnionType, type_info

STEP: Final = re.compile(r"[^.\[\]]+")


def describe_validation_error(error: msgspec.ValidationError, shape: type) -> str:
    """Turn msgspec's `message - at `$.a.b`` into `a.b: message`; where few values are valid, name them.

    Args:
        shape: what the value was to be converted to.
    """
    message, _, place = str(error).partition(" - at `$")
    key = place.rstrip("`").lstrip(".")
    if message.startswith("Invalid enum value"):
        message += f"; one of {', '.join(map(str, list_values(shape, key)))}"
    return f"{key}: {message}" if key else message


def list_values(shape: type, key: str) -> tuple[Any, ...]:
    """Return the values of the closed list that stands at a key such as `a.b[0].c`."""
    kind = _some(type_info(shape))
    for step in STEP.findall(key):
        kind = _some(_inside(kind, step))
    return kind.values if isinstance(kind, LiteralType) else ()


def _inside(kind: Any, step: str) -> Any:
    if isinstance(kind, StructType):
        return next(field.type for field in kind.fields if field.encode_name == step)
    return kind.value_type if isinstance(kind, DictType) else kind.item_type


def _some(kind: Any) -> Any:
    """The part of `X | None` that is not None."""
    if isinstance(kind, UnionType):
        return next(one for one in kind.types if not isinstance(one, NoneType))
    return kind
