"""Where reads run: what is asked of a reader, and the one that reads in the thread of the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Concatenate, Generic, NamedTuple, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mintmark.protocol.errors import StoreError, StoreUnavailable
from mintmark.store.faults import read_fault
from mintmark.store.session import OPENED_ELSEWHERE

Given = ParamSpec("Given")
Result = TypeVar("Result")
Key = TypeVar("Key")


class PointRead(NamedTuple, Generic[Key, Result]):
    """A read of one thing by its key, for which many callers may ask at once."""

    one: Callable[[Connection, Key], Result]
    several: Callable[[Connection, Sequence[Key]], Mapping[Key, Result]]
    """The same for several keys; each has its answer."""


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

    async def find(self, read: PointRead[Key, Result], key: Key) -> Result:
        """Return what is found by a key, as it is now or later; perhaps by one read with others' keys.

        Raises: StoreUnavailable, StoreError.
        """

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
        return self._run(lambda connection: read(connection, *args, **kwargs))

    async def find(self, read: PointRead[Key, Result], key: Key) -> Result:
        """Return what is found by a key: nobody else reads meanwhile. Raises: StoreUnavailable, StoreError."""
        return await self.run(read.one, key)

    def _run(self, read: Callable[[Connection], Result]) -> Result:
        if self._process != os.getpid():
            raise StoreError(OPENED_ELSEWHERE)
        if self._connection.closed:
            raise StoreUnavailable("the store is closed")
        try:
            return read(self._connection)
        except DBAPIError as error:
            raise read_fault(error) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class FileReader(InlineReader):
    """The same as long as the file at `path` is the one that was opened: SQLite reads on in one that is gone."""

    def __init__(self, connection: Connection, path: Path) -> None:
        super().__init__(connection)
        self._path = path
        self._opened = path.stat().st_ino

    def _run(self, read: Callable[[Connection], Result]) -> Result:
        try:
            is_there = self._path.stat().st_ino == self._opened
        except OSError as error:
            raise StoreUnavailable(f"{self._path}: {error.strerror}") from error
        if not is_there:
            raise StoreUnavailable(f"{self._path}: another file is in the place of the one that was opened")
        return super()._run(read)


class ThreadReader(InlineReader):
    """The same in a thread, one read after the other: for reads that may take long, beside which requests go on."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mintmark-reader")

    async def run(
        self,
        read: Callable[Concatenate[Connection, Given], Result],
        /,
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Result:
        """Return what `read` returns, given the connection. Raises: StoreUnavailable, StoreError."""
        if self._process != os.getpid() or self._connection.closed:
            return await super().run(read, *args, **kwargs)
        work = partial(self._run, lambda connection: read(connection, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Finish the read in hand, and close the connection."""
        if self._process == os.getpid():
            self._thread.shutdown(cancel_futures=True)
        super().close()
