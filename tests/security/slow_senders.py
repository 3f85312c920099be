"""Callers that send too slowly or not at all, side by side, each on a connection of its own."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import chain, repeat
from typing import NamedTuple

from tests.endpoints.servers import Server, receive_all
from tests.endpoints.systems import DEFAULT, ask

GIVE_UP_S = 20.0
HEAD = b"POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n"
WHOLE = b"GET /oauth2/jwks HTTP/1.1\r\nhost: x\r\n\r\n"
UPGRADE = b"GET /oauth2/jwks HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
CLIENT_HELLO = bytes.fromhex("16030100fa010000f60303")


class End(NamedTuple):
    """How a connection ended: after how many seconds, and what the server had said."""

    seconds: float
    received: bytes


Parts = Callable[[], Iterator[bytes]]

PLAIN: dict[str, Parts] = {
    "silent": lambda: repeat(b""),
    "slow headers": lambda: chain([b"POST /oauth2/token HTTP/1.1\r\nx-slow: "], repeat(b"x")),
    "slow body": lambda: chain([HEAD + b"content-length: 1000\r\n\r\n"], repeat(b"x")),
    "slow chunks": lambda: chain([HEAD + b"transfer-encoding: chunked\r\n\r\n"], repeat(b"1\r\nx\r\n")),
    "body never sent": lambda: chain([HEAD + b"content-length: 10\r\n\r\n"], repeat(b"")),
    "slow second request": lambda: chain([WHOLE, b"GET /oauth2"], repeat(b"x")),
    "empty line after a request": lambda: chain([WHOLE, b"\r\n"], repeat(b"")),
    "empty line after an upgrade": lambda: chain([UPGRADE, b"\r\n"], repeat(b"")),
}
TLS: dict[str, Parts] = {
    "silent TLS handshake": lambda: repeat(b""),
    "slow TLS handshake": lambda: chain([CLIENT_HELLO], repeat(b"\0")),
}


class SlowSenders:
    """Starts them all at once; `ends[name].result()` waits for one's end."""

    def __init__(self, server: Server) -> None:
        self.ends: dict[str, Future[End]] = {}
        for port, cases in ((server.port, PLAIN), (server.tls_port, TLS)):
            for name, parts in cases.items():
                self._begin(name, port, parts())
        self.served: list[int] = []
        threading.Thread(target=self._ask_meanwhile, args=[server], daemon=True).start()

    def _begin(self, name: str, port: int, parts: Iterator[bytes]) -> None:
        future = self.ends[name] = Future()
        threading.Thread(target=lambda: future.set_result(send_slowly(port, parts)), daemon=True).start()

    def _ask_meanwhile(self, server: Server) -> None:
        with contextlib.suppress(OSError):  # a run of few tests stops the server meanwhile
            while not all(future.done() for future in self.ends.values()):
                self.served.append(server.send(ask(DEFAULT)).status)
                time.sleep(0.5)


def send_slowly(port: int, parts: Iterator[bytes]) -> End:
    """Send a part a second until the server closes."""
    began, received = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), GIVE_UP_S) as connection:
        while time.monotonic() - began < GIVE_UP_S:
            try:
                connection.sendall(next(parts))
                if select.select([connection], [], [], 1.0)[0]:
                    part = connection.recv(65_536)
                    if not part:
                        break
                    received += part
            except (BrokenPipeError, ConnectionResetError):
                received += receive_all(connection)
                break
    return End(time.monotonic() - began, received)
