"""Free pages of a SQLite file given back to the file system. PostgreSQL's own vacuum needs nobody for that."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection

# Python's driver takes one step of this pragma, whatever number it is given: hence one page at a time.
GIVE_BACK_PAGE: Final = "PRAGMA incremental_vacuum(1)"
COUNT_FREE: Final = "PRAGMA freelist_count"
COUNT_ALL: Final = "PRAGMA page_count"


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
