"""What a database brings to a store, and which database a URL names."""

from __future__ import annotations

from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from mintmark.store.batching import GroupCommit
from mintmark.store.bell import FileBell
from mintmark.store.blocks import Blocks, KeptBlocks
from mintmark.store.bounds import Bounds
from mintmark.store.checkpoints import Checkpoints
from mintmark.store.leadership import FileLeadership
from mintmark.store.reading import FileReader, InlineReader, Reader, ThreadReader
from mintmark.store.session import Bell, LogKeeper
from mintmark.store.sqlite import WriteLock, database_path, open_connection, open_writer
from mintmark.store.sqlite_pages import shrink
from mintmark.store.sqlite_session import SqliteBlock, SqliteSession
from mintmark.store.tending import Leadership, Writer
from mintmark.store.upkeep import Emptying, Shrink
from mintmark.store.urls import is_postgresql, require_postgresql
from mintmark.store.writing import Committing


class Committer(Committing, Writer, Protocol):
    """What writes in a process."""

    async def close(self) -> None:
        """Finish what waits, and let go of the database."""


class Opened(NamedTuple):
    """What all views of a store share."""

    reader: Reader
    slow: Reader
    """For reads that may take long."""
    watch: Reader
    """For looks whether anything has changed, and whether the database is there."""
    commit: Committer
    leadership: Leadership
    bell: Bell
    checkpoints: LogKeeper
    blocks: Blocks
    shrink: Shrink | None
    emptying: Emptying | None
    issuers: Reader | None = None
    """For tenants and keys; None: as for all else."""


def open_database(url: str, bounds: Bounds) -> Opened:
    """Open a database whose schema is current. Raises: SettingsError, StoreError, StoreUnavailable."""
    if not is_postgresql(url):
        return open_sqlite(database_path(url), bounds)
    require_postgresql()
    from mintmark.store.postgresql.opening import open_postgresql  # noqa: PLC0415 - its driver is an extra

    return open_postgresql(url, bounds)


def open_leadership(url: str) -> Leadership:
    """Return the leadership of a database, without a store. Raises: SettingsError."""
    if not is_postgresql(url):
        return FileLeadership(database_path(url))
    require_postgresql()
    from mintmark.store.postgresql.opening import open_session_leadership  # noqa: PLC0415 - its driver is an extra

    return open_session_leadership(url)


def open_sqlite(path: Path, bounds: Bounds) -> Opened:
    """Open the file. Raises: SettingsError, StoreError, StoreUnavailable."""
    with ExitStack() as opened:
        lock = opened.enter_context(closing(WriteLock(path)))
        connection = opened.enter_context(open_writer(path, lock))
        reader = opened.enter_context(closing(InlineReader(open_connection(path, "rw"))))
        watch = opened.enter_context(closing(FileReader(open_connection(path, "rw"), path)))
        slow = opened.enter_context(closing(ThreadReader(open_connection(path, "rw"))))
        bell = opened.enter_context(closing(FileBell(path)))
        opened.pop_all()
    commit = GroupCommit(SqliteSession(connection, lock, bell), bounds)
    return Opened(
        reader,
        slow,
        watch,
        commit,
        FileLeadership(path),
        bell,
        Checkpoints(path),
        KeptBlocks(partial(SqliteBlock, path, bell)),
        shrink,
        None,
    )
