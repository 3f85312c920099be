"""uvicorn's HTTP protocol with bounds of its own: on headers, on requests in a queue, on the time to send and to read.

It refuses too what could be framed or routed in two ways: no Host or two, a transfer coding that nobody here decodes.

What breaks a bound loses its connection, and nothing else is harmed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mintmark.http.capacity import Capacity
from mintmark.http.exchange import Exchange, run_at_once
from mintmark.protocol.http import join_headers

MAX_HEADER_OCTETS: Final = 32 * 1024
MAX_REQUEST_OCTETS: Final = 2 * 1024 * 1024
"""All that one request may be made of: more than a body that is read on only to be refused, and its chunks' lengths."""
MAX_SENDING_S: Final = 10.0
MAX_PIPELINED: Final = 32
"""Requests that may wait behind the one that is being answered."""
MAX_QUEUED_OCTETS: Final = 2 * 1024 * 1024
"""What the bodies of all that wait on one connection may hold: 32 of the largest that are answered."""
FIRST_REQUEST_S: Final = 1.0
"""At the end a new connection that has said nothing for so long is closed: no request is on its way."""
FIELD_OVERHEAD: Final = 4
"""A colon, a space and a line's end: what a header costs beside its name and value."""

HEADERS_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: application/json\r\ncontent-length: 29\r\nconnection: close\r\n\r\n"
    b'{"error":"headers_too_large"}'
)
SENDER_TOO_SLOW: Final = (
    b"HTTP/1.1 408 Request Timeout\r\n"
    b"content-type: application/json\r\ncontent-length: 27\r\nconnection: close\r\n\r\n"
    b'{"error":"request_timeout"}'
)
WRONG_HOST: Final = (
    b"HTTP/1.1 400 Bad Request\r\n"
    b"content-type: application/json\r\ncontent-length: 22\r\nconnection: close\r\n\r\n"
    b'{"error":"wrong_host"}'
)
UNKNOWN_CODING: Final = (
    b"HTTP/1.1 501 Not Implemented\r\n"
    b"content-type: application/json\r\ncontent-length: 35\r\nconnection: close\r\n\r\n"
    b'{"error":"unknown_transfer_coding"}'
)


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. `sending_since` is the loop's time at which an unfinished request began, or None.

    `unread_since` is when the caller was first seen to leave its answers unread, or a closed connection open;
    `idle_since` when the last answer was whole. `is_ending`: the next answer is the last one here, and says so.
    """

    def __init__(self, *arguments: Any, capacity: Capacity, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._capacity = capacity
        self._request_octets = 0
        self._segment_octets = 0
        self._segment_requests = 0
        self._is_in_headers = True
        self._to_begin: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self.sending_since: float | None = None
        self.unread_since: float | None = None
        self.idle_since: float | None = None
        self.is_ending = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that says nothing is a slow sender too."""
        super().connection_made(transport)
        self.sending_since = self.loop.time()
        if not self._capacity.has_room(len(self.connections)):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Count what comes, and begin what can begin. One endless header line never reaches `on_header`."""
        self._segment_octets = len(data)
        self._segment_requests = 0
        self._request_octets += len(data)
        self.idle_since = None
        if self.sending_since is None:
            # An empty line begins no request, but it ends the keep-alive time: it must not hold a connection for ever.
            self.sending_since = self.loop.time()
        super().data_received(data)
        if self._request_octets > (MAX_HEADER_OCTETS if self._is_in_headers else MAX_REQUEST_OCTETS):
            self._cut_off(b"" if self._is_answering() else HEADERS_TOO_LARGE)
        if self._waiting and self._measure_queue() > MAX_QUEUED_OCTETS:
            self._cut_off(b"")
        exchange = self._to_begin
        if exchange is not None and (exchange.waiting_for_100_continue or len(exchange.body) > HIGH_WATER_LIMIT):
            self._begin(exchange)

    def on_message_begin(self) -> None:
        """A request begins."""
        self.url = b""
        self.headers = []
        self.sending_since = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header. Their names are of any case. RFC: 9110 section 5.1."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """A header block is whole: what is wrong with it is found before the application hears of it."""
        self._is_in_headers = False
        # The octets received bound those of the block, and are at hand; only a doubtful block is measured.
        # A block behind another request of the same segment was not counted: there the segment is the bound.
        is_doubtful = self._request_octets > MAX_HEADER_OCTETS or self._segment_octets > MAX_HEADER_OCTETS
        if is_doubtful and self._measure_headers() > MAX_HEADER_OCTETS:
            self._refuse(HEADERS_TOO_LARGE)
        if len(self._waiting) >= MAX_PIPELINED or self._segment_requests > MAX_PIPELINED:
            # Reading is paused meanwhile, but each answer resumes it: the queue would grow faster than it is answered.
            # And those that are answered at once, as they are read, would keep all others waiting.
            self._refuse(b"")
        self._segment_requests += 1
        headers, version = join_headers(self.headers), self.parser.get_http_version()
        self._require_one_meaning(headers, version)
        keep_alive = version != "1.0" and not self.is_ending and self.parser.should_keep_alive()
        self._queue(Exchange(self, headers, keep_alive=keep_alive))
        # What comes behind the body is a trailer, and must not pass for a header. RFC: 9110 section 6.5.1.
        self.headers = []

    def _require_one_meaning(self, headers: Mapping[bytes, bytes], version: str) -> None:
        """Refuse what another server on the way may read as another request. RFC: 9112 sections 3.2 and 6.1."""
        if len(headers) != len(self.headers) and sum(name == b"host" for name, _ in self.headers) > 1:
            self._refuse(WRONG_HOST)
        if b"host" not in headers and version == "1.1":
            self._refuse(WRONG_HOST)
        if b"transfer-encoding" in headers and headers[b"transfer-encoding"].strip().lower() != b"chunked":
            self._refuse(UNKNOWN_CODING)

    def _queue(self, exchange: Exchange) -> None:
        earlier: RequestResponseCycle | None = self.cycle  # None until the first request
        self.cycle = exchange
        if earlier is None or earlier.response_complete:
            self._to_begin = exchange
        else:
            self.flow.pause_reading()
            self._waiting.append(exchange)

    def _begin(self, exchange: Exchange) -> None:
        """Begin a request: when it is whole; earlier if its sender waits for that, or sends more than is kept of it."""
        self._to_begin = None
        if not self.transport.is_closing():
            run_at_once(exchange.run(self.app), self.tasks)

    def _refuse(self, answer: bytes) -> NoReturn:
        """Cut the connection off from within the parser, which must hear of it by an exception."""
        # Where an earlier request still waits for its answer, the refusal would pass for that answer.
        earlier: RequestResponseCycle | None = self.cycle
        is_behind = earlier is not None and not earlier.response_complete
        self._cut_off(b"" if is_behind else answer)
        raise ValueError("refused")

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser cannot read: not behind a refusal of ours."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def _measure_headers(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + FIELD_OVERHEAD for name, value in self.headers)

    def on_body(self, body: bytes) -> None:
        """A part of a body: what comes faster than it is read stops the reading."""
        exchange = self.cycle
        if not exchange.response_complete:
            exchange.body += body
            if exchange is not self._to_begin:
                exchange.message_event.set()
            if len(exchange.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()

    def _measure_queue(self) -> int:
        return sum(len(exchange.body) for exchange in self._waiting)

    def on_message_complete(self) -> None:
        """A request is whole; between requests the count starts anew."""
        self.sending_since = None
        self._request_octets = 0
        self._is_in_headers = True
        exchange = self.cycle
        exchange.more_body = False
        if exchange is self._to_begin:
            self._begin(exchange)
        else:
            exchange.message_event.set()

    def on_response_complete(self) -> None:
        """An answer is whole. The tick ends connections that stay idle: a timer for each answer costs more."""
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._waiting:
            self._begin(self._waiting.popleft())
        else:
            self.idle_since = self.loop.time()

    def announce_end(self) -> None:
        """Make the answer in hand, or else the next one, the last, which says so. RFC: 9112 section 9.6."""
        self.is_ending = True
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def close_if_idle(self, now: float) -> None:
        """Close the connection if nothing of a request is here; one that was just opened will have one on its way.

        Args:
            now: the loop's time.
        """
        earlier: RequestResponseCycle | None = self.cycle  # None until the first request
        is_silent = earlier is None and self._request_octets == 0 and self.sending_since is not None
        if self.idle_since is not None or (is_silent and now - (self.sending_since or now) > FIRST_REQUEST_S):
            self.transport.close()

    def resume_writing(self) -> None:
        """The caller reads again, however slowly."""
        super().resume_writing()
        self.unread_since = None

    def cut_off_if_slow(self, now: float) -> None:
        """Close the connection when its request is unfinished, or its answers unread, for too long.

        Args:
            now: the loop's time.
        """
        self._abort_if_unread(now)
        if self.idle_since is not None and now - self.idle_since > self.timeout_keep_alive:
            self.transport.close()
        if self.sending_since is not None and now - self.sending_since > MAX_SENDING_S:
            self._cut_off(b"" if self._is_answering() else SENDER_TOO_SLOW)

    def _abort_if_unread(self, now: float) -> None:
        """To close is not enough here: a transport that closes waits until its last octet has been read."""
        if not self.flow.write_paused and not self.transport.is_closing():
            self.unread_since = None
        elif self.unread_since is None:
            self.unread_since = now
        elif now - self.unread_since > MAX_SENDING_S:
            self.transport.abort()

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request
        return cycle is not None and cycle.response_started and not cycle.response_complete

    def _cut_off(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
