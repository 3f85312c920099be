"""A process holds a bounded number of connections, and opens as many files as it may."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mintmark.http import capacity
from mintmark.http.asgi import Receive
from mintmark.http.capacity import RESERVED_FILES, Capacity
from mintmark.http.serving import Binding, HttpServer
from mintmark.protocol.http import HttpRequest, HttpResponse
from tests.cli.running import Serving
from tests.endpoints.servers import find_free_port

ROOM = 3
ASK = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def answer(request: HttpRequest, receive: Receive | None) -> HttpResponse:
    return HttpResponse(200, (), b"")


@pytest_asyncio.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(capacity, "MAX_CONNECTIONS", ROOM)
    listening = socket.create_server(("127.0.0.1", 0))
    server = HttpServer([Binding(listening, None, answer)])
    await server.start()
    yield listening.getsockname()[1]
    await server.stop(1)


async def is_served(reader: Any, writer: Any) -> bool:
    writer.write(ASK)
    try:
        return b"200 OK" in await reader.read(1000)
    except ConnectionResetError:
        return False


async def test_one_connection_too_many_is_closed_and_the_others_are_served(port: int):
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(ROOM + 2)]
    served = [await is_served(*one) for one in connections]
    assert served == [True] * ROOM + [False] * 2
    assert await is_served(*connections[0])
    connections[1][1].close()
    await asyncio.sleep(0.1)
    later = await asyncio.open_connection("127.0.0.1", port)
    assert await is_served(*later)
    for _, writer in [*connections, later]:
        writer.close()


def test_the_bound_leaves_files_for_the_rest(monkeypatch: pytest.MonkeyPatch):
    for limit, bound in [(1024, 1024 - RESERVED_FILES), (10, 1), (1 << 20, 10_000), (resource.RLIM_INFINITY, 10_000)]:
        monkeypatch.setattr(resource, "getrlimit", lambda _, limit=limit: (limit, limit))
        assert Capacity().connections == bound


def test_serve_opens_as_many_files_as_it_may(tmp_path: Path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with Serving("--demo", "--listen", f"http://127.0.0.1:{find_free_port()}", cwd=tmp_path) as server:
            lines = Path(f"/proc/{server.process.pid}/limits").read_text().splitlines()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [line.split()[3] for line in lines if line.startswith("Max open files")] == [f"{hard}"]
