"""The parts of the table of tokens, and how a part is emptied whole when all in it have expired.

A token lies where its expiry falls in a ring of parts: the migration says which. No part is ever made or dropped, so no
lock on the whole table is ever taken, and every plan stays. What lives longer than a ring is long lies in a part of its
own, from which the expired are removed row by row.
"""

from __future__ import annotations

import asyncio
from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from mintmark.store.faults import read_fault, read_state
from mintmark.store.postgresql.connection import Link
from mintmark.store.reading import Reader

PARTS: Final = tuple(f"token_{number}" for number in range(8))
LOCK_WAIT_MS: Final = 100
"""For so long at most those who look tokens up may queue behind who wants to empty a part, and does not get it."""
NOT_TO_BE_HAD: Final = "55P03"

IS_PAST: Final = "SELECT '{part}' FROM {part} HAVING max(expires_at) <= %s"
FIND_PAST: Final = " UNION ALL ".join(IS_PAST.format(part=part) for part in PARTS)
COUNT: Final = "SELECT greatest(n_live_tup, 1) FROM pg_stat_user_tables WHERE relid = %s::regclass"


class Partitions:
    """Implements `upkeep.Emptying`."""

    def __init__(self, engine: Engine, reader: Reader) -> None:
        self._engine = engine
        self._reader = reader

    async def empty_one(self, now: int) -> int:
        """Empty one part whose tokens all expired at `now` or before; return about how many. Raises: StoreUnavailable.

        0: there is none, or it is in use just now.
        """
        part = await self._reader.run(find_past, now)
        return 0 if part is None else await asyncio.to_thread(self._empty, part, now)

    def _empty(self, part: str, now: int) -> int:
        link = Link(self._engine)
        try:
            return empty(link.live(), part, now)
        except DBAPIError as error:
            if read_state(error) == NOT_TO_BE_HAD:
                return 0
            raise read_fault(error) from error
        finally:
            link.drop()


def find_past(connection: Connection, now: int) -> str | None:
    """Return a part that holds tokens, all of them expired, or None. An index tells. Raises: DBAPIError."""
    found: str | None = connection.exec_driver_sql(FIND_PAST, (now,) * len(PARTS)).scalars().first()
    return found


def empty(connection: Connection, part: str, now: int) -> int:
    """Empty the part, unless a live token has come into it since; return about how many were there.

    Raises: DBAPIError (among others: somebody uses it).
    """
    rows = int(connection.exec_driver_sql(COUNT, (part,)).scalar_one())
    connection.exec_driver_sql("BEGIN")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_WAIT_MS}ms'")
    connection.exec_driver_sql(f"LOCK TABLE {part} IN ACCESS EXCLUSIVE MODE")
    is_past = connection.exec_driver_sql(IS_PAST.format(part=part), (now,)).first() is not None
    if is_past:
        connection.exec_driver_sql(f"TRUNCATE {part}")
    connection.exec_driver_sql("COMMIT")
    return rows if is_past else 0
