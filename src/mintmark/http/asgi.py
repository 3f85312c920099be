"""ASGI at its smallest: read a whole request within its limits, hand it to its endpoint, write the whole answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Final, Protocol

from mintmark.endpoints.outcome import Outcomes, correlation_header
from mintmark.endpoints.route import Endpoint, Route
from mintmark.http.probes import Probes
from mintmark.http.proxy import ProxyTrust, peer_of
from mintmark.http.router import Router
from mintmark.http.shedding import Shedding
from mintmark.metrics.meters import Observe
from mintmark.protocol.errors import InvalidRequest, OAuthError, TemporarilyUnavailable
from mintmark.protocol.http import HttpRequest, HttpResponse, join_headers

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Mount = tuple[str, Callable[[dict[str, Any], Receive, Send], Awaitable[None]]]
"""A path, and the ASGI application that answers there and below."""

MAX_BODY_OCTETS: Final = 64 * 1024
MAX_DISCARDED_OCTETS: Final = 1024 * 1024
NOT_FOUND: Final = HttpResponse(404, ((b"content-type", b"application/json"),), b'{"error":"not_found"}')
UNAVAILABLE: Final = HttpResponse(
    503,
    ((b"content-type", b"application/json"), (b"retry-after", b"5")),
    b'{"error":"temporarily_unavailable"}',
)
NOTHING: Final = {"unknown_path": NOT_FOUND, "temporarily_unavailable": UNAVAILABLE}
"""What is answered where there is no tenant in whose dialect it could be."""
OUT_OF_DATE: Final = "the database was not reached for longer than cache_max_age_s"
TLS_REQUIRED: Final = HttpResponse(
    403,
    ((b"content-type", b"application/problem+json"),),
    b'{"type":"urn:mintmark:problem:tls-required","title":"This server is to be reached over TLS only.","status":403}',
)
CLOSE: Final = (b"connection", b"close")


class ClientGone(Exception):
    """The caller closed the connection before its request was whole: there is nobody to answer."""


class Present(Protocol):
    """What is registered now, whichever process changed it."""

    @property
    def router(self) -> Router:
        """Where requests go; another one when the tenants have changed."""

    @property
    def known_until(self) -> float:
        """Until when what is in memory may be used, on the clock of `monotonic`."""

    def has_news(self, now: float) -> bool:
        """Tell, without a read, whether there is something to take in, or may be."""

    async def catch_up(self, now: float) -> None:
        """Take in what changed, if it can be read."""


class AsgiApp:
    """The ASGI application.

    Args:
        mounts: what answers where the router finds nothing; the first whose path fits.
    """

    def __init__(
        self,
        present: Present,
        endpoints: Mapping[str, Endpoint],
        *,
        trust: ProxyTrust,
        outcomes: Outcomes,
        observe: Observe,
        probes: Probes,
        shedding: Shedding,
        mounts: Sequence[Mount] = (),
    ) -> None:
        self._present = present
        self._endpoints = endpoints
        self._trust = trust
        self._outcomes = outcomes
        self._observe = observe
        self._probes = probes
        self._mounts = mounts
        self._shedding = shedding

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        began = monotonic()
        if self._present.has_news(began):
            await self._present.catch_up(began)
        headers = join_headers(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        path: str = scope["path"]
        route = self._present.router.find(host, path)
        if route is not None:
            response = await self._answer(scope, headers, receive, route, began)
            self._observe(monotonic() - began, route.endpoint)
            await write_response(response, send)
        elif (mounted := self._find_mount(path)) is not None:
            await self._pass_on(scope, headers, receive, send, mounted)
        else:
            response = await self._probes.answer(path) or self._nothing_here(host, path, headers, began)
            await write_response(response, send)

    async def _answer(
        self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes], receive: Receive, route: Route, began: float
    ) -> HttpResponse:
        """The boundary where our own faults become `server_error`: the cause is logged, an id is sent."""
        try:
            source = self._trust.source_of(scope, headers)
            body = await read_body(headers, receive)
            request = HttpRequest(scope["method"], scope["path"], scope["query_string"], headers, body, source)
            if began > self._present.known_until:
                return self._refuse(TemporarilyUnavailable("temporarily_unavailable", OUT_OF_DATE), request, route)
            if began > self._shedding.watch_from and self._shedding.is_shed():
                return route.refuse(self._outcomes.shed(route), headers)
            return await self._endpoints[route.endpoint].handle(request, route)
        except OAuthError as error:
            request = HttpRequest(scope["method"], scope["path"], b"", headers, b"", peer_of(scope))
            return self._refuse(error, request, route).with_headers(CLOSE)
        except ClientGone:
            return NOT_FOUND
        except Exception as fault:
            return route.refuse(self._outcomes.failed(fault, scope["path"], headers, route), headers)

    def _refuse(self, error: OAuthError, request: HttpRequest, route: Route) -> HttpResponse:
        self._outcomes.refused(error, request, route=route)
        return route.refuse(error, request.headers)

    def _find_mount(self, path: str) -> Mount | None:
        return next((one for one in self._mounts if path == one[0] or path.startswith(one[0] + "/")), None)

    async def _pass_on(
        self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes], receive: Receive, send: Send, mounted: Mount
    ) -> None:
        """Let a mount answer. The `client` that it sees is the caller as `ProxyTrust` tells it."""
        try:
            source = self._trust.source_of(scope, headers)
        except OAuthError:
            await write_response(TLS_REQUIRED, send)
            return
        # A request begins outside of any task (`exchange.py`); what a web framework does needs one.
        await asyncio.sleep(0)
        await mounted[1]({**scope, "client": (source, 0)}, receive, send)

    def _nothing_here(self, host: str, path: str, headers: Mapping[bytes, bytes], began: float) -> HttpResponse:
        dialect = self._present.router.owner_of_unknown_path(host, path)
        if began > self._present.known_until:
            error: OAuthError = TemporarilyUnavailable("temporarily_unavailable")
        else:
            error = InvalidRequest("unknown_path")
        answer = NOTHING[error.reason] if dialect is None else dialect.encode_error(error)
        return answer.with_headers(correlation_header(headers))


async def write_response(response: HttpResponse, send: Send) -> None:
    """Write a whole answer."""
    length = (b"content-length", b"%d" % len(response.body))
    await send({"type": "http.response.start", "status": response.status, "headers": (length, *response.headers)})
    await send({"type": "http.response.body", "body": response.body})


async def read_body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """Read a body of up to 64 KiB.

    Raises:
        InvalidRequest: `body_too_large`.
        ClientGone: the connection ended first.
    """
    if int(headers.get(b"content-length", b"0")) > MAX_BODY_OCTETS:
        # Who waits for `100 Continue` has sent nothing yet and can be answered at once.
        if b"expect" not in headers:
            await discard_body(receive)
        raise InvalidRequest("body_too_large")
    body, more = await _receive_part(receive)
    while more and len(body) <= MAX_BODY_OCTETS:
        part, more = await _receive_part(receive)
        body += part
    if len(body) <= MAX_BODY_OCTETS:
        return body
    if more:
        await discard_body(receive)
    raise InvalidRequest("body_too_large")


async def discard_body(receive: Receive) -> None:
    """Read on for up to 1 MiB, so that the refusal reaches a caller that is still sending."""
    discarded, more = 0, True
    while more and discarded < MAX_DISCARDED_OCTETS:
        part, more = await _receive_part(receive)
        discarded += len(part)


async def _receive_part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] != "http.request":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)
