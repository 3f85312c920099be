"""The store over a SQL database: its nouns, one connection that reads and one thread that writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import NamedTuple

from mintmark.store.audit import SqlAudit
from mintmark.store.batching import GroupCommit
from mintmark.store.bell import Bell
from mintmark.store.checkpoints import Checkpoints
from mintmark.store.clients import SqlClients
from mintmark.store.deployment import SqlDeployment
from mintmark.store.idempotency import SqlIdempotency
from mintmark.store.keys import SqlKeys
from mintmark.store.leadership import FileLeadership
from mintmark.store.reading import Reader, ThreadReader
from mintmark.store.records import Act
from mintmark.store.registrations import SqlRegistrations
from mintmark.store.schema import check_current
from mintmark.store.sites import SqlSites
from mintmark.store.sqlite import WriteLock, database_path, open_connection, open_writer
from mintmark.store.tenants import SqlTenants
from mintmark.store.tokens import SqlTokens
from mintmark.store.transaction import open_transaction
from mintmark.store.upkeep import SqlUpkeep
from mintmark.store.writing import Writing


class Opened(NamedTuple):
    """What all views of a store share."""

    path: Path
    reader: Reader
    slow: Reader
    """For reads that may take long."""
    commit: GroupCommit
    leadership: FileLeadership
    bell: Bell
    checkpoints: Checkpoints


class SqlStore:
    """Implements `interface.Store`. Use it from the thread of one event loop; open one in each process."""

    def __init__(self, opened: Opened, writing: Writing) -> None:
        reader = opened.reader
        self._opened = opened
        self._writing = writing
        self.tenants = SqlTenants(reader, writing)
        self.clients = SqlClients(reader, writing)
        self.sites = SqlSites(reader, writing)
        self.keys = SqlKeys(reader, writing)
        self.tokens = SqlTokens(reader, writing)
        self.deployment = SqlDeployment(reader, writing, opened.bell)
        self.idempotency = SqlIdempotency(reader, writing)
        self.registrations = SqlRegistrations(reader, writing)
        self.audit = SqlAudit(reader, opened.slow, writing)
        self.upkeep = SqlUpkeep(writing, opened.checkpoints)
        self.leadership = opened.leadership

    @classmethod
    def open(cls, url: str) -> SqlStore:
        """Open a database whose schema is current.

        Args:
            url: `sqlite:////absolute/path` or `sqlite:///relative/path`.

        Raises: SettingsError (URL, directory, not a database), StoreError (another schema), StoreUnavailable.
        """
        check_current(url)
        path = database_path(url)
        with ExitStack() as opened:
            lock = opened.enter_context(closing(WriteLock(path)))
            connection = opened.enter_context(open_writer(path, lock))
            reader = opened.enter_context(closing(Reader(open_connection(path, "rw"))))
            slow = opened.enter_context(closing(ThreadReader(open_connection(path, "rw"))))
            bell = opened.enter_context(closing(Bell(path)))
            opened.pop_all()
        commit = GroupCommit(connection, lock, bell)
        return cls(Opened(path, reader, slow, commit, FileLeadership(path), bell, Checkpoints(path)), Writing(commit))

    @property
    def writer(self) -> GroupCommit:
        """What writes, for who looks at it from outside."""
        return self._opened.commit

    def acting(self, act: Act) -> SqlStore:
        """Return a view whose changes are recorded as this act, each in its own transaction."""
        return SqlStore(self._opened, self._writing.acting(act))

    def unsynced(self) -> SqlStore:
        """Return a view whose changes are seen by all when they return, and survive a loss of power after `sync`."""
        return SqlStore(self._opened, self._writing.unsynced())

    @asynccontextmanager
    async def together(self) -> AsyncIterator[SqlStore]:
        """Give a view whose changes are one transaction, and which reads them. Raises: StoreUnavailable."""
        async with open_transaction(self._opened.path, self._opened.bell) as transaction:
            reader = Reader(transaction.connection, query_only=False)
            yield SqlStore(self._opened._replace(reader=reader, slow=reader), Writing(transaction))

    async def sync(self) -> None:
        """Return when all that was written before, by any view or process, is on disk. Raises: StoreUnavailable."""
        await self._writing.sync()

    async def close(self) -> None:
        """Finish what is in hand and let go of the database, for all views. A second call does nothing."""
        await self._opened.commit.close()
        self._opened.checkpoints.close()
        await self._opened.leadership.release()
        self._opened.reader.close()
        self._opened.slow.close()
        self._opened.bell.close()
