"""A store on PostgreSQL, put together."""

from __future__ import annotations

from functools import partial
from typing import Final

from msgspec.structs import replace

from mintmark.store.batching import GroupCommit
from mintmark.store.blocks import KeptBlocks
from mintmark.store.bounds import Bounds
from mintmark.store.opening import Opened
from mintmark.store.postgresql.connection import open_engine
from mintmark.store.postgresql.lanes import Lanes
from mintmark.store.postgresql.leadership import SessionLeadership
from mintmark.store.postgresql.listening import Listener
from mintmark.store.postgresql.partitions import Partitions
from mintmark.store.postgresql.reading import PooledReader
from mintmark.store.postgresql.writing import ServerBlock, ServerSession

WATCH_CONNECT_S: Final = 2
"""The shortest that libpq knows."""


def open_watch(url: str, bounds: Bounds) -> PooledReader:
    """Return what looks for changes: beside all other reads, hastily, and never again on a session that is lost.

    Who reads on another session without a word may read in another server, which took the first one's place.
    """
    hasty = replace(
        bounds,
        connect_timeout_s=min(bounds.connect_timeout_s, WATCH_CONNECT_S),
        statement_timeout_s=bounds.look_timeout_s,
        wait_s=bounds.look_timeout_s,
        readers=1,
    )
    # Prepared, it would need the same session again, which a pooler may not give it.
    return PooledReader(open_engine(url, hasty, prepare_after=None), hasty, tells_of_loss=True)


class NoLog:
    """Implements `session.LogKeeper`: the server's checkpoints are its own affair."""

    def begin(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def open_postgresql(url: str, bounds: Bounds) -> Opened:
    """Open a database whose schema is current. Raises: SettingsError."""
    engine = open_engine(url, bounds)
    listener = Listener(url, bounds)
    slow = PooledReader(engine, replace(bounds, readers=1))
    return Opened(
        PooledReader(engine, bounds),
        slow,
        open_watch(url, bounds),
        Lanes(*(GroupCommit(ServerSession(engine, listener), bounds) for _ in range(2))),
        SessionLeadership(engine),
        listener,
        NoLog(),
        KeptBlocks(partial(ServerBlock, engine, listener)),
        None,
        Partitions(engine, slow),
    )


def open_session_leadership(url: str) -> SessionLeadership:
    """Return the leadership of a database. Raises: SettingsError."""
    return SessionLeadership(open_engine(url, Bounds()))
