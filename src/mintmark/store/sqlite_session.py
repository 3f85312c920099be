"""How a process writes to SQLite: it holds the lock of the writers, and nobody else writes meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mintmark.store.bell import FileBell
from mintmark.store.session import Turn
from mintmark.store.sqlite import BEGIN, SYNCED, UNSYNCED, WriteLock


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
    def transaction(self, turns: Collection[Turn] = (), *, is_synced: bool = True) -> Iterator[Connection]:
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
