"""The store over a SQL database: the five nouns, one connection that reads and one thread that writes."""

from __future__ import annotations

from mintmark.store.batching import GroupCommit
from mintmark.store.clients import SqlClients
from mintmark.store.deployment import SqlDeployment
from mintmark.store.keys import SqlKeys
from mintmark.store.reading import Reader
from mintmark.store.schema import check_current
from mintmark.store.sqlite import WriteLock, database_path, open_connection, open_writer
from mintmark.store.tenants import SqlTenants
from mintmark.store.tokens import SqlTokens


class SqlStore:
    """Implements `interface.Store`. Use it from one event loop's thread; open one in each process, after the fork."""

    def __init__(self, reader: Reader, writer: GroupCommit) -> None:
        self._reader = reader
        self._writer = writer
        self.tenants = SqlTenants(reader, writer)
        self.clients = SqlClients(reader, writer)
        self.keys = SqlKeys(reader, writer)
        self.tokens = SqlTokens(reader, writer)
        self.deployment = SqlDeployment(reader, writer)

    @classmethod
    def open(cls, url: str) -> SqlStore:
        """Open a database whose schema is current.

        Args:
            url: `sqlite:////absolute/path` or `sqlite:///relative/path`.

        Raises: SettingsError (the URL, the directory, not a database), StoreError (another schema), StoreUnavailable.
        """
        check_current(url)
        path = database_path(url)
        reader = Reader(open_connection(path, "rw"))
        lock = WriteLock(path)
        return cls(reader, GroupCommit(open_writer(path, lock), lock))

    async def close(self) -> None:
        """Finish what is in hand and let go of the database. A second call does nothing."""
        await self._writer.close()
        self._reader.close()
