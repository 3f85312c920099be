"""What a database says when it cannot, in the store's own errors. No parameter is ever in their text."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from mintmark.protocol.errors import AlreadyExists, NotFound, StoreError, StoreUnavailable

DUPLICATE_CODES: Final = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})
MISSING_PARENT_CODES: Final = frozenset({sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY})

# PostgreSQL's, as SQL numbers them.
DUPLICATE: Final = "23505"
MISSING_PARENT: Final = "23503"
PASSING: Final = frozenset({"40001", "40P01"})
UNAVAILABLE_CLASSES: Final = frozenset({"08", "25", "40", "53", "55", "57", "58"})
"""Connection, transaction state (read-only: a standby), lost, resources, not in the right state, operator, system."""


def read_fault(error: DBAPIError) -> StoreError:
    """Return the store's error for a driver's: there twice, missing, or the store is away."""
    text = str(error.orig)
    code = getattr(error.orig, "sqlite_errorcode", None)
    state = read_state(error)
    if isinstance(error, IntegrityError) and (code in DUPLICATE_CODES or state == DUPLICATE):
        return AlreadyExists(text)
    if isinstance(error, IntegrityError) and (code in MISSING_PARENT_CODES or state == MISSING_PARENT):
        return NotFound("the tenant or client that this record belongs to is not there")
    if isinstance(error, OperationalError) or state[:2] in UNAVAILABLE_CLASSES:
        return StoreUnavailable(text)
    return StoreError(text)


def is_passing(error: Exception) -> bool:
    """Tell whether a transaction lost against another's, and may well win when it is tried again."""
    return isinstance(error, DBAPIError) and read_state(error) in PASSING


def read_state(error: DBAPIError) -> str:
    """Return SQL's code of what happened, of five characters; empty: SQLite's driver has none."""
    return getattr(error.orig, "sqlstate", None) or ""


@contextmanager
def store_faults() -> Iterator[None]:
    """Turn a driver's errors into the store's. Raises: StoreError and its kinds."""
    try:
        yield
    except DBAPIError as error:
        raise read_fault(error) from error
