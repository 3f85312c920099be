"""HTTP as the endpoints see it: a request and a response as plain frozen values, free of any web framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

CORRELATION_ID: Final = b"x-correlation-id"
"""The header by which a caller and the log speak of the same request."""
CLOSE: Final = (b"connection", b"close")
"""The header of an answer that is the last on its connection. RFC: 9112 section 9.6."""


def join_headers(pairs: Sequence[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    """Index headers by name; those that came twice are joined with a comma. RFC: 9110 section 5.2."""
    headers = dict(pairs)
    if len(headers) == len(pairs):
        return headers
    joined: dict[bytes, bytes] = {}
    for name, value in pairs:
        joined[name] = joined[name] + b", " + value if name in joined else value
    return joined


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """One request, wholly read.

    Header names are lower case; a header that came more than once has its values joined with ", "
    (RFC: 9110 section 5.2), so that a repeated `Authorization` never looks like a single one.
    """

    method: str
    path: str
    query: bytes
    headers: Mapping[bytes, bytes]
    body: bytes
    source: str
    """The caller's address, as far as a trusted proxy or the socket tells it; never from an unnamed header."""

    def __repr__(self) -> str:
        """Leave out query, headers and body: they carry secrets, and tracebacks print their locals."""
        return f"HttpRequest({self.method} {self.path})"


class HttpResponse(msgspec.Struct, frozen=True, gc=False):
    """One answer: status code, header pairs in order, whole body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def with_headers(self, *extra: tuple[bytes, bytes]) -> HttpResponse:
        """Return the same answer with more headers at its end."""
        return HttpResponse(self.status, (*self.headers, *extra), self.body)

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header by its name (any case), or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def __repr__(self) -> str:
        """Leave out headers and body: they carry tokens."""
        return f"HttpResponse({self.status})"
