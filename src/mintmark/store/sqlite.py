"""Opening a SQLite database: file modes, settings of a connection, and the lock that writers queue on.

Nothing opened here survives a fork: a process opens its own.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from mintmark.protocol.errors import SettingsError, StoreError, StoreUnavailable

BUSY_TIMEOUT_MS: Final = 5000
CACHED_STATEMENTS: Final = 128
LOCK_WAIT_S: Final = 10.0
FIRST_PAUSE_S: Final = 0.0005
LONGEST_PAUSE_S: Final = 0.005
WAL_PAGES: Final = 16_000
"""About 64 MB of log, at which a commit copies it into the database file, if `checkpoints` has not done so before."""

BEGIN: Final = "BEGIN IMMEDIATE"
"""A transaction that will write says so at once; one that finds out later may be refused, not queued."""

URL_FORM: Final = "write sqlite:////absolute/path/to/mintmark.db"

OWNER_ONLY: Final = 0o600

# FULL: the log is synced at every commit, so what was acknowledged survives the loss of power.
SYNCED: Final = "PRAGMA synchronous = FULL"
# NORMAL: what is committed is seen by all, and goes to the disk with the next synced commit or checkpoint.
UNSYNCED: Final = "PRAGMA synchronous = NORMAL"

EVERY_CONNECTION: Final = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    SYNCED,
    f"PRAGMA wal_autocheckpoint = {WAL_PAGES}",
)


def database_path(url: str) -> Path:
    """Return the path in `sqlite:///relative` or `sqlite:////absolute`, as it stands, nothing decoded.

    Raises: SettingsError (another database, no file). The URL is not echoed: it may hold a password.
    """
    scheme, separator, path = url.partition(":///")
    if scheme != "sqlite" or not separator:
        raise SettingsError(f"database: not a SQLite URL; {URL_FORM}")
    if path in ("", ":memory:") or "?" in path or path.startswith("file:"):
        raise SettingsError(f"database: the URL names no file, or more than a file; {URL_FORM}")
    return Path(path)


def create_file(path: Path) -> None:
    """Create an empty file for its owner alone; one that is there is left as it is.

    SQLite gives its `-wal` and `-shm` the mode of the database, so this one mode settles all three.

    Raises: SettingsError (no such directory, or not writable).
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY))
    except OSError as error:
        raise SettingsError(f"database: cannot write {path}: {error.strerror}") from error


def open_connection(path: Path, mode: str) -> Connection:
    """Return a connection in autocommit: whoever wants more than one statement in a transaction says BEGIN.

    Args:
        path: the database, which is not created.
        mode: `rw`, or `ro` to change nothing.

    Raises: SettingsError (no such file, not writable, not a database), StoreUnavailable.
    """
    check_access(path, mode)
    try:
        with ExitStack() as opened:
            connection = opened.enter_context(open_engine(path, mode).connect())
            set_up(connection)
            opened.pop_all()
    except DBAPIError as error:
        raise opening_fault(error, path) from error
    return connection


def set_up(connection: Connection) -> None:
    """Set what SQLite does not keep in the file, and read it once to know it for a database.

    Raises: DBAPIError.
    """
    for pragma in EVERY_CONNECTION:
        connection.exec_driver_sql(pragma)
    connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").all()


def open_writer(path: Path, lock: WriteLock) -> Connection:
    """Return the connection that writes. Raises: SettingsError, StoreError, StoreUnavailable."""
    connection = open_connection(path, "rw")
    # So it is at every start but the first, which then need not wait for whoever writes.
    if connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal":
        return connection
    with lock.bounded():
        if connection.exec_driver_sql("PRAGMA page_count").scalar_one() == 0:
            # Free pages can be given back only where this was said before the first page was written.
            connection.exec_driver_sql("PRAGMA auto_vacuum = INCREMENTAL")
        # A copy made with VACUUM INTO comes without the log, hence the setting here and not only at creation.
        mode = connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar_one()
    if mode != "wal":
        raise StoreError(f"{path}: this file system cannot hold SQLite's write-ahead log; use a local one")
    return connection


def open_engine(path: Path, mode: str) -> Engine:
    """Return an engine without a pool: the store opens two connections and keeps them."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            uri,
            uri=True,
            timeout=BUSY_TIMEOUT_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=CACHED_STATEMENTS,
        )

    return create_engine(
        "sqlite://", creator=connect, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True
    )


def check_access(path: Path, mode: str) -> None:
    """Say in plain words what SQLite would call "unable to open". Raises: SettingsError."""
    if not path.parent.is_dir():
        raise SettingsError(f"database: there is no directory {path.parent}")
    if not path.is_file():
        raise SettingsError(f"database: there is no file {path}; create it with `mintmark init`")
    if mode == "rw" and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise SettingsError(f"database: {path} and its directory must be writable by this user")


def opening_fault(error: DBAPIError, path: Path) -> SettingsError | StoreError:
    """Return what to tell of a failed opening, naming the file."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_NOTADB:
        return SettingsError(f"database: {path} is not a SQLite database")
    if isinstance(error, OperationalError):
        return StoreUnavailable(f"{path}: {error.orig}")
    return StoreError(f"{path}: {error.orig}")


def open_lock_file(path: Path, suffix: str) -> int:
    """Return a descriptor of the lock file beside the database at `path`, for its owner alone. Raises: SettingsError.

    The file is created once and stays, for the other processes.
    """
    name = f"{path}-{suffix}"
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
        # An administrator's command as root must not leave a lock that the server cannot open.
        if os.geteuid() == 0:
            owner = path.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    except OSError as error:
        raise SettingsError(f"database: cannot write {name}: {error.strerror}") from error
    return descriptor


class WriteLock:
    """The lock file beside a database: every writing transaction of every process holds it.

    SQLite's own wait sleeps and polls, and starves whoever sleeps longest; the kernel wakes who waits. That wait has
    no end: it is for the writer's thread, whose callers give up by themselves. `bounded` is for everybody else.
    """

    def __init__(self, path: Path) -> None:
        """Open the lock of the database at `path`. Raises: SettingsError."""
        self._descriptor = open_lock_file(path, "lock")

    def __enter__(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise StoreUnavailable(f"the lock file: {error.strerror}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """Hold the lock, or give up after LOCK_WAIT_S. Raises: StoreUnavailable."""
        deadline, pause_s = time.monotonic() + LOCK_WAIT_S, FIRST_PAUSE_S
        while not self._try():
            if time.monotonic() >= deadline:
                raise StoreUnavailable("the database was locked for too long")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        try:
            yield
        finally:
            self.release()

    async def take(self) -> None:
        """Take the lock, or give up after LOCK_WAIT_S; others of this process go on meanwhile.

        Raises: StoreUnavailable.
        """
        deadline, pause_s = time.monotonic() + LOCK_WAIT_S, FIRST_PAUSE_S
        while not self._try():
            if time.monotonic() >= deadline:
                raise StoreUnavailable("the database was locked for too long")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def release(self) -> None:
        """Let others have it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise StoreUnavailable(f"the lock file: {error.strerror}") from error
        return True

    def close(self) -> None:
        """Let go of the file; it stays, for the other processes."""
        os.close(self._descriptor)
