"""How a process writes to SQLite: it holds the lock of the writers, and nobody else writes meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mintmark.store.bell import FileBell
from mintmark.store.reading import InlineReader
from mintmark.store.session import Turn
from mintmark.store.sqlite import BEGIN, SYNCED, UNSYNCED, WriteLock, open_writer
from mintmark.store.transaction import Transaction


class SqliteSession:
    """Implements `session.Session`. Whoever holds the lock has every turn."""

    def __init__(self, connection: Connection, lock: WriteLock, bell: FileBell) -> None:
        """Take the connection and the lock, which are closed with this."""
        self.connection = connection
        self._lock = lock
        self._bell = bell

    def waited(self) -> WriteLock:
        """Return the lock, to be held for a block. Raises: StoreUnavailable."""
        return self._lock

    def live(self) -> Connection:
        """Return the connection."""
        return self.connection

    @contextmanager
    def transaction(self, turns: Collection[Turn], *, is_synced: bool) -> Iterator[Connection]:
        """Begin a transaction, and end it. Raises: DBAPIError."""
        if not is_synced:
            self.connection.exec_driver_sql(UNSYNCED)
        try:
            self.connection.exec_driver_sql(BEGIN)
            yield self.connection
            self.connection.exec_driver_sql("COMMIT")
        except BaseException:
            # First of all: nothing can be set inside a transaction.
            self._roll_back()
            raise
        finally:
            if not is_synced:
                self.connection.exec_driver_sql(SYNCED)

    def tell(self) -> None:
        """Ring the bell if a registration has changed."""
        self._bell.ring_if_revised(self.connection)

    def close(self) -> None:
        """Close the connection and the lock."""
        self.connection.close()
        self._lock.close()

    def _roll_back(self) -> None:
        # After some errors SQLite has rolled back already, and says so with an error of its own.
        with suppress(DBAPIError):
            self.connection.exec_driver_sql("ROLLBACK")


class SqliteBlock:
    """Implements `blocks.BlockSession`. It holds the lock of the writers: nobody writes anything in between."""

    def __init__(self, path: Path, bell: FileBell) -> None:
        """Open the database at `path`. Raises: StoreError, StoreUnavailable, SettingsError."""
        with ExitStack() as opened:
            self._lock = opened.enter_context(closing(WriteLock(path)))
            self._connection = opened.enter_context(open_writer(path, self._lock))
            opened.pop_all()
        self._bell = bell

    async def begin(self) -> tuple[Transaction, InlineReader]:
        """Begin a transaction. Raises: DBAPIError, StoreUnavailable (the database is locked for too long)."""
        await self._lock.take()
        self._connection.exec_driver_sql(BEGIN)
        return Transaction(self._connection), InlineReader(self._connection, query_only=False)

    async def commit(self) -> None:
        """End it, in a thread: to wait for the disk would hold up the event loop. Raises: DBAPIError."""
        ending = asyncio.ensure_future(asyncio.to_thread(partial(self._connection.exec_driver_sql, "COMMIT")))
        try:
            await asyncio.shield(ending)
        finally:
            # The connection is the thread's until then, also where nobody waits for it any more.
            await asyncio.wait([ending])
            self._bell.ring_if_revised(self._connection)
        self._lock.release()

    def close(self) -> None:
        """Close the connection, which undoes what was not committed, and then the lock."""
        self._connection.close()
        self._lock.close()
