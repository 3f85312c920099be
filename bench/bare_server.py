"""The bare server: what uvicorn gives when the application does nothing. The answer is a constant.

Run as `python -m bench.bare_server PORT`, once a worker: each process opens its own SO_REUSEPORT socket.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvicorn

from bench.load import WORKERS, Measure, Server, measure, write_clients
from bench.processes import find_free_port
from bench.tokens import Expected
from bench.tools import find_wrk

ANSWER_OCTETS: Final = 700


def constant_answer() -> bytes:
    """Return a token response of the size of one that carries a JWT."""
    answer = {"access_token": "", "token_type": "Bearer", "expires_in": 3600, "scope": "read write"}
    answer["access_token"] = "x" * (ANSWER_OCTETS - len(json.dumps(answer)))
    return json.dumps(answer).encode()


ANSWER: Final = constant_answer()
START: Final = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(ANSWER)).encode()),
        (b"cache-control", b"no-store"),
    ],
}
BODY: Final = {"type": "http.response.body", "body": ANSWER}


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Read the request's body, parse nothing, and send the constant answer."""
    while (await receive()).get("more_body", False):
        pass
    await send(START)
    await send(BODY)


def open_socket(port: int) -> socket.socket:
    """Open a listening socket that shares the port with the other workers'."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def serve(port: int) -> None:
    """Serve until the process is ended."""
    settings = uvicorn.Config(
        application, loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="warning"
    )
    uvicorn.Server(settings).run(sockets=[open_socket(port)])


def prepare(folder: Path) -> Measure:
    """Make ready to measure it."""
    wrk, port = find_wrk(), find_free_port()
    server = Server(
        commands=[[sys.executable, "-m", "bench.bare_server", str(port)]] * WORKERS,
        url=f"http://127.0.0.1:{port}/token",
        log=folder / "bare.log",
        clients=write_clients(folder / "bare.clients", [("bench", "x" * 43)]),
        expected=Expected(is_constant=True),
    )
    return partial(measure, server, wrk)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
