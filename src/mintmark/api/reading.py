"""Reading a request by its row's types, strictly: what is unknown, repeated or of another type is named and refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, get_args
from urllib.parse import parse_qsl

import msgspec

from mintmark.api.operation import Operation
from mintmark.api.problems import Fault, Refusal
from mintmark.protocol.http import HttpRequest
from mintmark.protocol.secret import Secret

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
ADMIT_JSON: Final = frozenset({JSON, "application/*", "*/*"})
MAX_ENTITY_TAGS: Final = 20
ENTITY_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
UNKNOWN_MEMBER: Final = re.compile(r"Object contains unknown field `(.*?)`", re.DOTALL)
PLACE: Final = re.compile(r" - at `(?:key in )?\$(.*)`$", re.DOTALL)
STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


def read_query(operation: Operation, query: bytes) -> msgspec.Struct:
    """Read the query. Raises: Refusal (`invalid-query`)."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except (UnicodeDecodeError, ValueError) as error:
        raise Refusal("invalid-query", "The query is not form-encoded.") from error
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise Refusal("invalid-query", faults=(Fault("It stands twice.", parameter=name),))
    try:
        return msgspec.convert(dict(pairs), operation.query, strict=False)
    except msgspec.ValidationError as error:
        text, place = _split(str(error))
        raise Refusal("invalid-query", faults=(_query_fault(text, place, operation.query),)) from error


def _query_fault(text: str, place: str, query: type[msgspec.Struct]) -> Fault:
    if unknown := UNKNOWN_MEMBER.match(text):
        return Fault(_unknown(unknown[1], query.__struct_encode_fields__), parameter=unknown[1])
    return Fault(text, parameter=place.lstrip("."))


def read_body(operation: Operation, request: HttpRequest) -> msgspec.Struct | None:
    """Read the body. Raises: Refusal (`unsupported-media-type`, `malformed-request`, `invalid-values`)."""
    if operation.takes is None:
        return None
    require_json(operation, request.headers)
    try:
        return _decoder(operation.takes).decode(request.body)
    except msgspec.ValidationError as error:
        raise Refusal("invalid-values", faults=(_body_fault(str(error), operation.takes),)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal("malformed-request", "The body is not JSON.") from error


def require_json(operation: Operation, headers: Mapping[bytes, bytes]) -> None:
    """Refuse a body that says that it is something else. RFC: 9110 section 15.5.16."""
    given, _, parameters = headers.get(b"content-type", b"").decode("latin-1").partition(";")
    wanted = (JSON, MERGE_PATCH) if operation.method == "PATCH" else (JSON,)
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if given.strip().lower() not in wanted or charset not in {"", "utf-8"} or coding != b"identity":
        raise Refusal("unsupported-media-type", headers=(("accept", ", ".join(wanted)),))


@lru_cache
def _decoder(wanted: type[msgspec.Struct]) -> msgspec.json.Decoder[msgspec.Struct]:
    return msgspec.json.Decoder(wanted, dec_hook=read_secret)


def read_secret(wanted: type, value: Any) -> Any:
    """Take a text in as a `Secret`, for msgspec. Raises: ValueError."""
    if wanted is Secret and isinstance(value, str):
        return Secret(value)
    raise ValueError("Expected `str`")  # msgspec adds where


def _body_fault(text: str, wanted: type[msgspec.Struct]) -> Fault:
    text, place = _split(text)
    pointer = "".join(f"/{name or index}" for name, index in STEP.findall(place))
    if unknown := UNKNOWN_MEMBER.match(text):
        known = tuple(dict.fromkeys(_member_names(wanted)))
        return Fault(_unknown(unknown[1], known), pointer=f"#{pointer}/{_escape(unknown[1])}")
    return Fault(text, pointer=f"#{pointer}")


def _split(text: str) -> tuple[str, str]:
    """Take msgspec's message and the place that it names apart."""
    place = PLACE.search(text)
    return (text[: place.start()], place[1]) if place else (text, "")


def _escape(name: str) -> str:
    """Write a member's name in a JSON pointer. RFC: 6901 section 3."""
    return name.replace("~", "~0").replace("/", "~1")


def _unknown(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"There is no {name[:100]!r} here.{hint}"


def _member_names(wanted: Any) -> Iterator[str]:
    """The members of a type and of the types within it, for a suggestion."""
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        for field in msgspec.structs.fields(wanted):
            yield field.encode_name
            yield from _member_names(field.type)
    for inner in get_args(wanted):
        yield from _member_names(inner)


def require_acceptable(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a caller that takes no JSON. RFC: 9110 section 12.5.1. Raises: Refusal (`not-acceptable`)."""
    accept = headers.get(b"accept", b"").decode("latin-1").lower()
    if accept.strip() and not any(_admits_json(part) for part in accept.split(",")):
        raise Refusal("not-acceptable")


def _admits_json(media_range: str) -> bool:
    media, *parameters = (one.strip() for one in media_range.split(";"))
    weight = next((one[2:] for one in parameters if one.startswith("q=")), "1")
    return media in ADMIT_JSON and weight.strip("0.") != ""


def read_if_match(headers: Mapping[bytes, bytes]) -> int | None:
    """Return the version that `If-Match` asks for; None for any; one that is never there if it names no version.

    Raises: Refusal (`malformed-request`). RFC: 9110 section 13.1.1.
    """
    value = headers.get(b"if-match", b"*").decode("latin-1").strip()
    if value == "*":
        return None
    tags = read_entity_tags("If-Match", value)
    if len(tags) != 1:
        raise Refusal("malformed-request", "If-Match names one version, or *.")
    text = tags[0].strip('"')
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= 18 else 0


def is_unchanged(headers: Mapping[bytes, bytes], etag: str) -> bool:
    """Tell whether `If-None-Match` knows this entity tag. RFC: 9110 section 13.1.2."""
    value = headers.get(b"if-none-match")
    if value is None:
        return False
    text = value.decode("latin-1").strip()
    tags = [] if text == "*" else read_entity_tags("If-None-Match", text)
    return text == "*" or etag in {tag.removeprefix("W/") for tag in tags}


def read_entity_tags(name: str, value: str) -> list[str]:
    """Return the entity tags of a header. Raises: Refusal (`malformed-request`). RFC: 9110 section 8.8.3."""
    tags = [tag.strip() for tag in value.split(",")]
    if len(tags) > MAX_ENTITY_TAGS or not all(ENTITY_TAG.fullmatch(tag) for tag in tags):
        raise Refusal("malformed-request", f"{name} holds no entity tags.")
    return tags
