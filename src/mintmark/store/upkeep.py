"""Death by age, in steps so short that no request has to notice. Who takes them, and when, is not decided here."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnClause, Connection, Delete, Integer, Table, bindparam, delete, literal_column, select

from mintmark.store.checkpoints import Checkpoints
from mintmark.store.tables import IDEMPOTENCY, INITIAL_ACCESS_TOKEN, JWT_SLOT, REVOKED_JWT, TOKEN
from mintmark.store.writing import Writing

ROW: Final[ColumnClause[int]] = literal_column("rowid", Integer)


def expired(table: Table) -> Delete:
    """Return the statement that removes up to `at_most` rows which expired at `now` or before.

    The index alone finds them, and they are visited in the order in which they lie in the file.
    """
    found = select(ROW).select_from(table).where(table.c.expires_at <= bindparam("now")).limit(bindparam("at_most"))
    return delete(table).where(ROW.in_(found))


# A slot of an opaque token has no line of its own: the foreign key removes it with its token.
MORTAL: Final = tuple(map(expired, (TOKEN, REVOKED_JWT, JWT_SLOT, IDEMPOTENCY, INITIAL_ACCESS_TOKEN)))

# Python's driver takes one step of this pragma, whatever number it is given: hence one page at a time.
GIVE_BACK_PAGE: Final = "PRAGMA incremental_vacuum(1)"
COUNT_FREE: Final = "PRAGMA freelist_count"
COUNT_ALL: Final = "PRAGMA page_count"


class SqlUpkeep:
    """Implements `interface.Upkeep`."""

    def __init__(self, writing: Writing, checkpoints: Checkpoints) -> None:
        self._writing = writing
        self._checkpoints = checkpoints

    async def tend_log(self) -> None:
        """Copy the log into the database file from now on."""
        self._checkpoints.begin()

    async def purge(self, now: int, limit: int) -> int:
        """Remove up to `limit` expired rows; return how many. Raises: StoreUnavailable."""
        return await self._writing.run(partial(erase_expired, now=now, limit=limit))

    async def reclaim(self, pages: int, *, keep: int = 0, keep_share: float = 0.0) -> int:
        """Give free pages back to the file system; return how many. Raises: StoreUnavailable."""
        return await self._writing.run(partial(shrink, pages=pages, keep=keep, keep_share=keep_share))


def erase_expired(connection: Connection, *, now: int, limit: int) -> int:
    """Delete up to `limit` expired rows, and return how many. Raises: DBAPIError."""
    gone = 0
    for statement in MORTAL:
        gone += connection.execute(statement, {"now": now, "at_most": limit - gone}).rowcount
    return gone


def shrink(connection: Connection, *, pages: int, keep: int, keep_share: float) -> int:
    """Cut up to `pages` free pages off the file, and return how many. Raises: DBAPIError."""
    before = count(connection, COUNT_FREE)
    spare = before - max(keep, int(keep_share * count(connection, COUNT_ALL)))
    for _ in range(min(pages, spare)):
        connection.exec_driver_sql(GIVE_BACK_PAGE)
    return before - count(connection, COUNT_FREE)


def count(connection: Connection, pragma: str) -> int:
    """Return the number that a pragma tells. Raises: DBAPIError."""
    number: Any = connection.exec_driver_sql(pragma).scalar_one()
    return int(number)
