"""What PostgreSQL notifies this process of: a registration has changed, on whatever node.

A notification may be lost, and a pooler may stand between: behind this, every process looks at the revision by itself.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any, Final

import psycopg

from mintmark.store.bounds import Bounds
from mintmark.store.postgresql.connection import connect, wait_for_input

LISTEN: Final = "LISTEN mintmark"
PAUSE_S: Final = 1.0
"""Before it is tried again to connect."""
FIRST_WAIT_S: Final = 2.0
CLOSE_WAIT_S: Final = 7.0


class Listener:
    """Implements `session.Bell`: a thread with a connection of its own."""

    def __init__(self, url: str, bounds: Bounds) -> None:
        """Listen from now on. It is no fault if that is not possible yet: it is waited for only shortly."""
        self._url = url
        self._bounds = bounds
        self._number = 0
        self._connects = 0
        self._heard = b""
        self._wake, self._woken = socket.socketpair()
        self._is_closed = threading.Event()
        self._is_listening = threading.Event()
        self._changing = threading.Lock()
        self._thread = threading.Thread(target=self._listen_until_closed, name="mintmark-listener", daemon=True)
        self._thread.start()
        self._is_listening.wait(FIRST_WAIT_S)

    def heard(self) -> bytes:
        """Return the greatest revision told of, and how often this process may have missed one."""
        return self._heard

    def hear(self, number: int) -> None:
        """Take note of a revision."""
        self._note(number, 0)

    def _note(self, number: int, connects: int) -> None:
        with self._changing:
            self._number = max(self._number, number)
            self._connects += connects
            self._heard = b"%d %d" % (self._connects, self._number)

    def close(self) -> None:
        """Listen no more. A second call does nothing."""
        self._is_closed.set()
        with suppress(OSError):
            self._wake.send(b"x")
        self._thread.join(CLOSE_WAIT_S)
        self._wake.close()

    def _listen_until_closed(self) -> None:
        while not self._is_closed.is_set():
            with suppress(psycopg.Error, OSError), connect(self._url, self._bounds) as connection:
                connection.execute(LISTEN)
                # What was told before is not known: whoever compares must look.
                self._note(0, 1)
                self._is_listening.set()
                self._listen(connection)
            self._is_closed.wait(PAUSE_S)
        self._woken.close()

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        while not self._is_closed.is_set():
            wait_for_input(connection.fileno(), self._woken.fileno())
            for notice in connection.notifies(timeout=0):
                if notice.payload.isdigit():
                    self.hear(int(notice.payload))
