"""One request and its answer: begun as soon as the request is whole, and written in one piece.

uvicorn gives each request a task, which costs a turn of the event loop, and writes head and body apart, which costs a
system call and often a packet more. Most requests here never wait, and most answers are whole when they begin.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator, Mapping
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from uvicorn._types import ASGIReceiveEvent, HTTPScope
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

Headers = tuple[tuple[bytes, bytes], ...]

FRAMING: Final = frozenset({b"connection", b"transfer-encoding"})
"""Headers that say how an answer ends: uvicorn's own `send` reads them."""


class Arrival:
    """Tells who waits that something has come: an `asyncio.Event` that is made only where somebody waits."""

    __slots__ = ("_event", "_has_come")

    def __init__(self) -> None:
        self._has_come = False
        self._event: asyncio.Event | None = None

    def set(self) -> None:
        """Wake who waits, and let nobody wait any more."""
        self._has_come = True
        if self._event is not None:
            self._event.set()

    def clear(self) -> None:
        """Begin anew."""
        self._has_come = False
        self._event = None

    def is_set(self) -> bool:
        """Tell whether something has come."""
        return self._has_come

    async def wait(self) -> None:
        """Return when something has come."""
        if not self._has_come:
            self._event = self._event or asyncio.Event()
            await self._event.wait()


class Exchange(RequestResponseCycle):
    """uvicorn's cycle, with an answer's head held until it is known whether its body is whole.

    What is the same at the beginning of each stands in the class.
    """

    access_log = False
    disconnected = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding = None
    expected_content_length = 0
    _head: Any = None

    def __init__(self, protocol: HttpToolsProtocol, scope: HTTPScope, *, keep_alive: bool) -> None:
        self.scope = scope
        self.transport = protocol.transport
        self.flow = protocol.flow
        self.logger = protocol.logger
        self.access_logger = protocol.access_logger
        self.default_headers = protocol.server_state.default_headers
        self.on_response = protocol.on_response_complete
        self.waiting_for_100_continue = protocol.expect_100_continue
        self.keep_alive = keep_alive
        self.message_event = Arrival()  # type: ignore[assignment]
        self.body = bytearray()

    async def receive(self) -> ASGIReceiveEvent:
        """Return what there is of the request, or wait for more of it, or for its caller's going."""
        if self.more_body or self.disconnected or self.response_complete or not self.message_event.is_set():
            return await super().receive()
        self.message_event.clear()
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Any) -> None:
        """Take one message of the answer, as ASGI has them."""
        head = self._head
        if head is None and not self.response_started and message["type"] == "http.response.start":
            self._head = message
            return
        self._head = None
        if head is not None:
            if self._write_whole(write_head(head["status"], tuple(head["headers"])), message):
                return
            await super().send(head)
        await super().send(message)

    def _write_whole(self, head: Head | None, message: Mapping[str, Any]) -> bool:
        """Write an answer of known length at once; return whether it was one that can be."""
        body: bytes = message.get("body", b"")
        if head is None or head.content_length != len(body) or message.get("more_body", False):
            return False
        if not self.keep_alive or self.disconnected or self.flow.write_paused or self.scope["method"] == "HEAD":
            return False
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        date = write_lines(tuple(self.default_headers)) or b""
        self.transport.write(b"%b%b\r\n%b" % (head.lines, date, body))
        self.message_event.set()
        self.on_response()
        return True


class Head(NamedTuple):
    """The head of an answer as it stands before its body, but for the date."""

    lines: bytes
    content_length: int


@lru_cache(maxsize=1024)
def write_head(status: int, headers: Headers) -> Head | None:
    """Return the head of an answer of known length; None: uvicorn has to write it."""
    lines, length = write_lines(headers), dict(headers).get(b"content-length")
    return None if lines is None or length is None else Head(STATUS_LINE[status] + lines, int(length))


@lru_cache(maxsize=16)
def write_lines(headers: Headers) -> bytes | None:
    """Return headers as they stand in an answer; None for those that are not plain. RFC: 9112 section 5."""
    if any(HEADER_RE.search(name) or HEADER_VALUE_RE.search(value) for name, value in headers):
        return None
    if not FRAMING.isdisjoint(name.lower() for name, _ in headers):
        return None
    return b"".join(b"%b: %b\r\n" % (name.lower(), value) for name, value in headers)


def run_at_once(coroutine: Coroutine[Any, Any, None], tasks: set[asyncio.Task[Any]]) -> None:
    """Run a coroutine now; if it waits for something, the rest of it becomes a task, which stands in `tasks`."""
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return
    task = asyncio.get_running_loop().create_task(_go_on(coroutine, waits_for))
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def _go_on(coroutine: Coroutine[Any, Any, None], waits_for: Any) -> None:
    await _rest(coroutine, waits_for)


@types.coroutine
def _rest(coroutine: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Pass on what the coroutine waits for, and to it what comes of that."""
    while True:
        try:
            came = yield waits_for
        except BaseException as error:  # a cancellation too is for the coroutine to see
            step: Callable[[], Any] = partial(coroutine.throw, error)
        else:
            step = partial(coroutine.send, came)
        try:
            waits_for = step()
        except StopIteration:
            return
