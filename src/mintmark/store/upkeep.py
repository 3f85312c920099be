"""Death by age, in steps so short that no request has to notice. Who takes them, and when, is not decided here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from sqlalchemy import Connection, Delete, Table, bindparam, delete, select

from mintmark.store.session import LogKeeper
from mintmark.store.statements import ROW
from mintmark.store.tables import IDEMPOTENCY, INITIAL_ACCESS_TOKEN, JWT_SLOT, REVOKED_JWT, TOKEN
from mintmark.store.writing import Writing

Shrink = Callable[..., int]
"""Gives pages back: `sqlite_pages.shrink`."""


def expired(table: Table) -> Delete:
    """Return the statement that removes up to `at_most` rows which expired at `now` or before.

    The index alone finds them, and they are visited in the order in which they lie in the file.
    """
    found = select(ROW).select_from(table).where(table.c.expires_at <= bindparam("now")).limit(bindparam("at_most"))
    return delete(table).where(ROW.in_(found))


# A slot of an opaque token has no line of its own: the foreign key removes it with its token.
MORTAL: Final = tuple(map(expired, (TOKEN, REVOKED_JWT, JWT_SLOT, IDEMPOTENCY, INITIAL_ACCESS_TOKEN)))


class SqlUpkeep:
    """Implements `interface.Upkeep`."""

    def __init__(self, writing: Writing, log: LogKeeper, shrink: Shrink | None) -> None:
        """Take what writes, what tends the log, and what gives pages back; None: the database does by itself."""
        self._writing = writing
        self._log = log
        self._shrink = shrink

    async def tend_log(self) -> None:
        """Do from now on what the database wants done beside its writers."""
        self._log.begin()

    async def purge(self, now: int, limit: int) -> int:
        """Remove up to `limit` expired rows; return how many. Raises: StoreUnavailable."""
        return await self._writing.run(partial(erase_expired, now=now, limit=limit))

    async def reclaim(self, pages: int, *, keep: int = 0, keep_share: float = 0.0) -> int:
        """Give free pages back to the file system; return how many. Raises: StoreUnavailable."""
        if self._shrink is None:
            return 0
        return await self._writing.run(partial(self._shrink, pages=pages, keep=keep, keep_share=keep_share))


def erase_expired(connection: Connection, *, now: int, limit: int) -> int:
    """Delete up to `limit` expired rows, and return how many. Raises: DBAPIError."""
    gone = 0
    for statement in MORTAL:
        gone += connection.execute(statement, {"now": now, "at_most": limit - gone}).rowcount
    return gone
