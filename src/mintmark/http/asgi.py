"""What is left of ASGI: mounts, bodies that are begun before they are whole, and a way in without a connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from mintmark.protocol.errors import InvalidRequest
from mintmark.protocol.http import HttpRequest, HttpResponse, join_headers

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiCall = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]
"""An ASGI application."""
Mount = tuple[str, AsgiCall]
"""A path, and what answers there and below."""
Answer = Callable[[HttpRequest, Receive | None], Awaitable[HttpResponse | AsgiCall]]
"""Answers a request, or returns the application that does. In: the request, its source the other end of the connection;
what gives its body where that has not come whole, else None."""

MAX_BODY_OCTETS: Final = 64 * 1024
MAX_DISCARDED_OCTETS: Final = 1024 * 1024


class ClientGone(Exception):
    """The caller closed the connection before its request was whole: there is nobody to answer."""


class AsgiApp:
    """What answers a listener's requests, as an ASGI application: in process, and in any other server."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        peer = scope["client"][0] if scope.get("client") else ""
        headers = join_headers(scope["headers"])
        request = HttpRequest(scope["method"], scope["path"], scope["query_string"], headers, b"", peer)
        answered = await self._answer(request, receive)
        if isinstance(answered, HttpResponse):
            await write_response(answered, send)
        else:
            await answered(scope, receive, send)


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
