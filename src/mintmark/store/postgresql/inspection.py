"""What a PostgreSQL server tells of itself: version, clock, durability, connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from mintmark.store.inspection import ServerFacts

READ_PRODUCT: Final = "SELECT current_setting('server_version'), current_setting('server_encoding')"
READ_CLOCK: Final = "SELECT extract(epoch FROM clock_timestamp())"
# Our own session only reads; `reset_val` is what others begin with.
READ_ROLE: Final = """
    SELECT pg_is_in_recovery(),
        (SELECT reset_val = 'on' FROM pg_settings WHERE name = 'default_transaction_read_only')
"""
READ_LOSSY: Final = """
    SELECT name FROM pg_settings
    WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name
"""
# `reserved_connections` came with PostgreSQL 16. Sessions without a database are the server's own.
READ_CONNECTIONS: Final = """
    SELECT current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true), '0')::int
        - (SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL
            AND (datname <> current_database() OR usename IS DISTINCT FROM current_user
                OR application_name <> 'mintmark'))
"""
OWN_SESSION: Final = "SELECT pg_backend_pid()"
LOOKS: Final = 5
"""Whether a session changes: others may have taken the one that this was to lose."""


def read_product(connection: Connection) -> tuple[str, str]:
    """Return the server's name with its version, and the database's encoding. Raises: DBAPIError."""
    version, encoding = connection.exec_driver_sql(READ_PRODUCT).one()
    return f"PostgreSQL {version}", encoding


def read_server(connection: Connection, another: Connection, clock: Callable[[], float]) -> ServerFacts:
    """Return what the server tells of itself, on one of two connections. Raises: DBAPIError."""
    before = clock()
    theirs = float(connection.exec_driver_sql(READ_CLOCK).scalar_one())
    ours = (before + clock()) / 2
    is_standby, is_read_only = connection.exec_driver_sql(READ_ROLE).one()
    lossy = connection.exec_driver_sql(READ_LOSSY).scalars().all()
    free = connection.exec_driver_sql(READ_CONNECTIONS).scalar_one()
    return ServerFacts(theirs - ours, is_standby, is_read_only, tuple(lossy), keeps_session(connection, another), free)


def keeps_session(connection: Connection, another: Connection) -> bool:
    """Tell whether a connection keeps its session while another begins a transaction. Raises: DBAPIError.

    A pooler that lends sessions for a transaction gives it the one that was returned last, which was this one's.
    """
    seen = set()
    for _ in range(LOOKS):
        seen.add(connection.exec_driver_sql(OWN_SESSION).scalar_one())
        another.exec_driver_sql("BEGIN")
        seen.add(connection.exec_driver_sql(OWN_SESSION).scalar_one())
        another.exec_driver_sql("ROLLBACK")
    return len(seen) == 1
