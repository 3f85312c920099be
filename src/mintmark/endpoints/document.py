"""Public documents (metadata, key sets): read with GET, kept by whoever reads them for a stated time."""

from __future__ import annotations

from typing import Final

from mintmark.endpoints.outcome import correlation_header
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.tokens.keys import CACHE_S

HEADERS: Final = ((b"content-type", b"application/json"), (b"cache-control", b"public, max-age=%d" % CACHE_S))
NOT_ALLOWED: Final = HttpResponse(
    405, ((b"content-type", b"application/json"), (b"allow", b"GET, HEAD")), b'{"error":"method_not_allowed"}'
)


def answer_document(request: HttpRequest, body: bytes) -> HttpResponse:
    """Return the document, or 405 for a method that does not read."""
    if request.method in {"GET", "HEAD"}:
        return HttpResponse(200, HEADERS, body)
    return NOT_ALLOWED.with_headers(correlation_header(request.headers))
