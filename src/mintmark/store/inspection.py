"""What a database tells of itself to who checks a deployment. Nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from sqlalchemy import Connection, func, select

from mintmark.store.faults import store_faults
from mintmark.store.schema import SchemaState, place_of, read_state
from mintmark.store.tables import AUDIT_CHECKPOINT, AUDIT_RECORD
from mintmark.store.urls import is_postgresql

SIGNED_UNTIL: Final = select(func.coalesce(func.max(AUDIT_CHECKPOINT.c.seq), 0)).scalar_subquery()
OLDEST_UNSIGNED: Final = select(func.min(AUDIT_RECORD.c.at)).where(AUDIT_RECORD.c.seq > SIGNED_UNTIL)


class ServerFacts(NamedTuple):
    """What a server tells that several nodes share."""

    ahead_s: float
    """By how much its clock is ahead of ours."""
    is_standby: bool
    is_read_only: bool
    is_lossy: tuple[str, ...]
    """Settings by which it may lose what it has answered."""
    keeps_sessions: bool
    """Whether a connection has one session as long as it lives. A pooler may give each transaction any."""
    connections: int
    """How many this deployment may have: all, without those that are reserved or that others hold."""


class DatabaseFacts(NamedTuple):
    """What any database tells."""

    product: str
    encoding: str
    schema: SchemaState
    unsigned_since: int | None
    """When the oldest record of the audit log was written that no checkpoint has signed."""
    server: ServerFacts | None
    """None: SQLite has no server."""


def inspect_database(url: str, clock: Callable[[], float]) -> DatabaseFacts:
    """Look at a database, whatever its schema.

    Args:
        clock: tells the moment, in seconds since 1970-01-01T00:00:00Z.

    Raises: SettingsError (the URL, the file), StoreError (somebody else's database), StoreUnavailable.
    """
    place = place_of(url)
    with place.looking() as connection, store_faults():
        schema = "absent" if place.is_empty() else read_state(connection, place)
        product, encoding, server = _read_product(connection, url, clock)
        unsigned = connection.execute(OLDEST_UNSIGNED).scalar_one() if schema == "current" else None
    return DatabaseFacts(product, encoding, schema, unsigned, server)


def _read_product(connection: Connection, url: str, clock: Callable[[], float]) -> tuple[str, str, ServerFacts | None]:
    if not is_postgresql(url):
        version = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
        return f"SQLite {version}", connection.exec_driver_sql("PRAGMA encoding").scalar_one(), None
    from mintmark.store.postgresql.inspection import read_product, read_server  # noqa: PLC0415 - its driver is an extra

    with place_of(url).looking() as another:
        return *read_product(connection), read_server(connection, another, clock)
