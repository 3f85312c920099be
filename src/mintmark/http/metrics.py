"""The listener of the metrics: figures and probes, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from mintmark.http.asgi import Receive
from mintmark.http.probes import Probes
from mintmark.http.reception import NOT_FOUND
from mintmark.metrics.text import CONTENT_TYPE
from mintmark.protocol.http import HttpRequest, HttpResponse

METRICS: Final = "/metrics"
HEADERS: Final = ((b"content-type", CONTENT_TYPE), (b"cache-control", b"no-store"))
NOT_ALLOWED: Final = HttpResponse(405, ((b"allow", b"GET, HEAD"),), b"")


class MetricsReception:
    """Takes the requests of this listener. `write_figures` gives the page of figures as it is at this moment."""

    def __init__(self, write_figures: Callable[[], Awaitable[bytes]], probes: Probes) -> None:
        self._write_figures = write_figures
        self._probes = probes

    async def answer(self, request: HttpRequest, receive: Receive | None) -> HttpResponse:
        """Answer a request. See `asgi.Answer`."""
        if request.method not in {"GET", "HEAD"}:
            return NOT_ALLOWED
        if request.path == METRICS:
            return HttpResponse(200, HEADERS, await self._write_figures())
        return await self._probes.answer(request.path) or NOT_FOUND
