"""Callers that ask for tokens one after the other, and write down what became of each request."""

from __future__ import annotations

import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

from tests.endpoints.servers import PATIENCE_S
from tests.endpoints.systems import DEFAULT, ask

PAUSE_S = 0.003
"""Between two requests of a caller: the servers under test share its machine."""
Outcome = int | str
Connect = Callable[[], HTTPConnection]


class Load:
    """What was asked until now: outcomes by caller, a status or the name of an error."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Counter[Outcome]] = {}
        self._is_over = threading.Event()
        self._callers: list[threading.Thread] = []

    def add(self, name: str, connect: Connect, *, keeps: bool) -> None:
        """Begin a caller. `keeps`: on one connection for as long as it stays open, else on a new one each time."""
        counted = self.outcomes[name] = Counter()
        self._callers.append(threading.Thread(target=self._call, args=(connect, keeps, counted)))
        self._callers[-1].start()

    def end(self) -> None:
        self._is_over.set()
        for caller in self._callers:
            caller.join(PATIENCE_S)

    def _call(self, connect: Connect, keeps: bool, counted: Counter[Outcome]) -> None:
        connection = connect()
        while not self._is_over.is_set():
            counted[post(connection)] += 1
            if not keeps:
                connection.close()
                connection = connect()
            time.sleep(PAUSE_S)
        connection.close()


def post(connection: HTTPConnection) -> Outcome:
    """Ask for a token; a connection that was closed behind an answer is opened again."""
    request = ask(DEFAULT)
    try:
        connection.request(request.method, request.target, request.body, dict(request.headers))
        response = connection.getresponse()
        response.read()
    except (OSError, HTTPException) as error:
        connection.close()
        return repr(error)
    return response.status


def over_tls(port: int, certificate: Path) -> Connect:
    context = ssl.create_default_context(cafile=certificate)
    return lambda: HTTPSConnection("localhost", port, timeout=PATIENCE_S, context=context)


@contextmanager
def running_load() -> Iterator[Load]:
    load = Load()
    try:
        yield load
    finally:
        load.end()
