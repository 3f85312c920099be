"""The ASGI application of the Open API: reads a whole request within its limits, and writes the vendor's envelope."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol

import msgspec
import structlog

from mintmark.admin.administration import Administration
from mintmark.api.figures import NO_OPERATION, NO_TENANT, CallNote, Outcome, TakeNote
from mintmark.api.omada.applications import APPLICATION_OPERATIONS
from mintmark.api.omada.batch import BATCH_PATH, BatchCall
from mintmark.api.omada.call_rate import CallRate
from mintmark.api.omada.callers import Callers, Present
from mintmark.api.omada.customers import CUSTOMER_OPERATIONS
from mintmark.api.omada.dispatching import Asked, Dispatcher
from mintmark.api.omada.envelope import CODES, Refusal, refuse, succeed, write_envelope
from mintmark.api.omada.info import INFO_PATH, describe_controller
from mintmark.api.omada.operation import MSP, PREFIX, Table, read_address
from mintmark.api.omada.roles import ROLE_OPERATIONS
from mintmark.api.omada.sites import SITE_OPERATIONS
from mintmark.endpoints.outcome import correlation_id_of
from mintmark.protocol.errors import StoreUnavailable
from mintmark.protocol.http import HttpResponse
from mintmark.store.events import AuditBuffer
from mintmark.store.records import TenantRecord
from mintmark.tokens.verification import TokenVerifier

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

MOUNTED_AT: Final = (PREFIX, INFO_PATH)
MAX_BODY_OCTETS: Final = 1024 * 1024
TABLE: Final = Table((*SITE_OPERATIONS, *APPLICATION_OPERATIONS, *ROLE_OPERATIONS, *CUSTOMER_OPERATIONS))

NOBODY_KNOWN: Final = frozenset({"no_token", "expired_token", "invalid_token", "body_too_large", "too_many_requests"})
"""Refusals before it is known who calls."""

log = structlog.get_logger()


class Controllers(Present, Protocol):
    """Tenants as they are now, and those that are controllers, msps and their customers."""

    async def refresh(self) -> None:
        """Take in what changed."""

    def list_controllers(self) -> Iterable[TenantRecord]:
        """Return the tenants that messages can name."""


class ClientGone(Exception):
    """The caller closed the connection before its request was whole: there is nobody to answer."""


class OpenApi:
    """Answers below PREFIX, and at INFO_PATH."""

    def __init__(
        self,
        administration: Administration,
        verifier: TokenVerifier,
        present: Controllers,
        *,
        audit: AuditBuffer,
        take_note: TakeNote,
        calls_per_second: int,
    ) -> None:
        callers = Callers(administration, verifier, present, audit)
        self._administration = administration
        self._present = present
        self._take_note = take_note
        self._rate = CallRate(calls_per_second)
        self._dispatcher = Dispatcher(TABLE, callers)
        self._batch = BatchCall(self._dispatcher, callers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        correlation_id, note = correlation_id_of(dict(scope["headers"])), CallNote()
        note.operation = name_operation(scope["method"], scope["path"])
        try:
            response = await self._answer(scope, receive, correlation_id, note)
        except ClientGone:
            return
        length = (b"content-length", b"%d" % len(response.body))
        await send({"type": "http.response.start", "status": response.status, "headers": (length, *response.headers)})
        await send({"type": "http.response.body", "body": response.body})

    async def _answer(self, scope: Scope, receive: Receive, correlation_id: str, note: CallNote) -> HttpResponse:
        """The boundary where our own faults become an answer: the cause is logged, an id is sent."""
        try:
            envelope = succeed(await self._carry_out(scope, receive, correlation_id))
            self._count(note, scope["path"], "done")
            return write_envelope(envelope, 200, correlation_id)
        except Refusal as error:
            name = error.name
            log.info("open_api_refused", code=CODES[name].number, reason=name, correlation_id=correlation_id)
            self._count(note, scope["path"] if name not in NOBODY_KNOWN else "", "refused")
        except ClientGone:
            raise
        except Exception as error:
            name = "unavailable" if isinstance(error, StoreUnavailable) else "general_error"
            log.error("open_api_failed", correlation_id=correlation_id, path=scope["path"], exc_info=error)
            self._count(note, scope["path"], "failed")
        response = write_envelope(refuse(name), CODES[name].status, correlation_id)
        if name == "unavailable":
            response = response.with_headers((b"retry-after", b"5"))
        # What is left of a body that is too large is not read.
        return response.with_headers((b"connection", b"close")) if name == "body_too_large" else response

    def _count(self, note: CallNote, path: str, outcome: Outcome) -> None:
        """Count a call; a tenant is named that is there, and no one's whose caller is unknown."""
        with suppress(Refusal):
            tenant = self._present.find_identifier(read_address(path).identifier)
            note.tenant_id = tenant.tenant_id if tenant else NO_TENANT
        self._take_note(note, outcome)

    async def _carry_out(self, scope: Scope, receive: Receive, correlation_id: str) -> object:
        headers = dict(scope["headers"])
        body = await read_body(headers, receive)
        if scope["path"] == INFO_PATH:
            return await self._describe(scope["method"], headers)
        asked = Asked(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"],
            read_body=partial(read_json, headers, body),
            authorization=read_authorization(scope["headers"]),
            source=scope["client"][0] if scope["client"] else "",
            correlation_id=correlation_id,
        )
        if not self._rate.admits(asked.authorization or b""):
            raise Refusal("too_many_requests")
        address = read_address(asked.path)
        if address.rest == BATCH_PATH and asked.method == "POST":
            return await self._batch.run(asked, address, self._administration)
        return await self._dispatcher.dispatch(asked, self._administration)

    async def _describe(self, method: str, headers: Mapping[bytes, bytes]) -> object:
        if method not in {"GET", "HEAD"}:
            raise Refusal("unsupported_path")
        await self._present.refresh()
        host = headers.get(b"host", b"").decode("latin-1").lower()
        return describe_controller(self._present.list_controllers(), host)


def name_operation(method: str, path: str) -> str:
    """Return the row of a call as a label."""
    if path == INFO_PATH:
        return f"GET {INFO_PATH}"
    with suppress(Refusal):
        address = read_address(path)
        is_batch = address.rest == BATCH_PATH and method == "POST"
        rest = BATCH_PATH if is_batch else TABLE.find(address, method).operation.path
        return f"{method} /{MSP}{rest}" if address.family == MSP else f"{method} {rest}"
    return NO_OPERATION


def read_authorization(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the header that shows the token; one that stands twice shows none."""
    shown = [value for name, value in headers if name == b"authorization"]
    return shown[0] if len(shown) == 1 else None


async def read_body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """Read a body of up to 1 MiB. Raises: Refusal (`body_too_large`), ClientGone."""
    if int(headers.get(b"content-length", b"0")) > MAX_BODY_OCTETS:
        raise Refusal("body_too_large")
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY_OCTETS:
            raise Refusal("body_too_large")
    return body


def read_json(headers: Mapping[bytes, bytes], body: bytes) -> object:
    """Return what a body says; `msgspec.UNSET` for none. Raises: Refusal (`invalid_type`, `invalid_parameters`)."""
    if not body:
        return msgspec.UNSET
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        raise Refusal("invalid_type")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refusal("invalid_parameters") from error
