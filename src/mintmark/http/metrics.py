"""The listener of the metrics: figures and probes, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from mintmark.http.asgi import NOT_FOUND, Message, Receive, Send
from mintmark.http.probes import Probes
from mintmark.metrics.text import CONTENT_TYPE
from mintmark.protocol.http import HttpResponse

METRICS: Final = "/metrics"
HEADERS: Final = ((b"content-type", CONTENT_TYPE), (b"cache-control", b"no-store"))
NOT_ALLOWED: Final = HttpResponse(405, ((b"allow", b"GET, HEAD"),), b"")


class MetricsApp:
    """The ASGI application. `write_figures` gives the page of figures as it is at this moment."""

    def __init__(self, write_figures: Callable[[], Awaitable[bytes]], probes: Probes) -> None:
        self._write_figures = write_figures
        self._probes = probes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        response = await self._answer(scope["method"], scope["path"])
        length = (b"content-length", b"%d" % len(response.body))
        await send({"type": "http.response.start", "status": response.status, "headers": (length, *response.headers)})
        await send({"type": "http.response.body", "body": response.body})

    async def _answer(self, method: str, path: str) -> HttpResponse:
        if method not in {"GET", "HEAD"}:
            return NOT_ALLOWED
        if path == METRICS:
            return HttpResponse(200, HEADERS, await self._write_figures())
        return await self._probes.answer(path) or NOT_FOUND
