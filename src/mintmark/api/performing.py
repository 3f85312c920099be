"""How an operation is carried out, alone or in a batch: permission, reading, the verb, the answer, or the problem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, cast

import msgspec
import structlog

from mintmark.admin.administration import (
    AdministrationError,
    LimitReached,
    Malformed,
    Missing,
    Outdated,
    PermissionRefused,
    Taken,
)
from mintmark.api.idempotency import HEADER as KEY_HEADER
from mintmark.api.idempotency import answer_once
from mintmark.api.operation import PREFIX, Call, Desk, Found, Many, Operation, Reply
from mintmark.api.problems import Exchange, Fault, Refusal, write_problem
from mintmark.api.reading import is_unchanged, read_body, read_if_match, read_query
from mintmark.protocol.errors import SettingsError, StoreUnavailable
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.protocol.secret import Secret

READING: Final = frozenset({"GET", "HEAD"})
JSON: Final = (b"content-type", b"application/json")
NO_STORE: Final = (b"cache-control", b"no-store")
ASK_AGAIN: Final = (b"cache-control", b"private, no-cache")
"""May be kept by the caller, who asks each time whether it still holds."""

log = structlog.get_logger()


async def perform(found: Found, request: HttpRequest, desk: Desk) -> HttpResponse:
    """Carry out one request that has found its row; whatever comes of it is an answer."""
    try:
        return await carry_out(found, request, desk)
    except Exception as error:  # one boundary: what nobody foresaw is logged and answered without its cause
        return refuse(error, desk.exchange)


async def carry_out(found: Found, request: HttpRequest, desk: Desk) -> HttpResponse:
    """Carry out one request that has found its row. Raises: whatever `refuse` answers."""
    require_permission(found.operation, desk)
    _require_known_headers(found.operation, request)
    answer = partial(_answer, found, request)
    return await (answer_once(found, request, desk, answer) if KEY_HEADER in request.headers else answer(desk))


async def carry_out_many(alike: Sequence[tuple[Found, HttpRequest]], desk: Desk) -> list[HttpResponse]:
    """Carry out requests that are alike (`Found.is_like`), all or none. Raises: as `carry_out`."""
    operation = alike[0][0].operation
    require_permission(operation, desk)
    call_many = cast(Many, operation.call_many)
    replies = await call_many([_read(found, request, desk) for found, request in alike])
    return [write_reply(operation, request, reply) for (_, request), reply in zip(alike, replies, strict=True)]


async def _answer(found: Found, request: HttpRequest, desk: Desk) -> HttpResponse:
    call = _read(found, request, desk)
    reply = await found.operation.call(call)
    if request.method in READING and call.if_version not in {None, reply.version}:
        raise Refusal("outdated")
    return write_reply(found.operation, request, reply)


def _read(found: Found, request: HttpRequest, desk: Desk) -> Call:
    """Read a request by its row's types. Raises: Refusal."""
    operation = found.operation
    if_version = read_if_match(request.headers) if operation.is_versioned else None
    query, body = read_query(operation, request.query), read_body(operation, request)
    return Call(desk, found.path, query, body, if_version, request)


def _require_known_headers(operation: Operation, request: HttpRequest) -> None:
    """Refuse a condition or key that would not be minded: its sender relies on it. Raises: Refusal."""
    if request.method in READING:
        return
    for name, is_minded in ((b"if-match", operation.is_versioned), (KEY_HEADER, operation.is_creation)):
        if name in request.headers and not is_minded:
            raise Refusal("malformed-request", f"{name.decode()}: this operation does not mind it.")


def require_permission(operation: Operation, desk: Desk) -> None:
    """Refuse before anything is read who lacks the scope. RFC: 6750 section 3.1. Raises: Refusal."""
    if operation.permission and operation.permission not in desk.administration.actor.permissions:
        raise Refusal("insufficient-scope", f"The scope {operation.permission} is needed.", scope=operation.permission)


def write_reply(operation: Operation, request: HttpRequest, reply: Reply) -> HttpResponse:
    """Encode an answer."""
    etag = None if reply.version is None else f'"{reply.version}"'
    headers = [ASK_AGAIN if etag and request.method in READING else NO_STORE]
    named = (("etag", etag), ("location", reply.location and PREFIX + reply.location), ("link", reply.link))
    headers += [(name.encode(), value.encode()) for name, value in named if value]
    if etag and request.method in READING and is_unchanged(request.headers, etag):
        return HttpResponse(304, tuple(headers), b"")
    if reply.content is None:
        return HttpResponse(operation.success, tuple(headers), b"")
    return HttpResponse(operation.success, (JSON, *headers), encode(reply.content))


def encode(content: Any) -> bytes:
    """Write an answer's body; here a new secret is shown, the one time."""
    return msgspec.json.encode(content, enc_hook=_reveal)


def _reveal(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} is not written as JSON")


def refuse(error: Exception, exchange: Exchange) -> HttpResponse:
    """Turn any error into its problem; what has no row here is a fault of ours and is logged."""
    refusal = error if isinstance(error, Refusal) else _as_refusal(error)
    if refusal.name in {"internal-error", "unavailable"}:
        log.error("management_request_failed", correlation_id=exchange.correlation_id, exc_info=error)
    return write_problem(refusal, exchange)


def _as_refusal(error: Exception) -> Refusal:
    for kind, write in READINGS:
        if isinstance(error, kind):
            return write(error)
    return Refusal("internal-error")


def _invalid(error: Any) -> Refusal:
    key = getattr(error, "key", "")
    return Refusal("invalid-values", faults=(Fault(str(error), pointer=f"#/{key}" if key else None),))


READINGS: Final[tuple[tuple[type[Exception], Callable[[Any], Refusal]], ...]] = (
    # What is missing is answered alike for all: its text might tell what another tenant has.
    (Missing, lambda _: Refusal("not-found")),
    (PermissionRefused, lambda error: Refusal("refused", str(error))),
    (Taken, lambda error: Refusal("taken", str(error))),
    (Outdated, lambda _: Refusal("outdated")),
    (LimitReached, lambda error: Refusal("limit-reached", str(error))),
    (Malformed, _invalid),
    (AdministrationError, _invalid),
    (SettingsError, _invalid),
    (StoreUnavailable, lambda _: Refusal("unavailable", headers=(("retry-after", "5"),))),
)
"""The errors of the verbs and the store, the finer ones first, and what is answered."""
