"""The store over a SQL database: its nouns, and its views of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mintmark.store.audit import SqlAudit
from mintmark.store.blocks import Parts
from mintmark.store.bounds import Bounds
from mintmark.store.clients import SqlClients
from mintmark.store.deployment import SqlDeployment
from mintmark.store.idempotency import SqlIdempotency
from mintmark.store.keys import SqlKeys
from mintmark.store.opening import Opened, open_database
from mintmark.store.records import Act
from mintmark.store.registrations import SqlRegistrations
from mintmark.store.schema import check_current
from mintmark.store.sites import SqlSites
from mintmark.store.tenants import SqlTenants
from mintmark.store.tending import Writer
from mintmark.store.tokens import SqlTokens
from mintmark.store.upkeep import SqlUpkeep
from mintmark.store.writing import Writing


class SqlStore:
    """Implements `interface.Store`. Use it from the thread of one event loop; open one in each process."""

    def __init__(self, opened: Opened, writing: Writing) -> None:
        reader, issuers = opened.reader, opened.issuers or opened.reader
        self._opened = opened
        self._writing = writing
        self.tenants = SqlTenants(issuers, writing)
        self.clients = SqlClients(reader, writing)
        self.sites = SqlSites(reader, writing)
        self.keys = SqlKeys(issuers, writing)
        self.tokens = SqlTokens(reader, writing)
        self.deployment = SqlDeployment(reader, writing, opened.bell, opened.watch)
        self.idempotency = SqlIdempotency(reader, writing)
        self.registrations = SqlRegistrations(reader, writing)
        self.audit = SqlAudit(reader, opened.slow, writing)
        self.upkeep = SqlUpkeep(writing, opened.checkpoints, opened.shrink, opened.emptying)
        self.leadership = opened.leadership

    @classmethod
    def open(cls, url: str, bounds: Bounds | None = None) -> SqlStore:
        """Open a database whose schema is current.

        Args:
            url: `sqlite:////absolute/path`, `sqlite:///relative/path` or `postgresql://user@host/name`.
            bounds: None: the usual ones.

        Raises: SettingsError (URL, directory, not a database), StoreError (another schema), StoreUnavailable.
        """
        check_current(url)
        opened = open_database(url, bounds or Bounds())
        return cls(opened, Writing(opened.commit))

    @property
    def writer(self) -> Writer:
        """What writes, for who looks at it from outside."""
        return self._opened.commit

    def acting(self, act: Act) -> SqlStore:
        """Return a view whose changes are recorded as this act, each in its own transaction."""
        return SqlStore(self._opened, self._writing.acting(act))

    def unsynced(self) -> SqlStore:
        """Return a view whose changes are seen by all when they return; the next synced one takes them to the disk."""
        return SqlStore(self._opened, self._writing.unsynced())

    @asynccontextmanager
    async def together(self) -> AsyncIterator[SqlStore]:
        """Give a view whose changes are one transaction, and which reads them. Raises: StoreUnavailable.

        Of such a view it gives a part, which is undone by itself where the block raises.
        """
        async with self._opened.blocks.begin() as block:
            if block is None:
                yield self
                return
            parts = Parts(block.transaction)
            shared = self._opened._replace(reader=block.reader, issuers=block.issuers, slow=block.reader, blocks=parts)
            yield SqlStore(shared, Writing(block.transaction))

    async def close(self) -> None:
        """Finish what is in hand and let go of the database, for all views. A second call does nothing."""
        await self._opened.commit.close()
        self._opened.blocks.close()
        self._opened.checkpoints.close()
        await self._opened.leadership.release()
        self._opened.reader.close()
        self._opened.slow.close()
        self._opened.watch.close()
        self._opened.bell.close()
