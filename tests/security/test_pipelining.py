"""What one connection may make a server hold: the bodies of requests that wait behind others are bounded in sum."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mintmark.http import limits
from mintmark.http.asgi import Receive, read_body
from mintmark.http.serving import Binding, HttpServer
from mintmark.protocol.http import HttpRequest, HttpResponse

BOUND = 100_000
HEAD = b"POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"


class Gate:
    """Answers nothing until it is opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def answer(self, request: HttpRequest, receive: Receive | None) -> HttpResponse:
        await self.opened.wait()
        if receive is not None:
            await read_body(request.headers, receive)
        return HttpResponse(200, (), b"")


@pytest.fixture(autouse=True)
def bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_QUEUED_OCTETS", BOUND)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest_asyncio.fixture
async def port(gate: Gate) -> AsyncIterator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = HttpServer([Binding(listening, None, gate.answer)])
    await server.start()
    yield listening.getsockname()[1]
    gate.opened.set()
    await server.stop(5)


async def send_pipelined(port: int, gate: Gate, bodies: list[int]) -> int:
    """Send requests in one piece, let them be answered, and return how many were."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(HEAD % size + b"x" * size for size in bodies))
    await asyncio.sleep(0.2)
    gate.opened.set()
    writer.write_eof()
    try:
        answered = (await asyncio.wait_for(reader.read(), 5)).count(b"200 OK")
    except ConnectionResetError:
        answered = 0
    writer.close()
    return answered


@pytest.mark.parametrize("bodies", [[10] * 30, [10, BOUND // 3, BOUND // 3], [BOUND // 2, BOUND // 2, 10]])
async def test_requests_within_the_bound_wait_and_are_answered(port: int, gate: Gate, bodies: list[int]):
    assert await send_pipelined(port, gate, bodies) == len(bodies)


@pytest.mark.parametrize("bodies", [[10, BOUND + 1], [10, BOUND // 2, BOUND // 2, 10_000], [10, *[5_000] * 25]])
async def test_more_than_the_bound_ends_the_connection(port: int, gate: Gate, bodies: list[int]):
    assert await send_pipelined(port, gate, bodies) < len(bodies)
