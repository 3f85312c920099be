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


def read_fault(error: DBAPIError) -> StoreError:
    """Return the store's error for a driver's: there twice, missing, or the store is away."""
    text = str(error.orig)
    code = getattr(error.orig, "sqlite_errorcode", None)
    if isinstance(error, IntegrityError) and code in DUPLICATE_CODES:
        return AlreadyExists(text)
    if isinstance(error, IntegrityError) and code in MISSING_PARENT_CODES:
        return NotFound("the tenant or client that this record belongs to is not there")
    if isinstance(error, OperationalError):
        return StoreUnavailable(text)
    return StoreError(text)


@contextmanager
def store_faults() -> Iterator[None]:
    """Turn a driver's errors into the store's. Raises: StoreError and its kinds."""
    try:
        yield
    except DBAPIError as error:
        raise read_fault(error) from error
