"""The write-ahead log copied into the database file beside the writers, not in their way.

SQLite would do it at the end of a commit, where the write lock is held while thousands of pages are written and synced.
Here most of it is done without the lock, and under it what was written meanwhile, so that the log begins anew.
What is lost with this thread is time, never a row: a log that grows to WAL_PAGES all the same, the next commit copies.
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mintmark.protocol.errors import MintmarkError
from mintmark.store.sqlite import WriteLock, open_connection

PAUSE_S: Final = 0.2
IDLE_PAUSE_S: Final = 1.0
"""Between two looks at a log that was a quarter of a long one, or less: each copy costs two syncs."""
LONG_PAGES: Final = 2000
"""A log of so many pages, 8 MB, is made to begin anew; a shorter one does so by itself when the writers rest."""
BUSY_TIMEOUT_MS: Final = 20
"""How long the lock is held at most for readers that are still in the log. They read for microseconds."""
CLOSE_WAIT_S: Final = 5.0

# Copies what it can without waiting for anybody, or keeping anybody waiting.
COPY: Final = "PRAGMA wal_checkpoint(PASSIVE)"
# Copies the rest, and waits for the readers of the log: the next writer begins it anew.
COPY_ALL: Final = "PRAGMA wal_checkpoint(RESTART)"


class Checkpoints:
    """A thread that copies the log of the database at `path`, from `begin` to `close`. One process needs one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_closed = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Copy the log from now on. A second call does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._copy_until_closed, name="mintmark-checkpoints", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Copy no more."""
        self._is_closed.set()
        if self._thread is not None:
            self._thread.join(CLOSE_WAIT_S)

    def _copy_until_closed(self) -> None:
        with ExitStack() as opened:
            lock = opened.enter_context(closing(WriteLock(self._path)))
            connection = opened.enter_context(closing(open_connection(self._path, "rw")))
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            # Never closed: a process that closes a descriptor of a file loses all its locks on it, SQLite's too.
            database = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            pages = 0
            while not self._is_closed.wait(IDLE_PAUSE_S if 4 * pages < LONG_PAGES else PAUSE_S):
                # A disk that is full, or away: the next turn is soon, and the writers' own bound holds meanwhile.
                with suppress(DBAPIError, MintmarkError, OSError):
                    pages = copy_log(connection, lock, database)


def copy_log(connection: Connection, lock: WriteLock, database: int) -> int:
    """Copy the log, let it begin anew when it is long, and return how many pages it had.

    Args:
        database: a descriptor of the database file.

    Raises: DBAPIError, StoreUnavailable, OSError.
    """
    pages = copy_pages(connection, COPY)
    if pages < LONG_PAGES:
        return pages
    # SQLite syncs the file when it has copied all, hence under the lock: little is left to sync there after this.
    os.fdatasync(database)
    # What came meanwhile.
    copy_pages(connection, COPY)
    with lock:
        copy_pages(connection, COPY_ALL)
    return pages


def copy_pages(connection: Connection, statement: str) -> int:
    """Run a checkpoint, and return how many pages there are in the log. Raises: DBAPIError."""
    _is_busy, pages, _copied = connection.exec_driver_sql(statement).one()
    return int(pages)
