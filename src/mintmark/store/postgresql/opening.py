"""A store on PostgreSQL, put together."""

from __future__ import annotations

from functools import partial

from mintmark.store.batching import GroupCommit
from mintmark.store.blocks import KeptBlocks
from mintmark.store.opening import Opened
from mintmark.store.postgresql.connection import open_engine
from mintmark.store.postgresql.lanes import Lanes
from mintmark.store.postgresql.leadership import SessionLeadership
from mintmark.store.postgresql.listening import Listener
from mintmark.store.postgresql.partitions import Partitions
from mintmark.store.postgresql.reading import PooledReader
from mintmark.store.postgresql.writing import ServerBlock, ServerSession


class NoLog:
    """Implements `session.LogKeeper`: the server's checkpoints are its own affair."""

    def begin(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def open_postgresql(url: str) -> Opened:
    """Open a database whose schema is current. Raises: SettingsError."""
    engine = open_engine(url)
    listener = Listener(url)
    slow = PooledReader(engine, threads=1)
    return Opened(
        PooledReader(engine),
        slow,
        Lanes(*(GroupCommit(ServerSession(engine, listener)) for _ in range(2))),
        SessionLeadership(engine),
        listener,
        NoLog(),
        KeptBlocks(partial(ServerBlock, engine, listener)),
        None,
        Partitions(engine, slow),
    )


def open_session_leadership(url: str) -> SessionLeadership:
    """Return the leadership of a database. Raises: SettingsError."""
    return SessionLeadership(open_engine(url))
