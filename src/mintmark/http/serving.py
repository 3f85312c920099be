"""One process's share of the serving: its sockets, uvicorn's protocol on each, a tick a second, and a clean end."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from typing import Final, NamedTuple

import structlog
from uvicorn.config import Config
from uvicorn.server import ServerState

from mintmark.http.accepting import Acceptor
from mintmark.http.asgi import Answer
from mintmark.http.capacity import Capacity
from mintmark.http.limits import BoundedHttpProtocol
from mintmark.http.listeners import refuse_newcomers, take_newcomers, wait_in_queue

KEEP_ALIVE_S: Final = 75
BACKLOG: Final = 2048
TICK_S: Final = 1.0
HANDSHAKE_S: Final = 0.05
"""For so long connections that were being opened when the end came are still taken."""

log = structlog.get_logger()


class Binding(NamedTuple):
    """A listening socket, what ends TLS on it (None: plain HTTP), and what answers its requests."""

    socket: socket.socket
    tls: ssl.SSLContext | None
    answer: Answer


class HttpServer:
    """Serves bindings until told to stop."""

    def __init__(self, bindings: Sequence[Binding]) -> None:
        self._bindings = bindings
        self._state = ServerState()
        self._capacity = Capacity()
        self._acceptors: list[Acceptor] = []
        self._ticking: asyncio.Task[None] | None = None
        self._is_ending = False

    async def start(self) -> None:
        """Begin to accept connections."""
        self._set_date()
        for binding in self._bindings:
            take_newcomers(binding.socket)
            acceptor = self._listen(binding)
            acceptor.start()
            self._acceptors.append(acceptor)
        self._ticking = asyncio.create_task(self._tick())

    def _listen(self, binding: Binding) -> Acceptor:
        config = Config(
            binding.answer,
            interface="asgi3",  # it is handed on to our protocol as it is
            http=BoundedHttpProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        config.load()
        binding.socket.listen(BACKLOG)
        return Acceptor(binding.socket, binding.tls, lambda: self._open_connection(config))

    def _open_connection(self, config: Config) -> BoundedHttpProtocol:
        connection = BoundedHttpProtocol(config, self._state, {}, capacity=self._capacity)
        connection.is_ending = self._is_ending
        return connection

    def announce_end(self) -> None:
        """Go on taking connections and requests, and let each answer be the last on its connection."""
        self._is_ending = True
        for connection in self._connections():
            connection.announce_end()

    async def stop(self, grace_s: float) -> None:
        """Accept no more, finish what is in hand within `grace_s` seconds, then close what is left."""
        deadline = time.monotonic() + grace_s
        self.announce_end()
        if grace_s:
            await self._empty_queues(deadline)
        for acceptor in self._acceptors:
            acceptor.close()
        self._close_idle()
        while self._is_busy() and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
            self._close_idle()
        for acceptor in self._acceptors:
            acceptor.abandon()
        for task in list(self._state.tasks):
            task.cancel()
        if self._ticking:
            self._ticking.cancel()

    def _is_busy(self) -> bool:
        opening = any(acceptor.is_opening for acceptor in self._acceptors)
        return opening or bool(self._state.connections or self._state.tasks)

    async def _empty_queues(self, deadline: float) -> None:
        """Take what has connected: whatever waits at a listening socket when it is closed is reset."""
        sockets = [binding.socket for binding in self._bindings]
        for one in sockets:
            refuse_newcomers(one)
        await asyncio.sleep(HANDSHAKE_S)
        while wait_in_queue(sockets) and time.monotonic() < deadline:
            await asyncio.sleep(0.001)

    def _close_idle(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in self._connections():
            connection.close_if_idle(now)

    def _connections(self) -> Iterator[BoundedHttpProtocol]:
        return (one for one in list(self._state.connections) if isinstance(one, BoundedHttpProtocol))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._set_date()
            if refused := self._capacity.take_refused():
                log.warning("connections_refused", refused=refused, bound=self._capacity.connections)
            now = asyncio.get_running_loop().time()
            for connection in self._connections():
                connection.cut_off_if_slow(now)

    def _set_date(self) -> None:
        self._state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]
