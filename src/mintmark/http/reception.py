"""The reception of a listener: from a request, as it arrived, to the endpoint or mount that answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, Final, Protocol

from msgspec.structs import replace

from mintmark.endpoints.outcome import Outcomes, correlation_header
from mintmark.endpoints.route import Endpoint, Route
from mintmark.http.asgi import MAX_BODY_OCTETS, AsgiCall, ClientGone, Mount, Receive, Send, read_body
from mintmark.http.probes import Probes
from mintmark.http.proxy import ProxyTrust
from mintmark.http.router import Router
from mintmark.http.shedding import Shedding
from mintmark.metrics.meters import Observe
from mintmark.protocol.errors import InvalidRequest, OAuthError, TemporarilyUnavailable
from mintmark.protocol.http import CLOSE, HttpRequest, HttpResponse

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


class Reception:
    """Takes the requests of one listener.

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

    async def answer(self, request: HttpRequest, receive: Receive | None) -> HttpResponse | AsgiCall:
        """Answer a request, or return the mount that does. See `asgi.Answer`."""
        began = monotonic()
        if self._present.has_news(began):
            await self._present.catch_up(began)
        host = request.headers.get(b"host", b"").decode("latin-1").lower()
        route = self._present.router.find(host, request.path)
        if route is not None:
            response = await self._answer_at(route, request, receive, began)
            self._observe(monotonic() - began, route.endpoint)
            return response
        mount = self._find_mount(request.path)
        if mount is not None:
            return self._pass_on(request, mount)
        return await self._probes.answer(request.path) or self._nothing_here(host, request, began)

    async def _answer_at(
        self, route: Route, request: HttpRequest, receive: Receive | None, began: float
    ) -> HttpResponse:
        """The boundary where our own faults become `server_error`: the cause is logged, an id is sent."""
        try:
            source = self._trust.source_of(request.source, request.headers)
            if source != request.source:
                request = replace(request, source=source)
            if receive is not None:
                request = replace(request, body=await read_body(request.headers, receive))
            elif len(request.body) > MAX_BODY_OCTETS:
                raise InvalidRequest("body_too_large")
            if began > self._present.known_until:
                return self._refuse(TemporarilyUnavailable("temporarily_unavailable", OUT_OF_DATE), request, route)
            if began > self._shedding.watch_from and self._shedding.is_shed():
                return route.refuse(self._outcomes.shed(route), request.headers)
            return await self._endpoints[route.endpoint].handle(request, route)
        except OAuthError as error:
            return self._refuse(error, request, route).with_headers(CLOSE)
        except ClientGone:
            return NOT_FOUND
        except Exception as fault:
            return route.refuse(self._outcomes.failed(fault, request.path, request.headers, route), request.headers)

    def _refuse(self, error: OAuthError, request: HttpRequest, route: Route) -> HttpResponse:
        self._outcomes.refused(error, request, route=route)
        return route.refuse(error, request.headers)

    def _find_mount(self, path: str) -> AsgiCall | None:
        return next((app for at, app in self._mounts if path == at or path.startswith(at + "/")), None)

    def _pass_on(self, request: HttpRequest, mount: AsgiCall) -> HttpResponse | AsgiCall:
        """Let a mount answer. The `client` that it sees is the caller as `ProxyTrust` tells it."""
        try:
            source = self._trust.source_of(request.source, request.headers)
        except OAuthError:
            return TLS_REQUIRED

        async def answer(scope: dict[str, Any], receive: Receive, send: Send) -> None:
            await mount({**scope, "client": (source, 0)}, receive, send)

        return answer

    def _nothing_here(self, host: str, request: HttpRequest, began: float) -> HttpResponse:
        dialect = self._present.router.owner_of_unknown_path(host, request.path)
        if began > self._present.known_until:
            error: OAuthError = TemporarilyUnavailable("temporarily_unavailable")
        else:
            error = InvalidRequest("unknown_path")
        answer = NOTHING[error.reason] if dialect is None else dialect.encode_error(error)
        return answer.with_headers(correlation_header(request.headers))
