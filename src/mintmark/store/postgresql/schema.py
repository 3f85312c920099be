"""PostgreSQL as far as the schema goes: one first start migrates, the others wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection

from mintmark.store.bounds import Bounds
from mintmark.store.faults import store_faults
from mintmark.store.postgresql.connection import Link, check_url, open_engine
from mintmark.store.urls import show_url

MIGRATION: Final = 0x6D696E746D696772
WAIT: Final = f"SELECT pg_advisory_lock({MIGRATION})"
PATIENT: Final = Bounds(statement_timeout_s=600.0, lock_timeout_s=600.0)
"""A migration of much data takes its time."""


class ServerSchema:
    """Implements `schema.SchemaPlace`."""

    list_tables = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    # Who waits for a table keeps all others waiting behind him: a migration then rather fails, and is run again.
    begin = "BEGIN; SET LOCAL lock_timeout = '3s'"
    begin_snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

    def __init__(self, url: str) -> None:
        """Take a URL. Raises: SettingsError."""
        self.name = show_url(url)
        self._url = url
        check_url(url)

    def is_empty(self) -> bool:
        """Leave it to the list of tables: the database itself is there, or cannot be reached."""
        return False

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """Give a connection that only reads. Raises: StoreUnavailable."""
        # Nothing is prepared, for that needs a session of its own, and whether there is one the doctor asks here.
        link = Link(open_engine(self._url, Bounds(), prepare_after=None), only_reads=True)
        try:
            yield link.live()
        finally:
            link.drop()

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """Give a connection that holds the lock of migrations. Raises: StoreUnavailable."""
        link = Link(open_engine(self._url, PATIENT))
        try:
            with store_faults():
                connection = link.live()
                connection.exec_driver_sql(WAIT)
            yield connection
        finally:
            # The lock goes with the session.
            link.drop()
