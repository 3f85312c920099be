"""A request as its answerer gets it, and the answer as it is sent: the protocol on a transport that records."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from mintmark.http.asgi import Answer, AsgiCall, Receive, read_body
from mintmark.http.capacity import Capacity
from mintmark.http.limits import BoundedHttpProtocol
from mintmark.protocol.http import HttpRequest, HttpResponse

DONE = HttpResponse(200, ((b"content-type", b"text/plain"),), b"done")
POST = b"POST /a%2Fb?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n"
Ask = Callable[[bytes], Awaitable[bytes]]


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.7", 50_000) if name == "peername" else default

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Answerer:
    """Answers as it is told to, and keeps what it was asked."""

    def __init__(self, answer: HttpResponse | AsgiCall | Exception = DONE) -> None:
        self.asked: list[HttpRequest] = []
        self.was_whole: list[bool] = []
        self._answer = answer

    async def answer(self, request: HttpRequest, receive: Receive | None) -> HttpResponse | AsgiCall:
        self.asked.append(request)
        self.was_whole.append(receive is None)
        if isinstance(self._answer, Exception):
            raise self._answer
        if receive is not None:
            return HttpResponse(200, (), await read_body(request.headers, receive))
        return self._answer


async def send(answer: Answer, *segments: bytes) -> Transport:
    """Let a new connection receive segments, and return its transport when all that they began has ended."""
    config = Config(answer, interface="asgi3", proxy_headers=False, log_config=None)
    protocol, transport = BoundedHttpProtocol(config, ServerState(), {}, capacity=Capacity()), Transport()
    protocol.connection_made(transport)
    for segment in segments:
        protocol.data_received(segment)
    await asyncio.gather(*protocol.tasks)
    return transport


async def test_a_whole_request_is_answered_at_once_as_a_value():
    answerer = Answerer()
    transport = await send(answerer.answer, POST + b"secret")

    assert answerer.was_whole == [True]
    headers = {b"host": b"x", b"content-length": b"6"}
    assert answerer.asked == [HttpRequest("POST", "/a/b", b"c=d", headers, b"secret", "192.0.2.7")]
    assert transport.written == b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\ndone"
    assert not transport.is_closed


async def test_a_request_in_pieces_is_answered_when_it_is_whole():
    answerer = Answerer()
    transport = await send(answerer.answer, POST[:20], POST[20:], b"sec", b"ret")

    assert answerer.was_whole == [True]
    assert answerer.asked[0].body == b"secret"
    assert transport.written.endswith(b"done")


async def test_a_body_that_its_sender_keeps_back_is_asked_for_and_read_as_it_comes():
    answerer = Answerer()
    transport = await send(answerer.answer, POST.replace(b"Host", b"Expect: 100-continue\r\nHost"), b"sec", b"ret")

    assert answerer.was_whole == [False]
    assert transport.written.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert transport.written.endswith(b"\r\n\r\nsecret")


async def test_a_request_is_begun_before_more_of_it_is_here_than_is_kept():
    answerer = Answerer()
    endless = POST.replace(b"Content-Length: 6", b"Transfer-Encoding: chunked")
    await send(answerer.answer, endless, b"10000\r\n" + b"x" * 0x10000 + b"\r\n", b"1\r\nx\r\n", b"0\r\n\r\n")

    assert answerer.was_whole == [False]


async def test_the_answer_to_a_head_request_tells_the_length_of_a_body_that_is_not_sent():
    transport = await send(Answerer().answer, b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n")

    assert transport.written.endswith(b"content-length: 4\r\n\r\n")


@pytest.mark.parametrize("head", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"])
async def test_an_answer_that_is_the_last_one_says_so(head: bytes):
    transport = await send(Answerer().answer, head)

    assert transport.written.count(b"connection: close\r\n") == 1
    assert transport.is_closed


@pytest.mark.parametrize("answer", [ValueError("secret"), HttpResponse(200, ((b"location", b"/\r\nx: secret"),), b"")])
async def test_what_cannot_be_answered_is_a_server_error_that_tells_nothing(answer: Any):
    transport = await send(Answerer(answer).answer, POST + b"secret")

    assert transport.written.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert transport.written.endswith(b'{"error":"server_error"}')
    assert b"secret" not in transport.written
    assert transport.is_closed


async def test_a_mount_sees_the_request_as_it_came():
    seen: dict[str, Any] = {}

    async def mount(scope: dict[str, Any], receive: Receive, send: Any) -> None:
        seen.update(scope, message=await receive())
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    twice = POST.replace(b"Host: x", b"Host: x\r\nA: 1\r\nA: 2")
    transport = await send(Answerer(mount).answer, twice + b"secret")

    assert (seen["path"], seen["raw_path"], seen["query_string"]) == ("/a/b", b"/a%2Fb", b"c=d")
    assert seen["headers"] == [(b"host", b"x"), (b"a", b"1"), (b"a", b"2"), (b"content-length", b"6")]
    assert seen["message"] == {"type": "http.request", "body": b"secret", "more_body": False}
    assert transport.written.startswith(b"HTTP/1.1 204 No Content\r\n")
