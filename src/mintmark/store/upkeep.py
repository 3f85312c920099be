"""Death by age, in steps so short that no request has to notice. Who takes them, and when, is not decided here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol

from sqlalchemy import Connection, Delete, TableClause, bindparam, column, delete, select, table

from mintmark.store.session import LogKeeper
from mintmark.store.statements import ROW
from mintmark.store.tables import IDEMPOTENCY, INITIAL_ACCESS_TOKEN, JWT_SLOT, REUSE_SLOT, REVOKED_JWT, TOKEN
from mintmark.store.writing import Writing

Shrink = Callable[..., int]
"""Gives pages back: `sqlite_pages.shrink`."""


class Emptying(Protocol):
    """Removes many tokens at once, where they lie together by their expiry."""

    async def empty_one(self, now: int) -> int:
        """Remove one lot of tokens, all expired at `now` or before; return about how many. Raises: StoreUnavailable."""


def expired(mortal: TableClause) -> Delete:
    """Return the statement that removes up to `at_most` rows which expired at `now` or before.

    The index alone finds them, and they are visited in the order in which they lie in the file.
    """
    found = select(ROW).select_from(mortal).where(mortal.c.expires_at <= bindparam("now")).limit(bindparam("at_most"))
    return delete(mortal).where(ROW.in_(found))


# The part of PostgreSQL's table of tokens that is never emptied whole.
TOKEN_REST: Final = table("token_rest", column("expires_at"))
ON_BOTH: Final = (REVOKED_JWT, JWT_SLOT, IDEMPOTENCY, INITIAL_ACCESS_TOKEN)
# A slot of an opaque token goes with its token, unless that goes with all of its part: so the slots go before.
MORTAL: Final[Mapping[str, Sequence[Delete]]] = {
    "sqlite": tuple(map(expired, (TOKEN, *ON_BOTH))),
    "postgresql": tuple(map(expired, (TOKEN_REST, REUSE_SLOT, *ON_BOTH))),
}


class SqlUpkeep:
    """Implements `interface.Upkeep`."""

    def __init__(self, writing: Writing, log: LogKeeper, shrink: Shrink | None, emptying: Emptying | None) -> None:
        """Take what a database brings to it.

        Args:
            log: tends the log.
            shrink: gives pages back; None: the database does by itself.
            emptying: removes tokens by lots; None: they go row by row.
        """
        self._writing = writing
        self._log = log
        self._shrink = shrink
        self._emptying = emptying

    async def tend_log(self) -> None:
        """Do from now on what the database wants done beside its writers."""
        self._log.begin()

    async def purge(self, now: int, limit: int) -> int:
        """Remove up to `limit` expired rows, or a lot of tokens; return how many. Raises: StoreUnavailable."""
        gone = await self._writing.run(partial(erase_expired, now=now, limit=limit))
        if gone or not limit or self._emptying is None:
            return gone
        return await self._emptying.empty_one(now)

    async def reclaim(self, pages: int, *, keep: int = 0, keep_share: float = 0.0) -> int:
        """Give free pages back to the file system; return how many. Raises: StoreUnavailable."""
        if self._shrink is None:
            return 0
        return await self._writing.run(partial(self._shrink, pages=pages, keep=keep, keep_share=keep_share))


def erase_expired(connection: Connection, *, now: int, limit: int) -> int:
    """Delete up to `limit` expired rows, and return how many. Raises: DBAPIError."""
    gone = 0
    for statement in MORTAL[connection.dialect.name]:
        gone += connection.execute(statement, {"now": now, "at_most": limit - gone}).rowcount
    return gone
