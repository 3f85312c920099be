"""The bounds of a store: how long it waits for its database, and how much may wait for it in one process."""

from __future__ import annotations

import msgspec


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds, and numbers for each process. What SQLite has no use for it leaves alone."""

    connect_timeout_s: int = 5
    """To connect to one host. A URL that names another is heard."""
    statement_timeout_s: float = 10.0
    """For one statement, or a commit. The server is asked to keep to it; a second later at most nobody waits for it."""
    lock_timeout_s: float = 9.0
    """For a turn that another node holds; a transaction over many calls may hold one for eight seconds."""
    readers: int = 4
    """Reads at the same time."""
    reads_waiting: int = 1000
    """Reads in hand. Behind so many the answer would come too late to be of use."""
    writes_waiting: int = 2000
    """Writes that may wait, in each queue."""
    wait_s: float = 10.0
    """For a read, and for a write to be begun."""
    slow_after_s: float = 1.0
    """A commit that takes so long is a slow database's: what comes meanwhile is refused."""
    look_timeout_s: float = 1.0
    """For a look whether anything has changed."""
