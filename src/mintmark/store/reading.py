"""Where reads run: what is asked of a reader, and the one that reads in the thread of the event loop."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mintmark.protocol.errors import StoreError, StoreUnavailable
from mintmark.store.faults import read_fault
from mintmark.store.session import OPENED_ELSEWHERE

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Reader(Protocol):
    """What the nouns of the store read with."""

    async def run(
        self,
        read: Callable[Concatenate[Connection, Given], Result],
        /,
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Result:
        """Return what `read` returns, given a connection. Raises: StoreUnavailable, StoreError."""

    def close(self) -> None:
        """Let go of the database."""


class InlineReader:
    """A connection that only reads, used from the thread of the event loop.

    A point read of SQLite takes tens of microseconds, less than going to a thread and back: it runs inline.
    A database behind a network has threads for it: `postgresql.reading`.
    """

    def __init__(self, connection: Connection, *, query_only: bool = True) -> None:
        """Take a connection. `query_only`: False where it is also written to."""
        if query_only:
            connection.exec_driver_sql("PRAGMA query_only = ON")
        self._connection = connection
        self._process = os.getpid()

    async def run(
        self,
        read: Callable[Concatenate[Connection, Given], Result],
        /,
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Result:
        """Return what `read` returns, given the connection. Raises: StoreUnavailable, StoreError."""
        if self._process != os.getpid():
            raise StoreError(OPENED_ELSEWHERE)
        if self._connection.closed:
            raise StoreUnavailable("the store is closed")
        try:
            return read(self._connection, *args, **kwargs)
        except DBAPIError as error:
            raise read_fault(error) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
