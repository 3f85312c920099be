"""The store over a SQL database: its nouns, one connection that reads and one thread that writes."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

from mintmark.store.batching import GroupCommit
from mintmark.store.bell import Bell
from mintmark.store.checkpoints import Checkpoints
from mintmark.store.clients import SqlClients
from mintmark.store.deployment import SqlDeployment
from mintmark.store.keys import SqlKeys
from mintmark.store.leadership import FileLeadership
from mintmark.store.reading import Reader
from mintmark.store.schema import check_current
from mintmark.store.sqlite import WriteLock, database_path, open_connection, open_writer
from mintmark.store.tenants import SqlTenants
from mintmark.store.tokens import SqlTokens
from mintmark.store.upkeep import SqlUpkeep


class SqlStore:
    """Implements `interface.Store`. Use it from the thread of one event loop; open one in each process."""

    def __init__(self, path: Path, reader: Reader, writer: GroupCommit, bell: Bell) -> None:
        self._reader = reader
        self._writer = writer
        self._bell = bell
        self.tenants = SqlTenants(reader, writer)
        self.clients = SqlClients(reader, writer)
        self.keys = SqlKeys(reader, writer)
        self.tokens = SqlTokens(reader, writer)
        self.deployment = SqlDeployment(reader, writer, bell)
        self._checkpoints = Checkpoints(path)
        self.upkeep = SqlUpkeep(writer, self._checkpoints)
        self.leadership = FileLeadership(path)

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
            bell = opened.enter_context(closing(Bell(path)))
            opened.pop_all()
        return cls(path, reader, GroupCommit(connection, lock, bell), bell)

    @property
    def writer(self) -> GroupCommit:
        """What writes, for who looks at it from outside."""
        return self._writer

    async def close(self) -> None:
        """Finish what is in hand and let go of the database. A second call does nothing."""
        await self._writer.close()
        self._checkpoints.close()
        await self.leadership.release()
        self._reader.close()
        self._bell.close()
