"""One request and its answer: begun as soon as the request is whole, and written in one piece.

uvicorn describes each request to an ASGI application, runs that in a task, and has the answer described back. Most
requests here never wait and are values, as their answers are. What is uvicorn's is for mounts, and for bodies that are
kept back or too large.
"""

from __future__ import annotations

import asyncio
import string
import types
from collections.abc import Callable, Coroutine, Generator, Mapping
from functools import lru_cache, partial
from typing import Any, Final
from urllib.parse import unquote

from httptools import parse_url
from uvicorn._types import ASGIReceiveEvent, ASGIVersions, HTTPScope
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from mintmark.http.asgi import Answer, AsgiCall
from mintmark.protocol.http import CLOSE, HttpRequest, HttpResponse

Headers = tuple[tuple[bytes, bytes], ...]

CLOSING: Final = b"%b: %b\r\n" % CLOSE
ASGI: Final[ASGIVersions] = {"version": "3.0", "spec_version": "2.3"}
PLAIN: Final = f"{string.ascii_letters}{string.digits}._~/-".encode()
"""The octets of a path that stands for itself."""
NOBODY: Final = asyncio.Event()
"""Stands for the event of a request whose body nobody waits for: most are whole before they begin."""
FAULT: Final = HttpResponse(500, ((b"content-type", b"application/json"), CLOSE), b'{"error":"server_error"}')
"""What is answered where a request fails outside of every boundary, or is cut off at the end."""


class Exchange(RequestResponseCycle):
    """uvicorn's cycle, whose request is read when its head is there, and described to ASGI only where a mount answers.

    What is the same at the beginning of each stands in the class.
    """

    access_log = False
    disconnected = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding = None
    expected_content_length = 0
    waiting_for_100_continue = False
    message_event = NOBODY

    def __init__(self, protocol: HttpToolsProtocol, headers: Mapping[bytes, bytes], *, keep_alive: bool) -> None:
        self.protocol = protocol
        self.method = protocol.parser.get_method().decode("ascii")
        self.target = protocol.url
        self.path, self.query = read_target(protocol.url)
        self.header_pairs = protocol.headers
        self.headers = headers
        self.keep_alive = keep_alive
        self.body = bytearray()
        if b"expect" in headers:
            self.waiting_for_100_continue = headers[b"expect"].lower() == b"100-continue"

    async def run(self, answer: Answer) -> None:
        """Have the request answered, and write what comes of it."""
        client, body = self.protocol.client, bytes(self.body)
        request = HttpRequest(self.method, self.path, self.query, self.headers, body, client[0] if client else "")
        try:
            answered = await answer(request, self.receive if self.more_body else None)
            if not isinstance(answered, HttpResponse):
                return await self._pass_on(answered)
            if self.protocol.flow.write_paused:
                await self.protocol.flow.drain()
            self._write(answered)
        except BaseException as fault:  # a cancellation too: whoever waits is told
            self.protocol.logger.error("a request failed", exc_info=fault)
            self._write(FAULT)

    def _write(self, answer: HttpResponse) -> None:
        if self.disconnected or self.response_started:
            return
        head, is_last = write_head(answer.status, answer.headers)
        if is_last or not self.keep_alive:
            head, is_last = head + CLOSING, True
        body, protocol = answer.body, self.protocol
        date = write_lines(tuple(protocol.server_state.default_headers))
        self.response_started = self.response_complete = True
        head = b"%bcontent-length: %d\r\n%b\r\n" % (head, len(body), date)
        protocol.transport.write(head if self.method == "HEAD" else head + body)
        if is_last:
            protocol.transport.close()
        protocol.on_response_complete()

    async def _pass_on(self, mount: AsgiCall) -> None:
        """Let an ASGI application answer through uvicorn."""
        self._join_uvicorn()
        self.scope = self._describe_request()
        # A request begins outside of any task; what a web framework does needs one.
        await asyncio.sleep(0)
        await self.run_asgi(mount)  # type: ignore[arg-type]

    def _describe_request(self) -> HTTPScope:
        return {
            "type": "http",
            "asgi": ASGI,
            "http_version": "1.1",
            "server": self.protocol.server,
            "client": self.protocol.client,
            "scheme": self.protocol.scheme or "http",
            "root_path": "",
            "method": self.method,
            "path": self.path,
            "raw_path": parse_url(self.target).path,
            "query_string": self.query,
            "headers": self.header_pairs,
            "state": {},
            "extensions": {},
        }

    async def receive(self) -> ASGIReceiveEvent:
        """Return what there is of the request, or wait for more of it, or for its caller's going."""
        if self.message_event is NOBODY:
            self._join_uvicorn()
        return await super().receive()

    def _join_uvicorn(self) -> None:
        """Set what uvicorn's cycle works with."""
        protocol = self.protocol
        self.transport, self.flow = protocol.transport, protocol.flow
        self.logger, self.access_logger = protocol.logger, protocol.access_logger
        self.default_headers = protocol.server_state.default_headers
        self.on_response = protocol.on_response_complete
        self.waiting_for_100_continue = self.waiting_for_100_continue and self.more_body
        self.message_event = asyncio.Event()
        if self.body or not self.more_body:
            self.message_event.set()


def read_target(target: bytes) -> tuple[str, bytes]:
    """Return path and query of a request target. Raises: what httptools says of one that is none."""
    if target.startswith(b"/") and not target.translate(None, PLAIN):
        return target.decode("ascii"), b""
    parsed = parse_url(target)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.query or b""


@lru_cache(maxsize=1024)
def write_head(status: int, headers: Headers) -> tuple[bytes, bool]:
    """Return an answer's status and headers as they are sent, and whether they say that it is the last one here."""
    own = tuple(pair for pair in headers if pair != CLOSE)
    return STATUS_LINE[status] + write_lines(own), len(own) < len(headers)


@lru_cache(maxsize=16)
def write_lines(headers: Headers) -> bytes:
    """Return headers as they are sent. Raises: ValueError for what is none. RFC: 9112 section 5."""
    if any(HEADER_RE.search(name) or HEADER_VALUE_RE.search(value) for name, value in headers):
        raise ValueError("a header holds what none may")
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
