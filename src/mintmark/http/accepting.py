"""Taking new connections: all that wait, whenever the event loop comes by.

The event loop's own server takes one a turn. Under load a turn is long, and callers would wait for seconds, unseen, in
the listening socket's queue.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

from mintmark.http.limits import MAX_SENDING_S

ACCEPTED_A_TURN: Final = 128
"""New connections, before those that are there have their turn again."""
PAUSE_S: Final = 1.0
"""Where the system has no files or memory left for one."""


class Acceptor:
    """Takes the connections of one listening socket, from `start` to `close`.

    Args:
        tls: what ends TLS on it; None: plain HTTP.
        make_protocol: makes what a connection speaks.
    """

    def __init__(
        self, listening: socket.socket, tls: ssl.SSLContext | None, make_protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._tls = tls
        self._make_protocol = make_protocol
        self._opening: set[asyncio.Task[object]] = set()

    def start(self) -> None:
        """Take connections from now on; nothing happens where it is closed."""
        if self._listening.fileno() >= 0:
            self._listening.setblocking(False)
            self._loop.add_reader(self._listening, self._accept)

    def close(self) -> None:
        """Take no more; those that are being opened go on. A second call does nothing."""
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening)
            self._listening.close()

    @property
    def is_opening(self) -> bool:
        """Whether there are connections that were taken and do not speak yet."""
        return bool(self._opening)

    def abandon(self) -> None:
        """Let go of connections that are still being opened."""
        for task in self._opening:
            task.cancel()

    def _accept(self) -> None:
        for _ in range(ACCEPTED_A_TURN):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.remove_reader(self._listening)
                self._loop.call_later(PAUSE_S, self.start)
                return
            task = self._loop.create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        handshake_s = MAX_SENDING_S if self._tls else None
        try:
            await self._loop.connect_accepted_socket(
                self._make_protocol, connection, ssl=self._tls, ssl_handshake_timeout=handshake_s
            )
        except (OSError, asyncio.CancelledError):
            # It went before it was there, or spoke no TLS.
            connection.close()
