"""Connections to PostgreSQL: how they are opened, bounded in time, and opened again when they are lost.

No password is in any error, and no value that was written: the server names them in what it calls the detail.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

import psycopg
from psycopg import Cursor
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from mintmark.protocol.errors import SettingsError, StoreUnavailable

URL_FORM: Final = "write postgresql://user@host/name"

CONNECT_TIMEOUT_S: Final = 5
STATEMENT_TIMEOUT_MS: Final = 10_000
LOCK_TIMEOUT_MS: Final = 9_000
"""For a turn that another node holds; a transaction over many calls may hold one for eight seconds."""
IDLE_IN_TRANSACTION_MS: Final = 15_000
"""After so long the server ends a transaction whose node says nothing any more, and gives its turns to others."""
UNANSWERED_MS: Final = 10_000
"""For so long either side believes in a network that brings nothing."""

BOUNDS: Final = {
    "statement_timeout": STATEMENT_TIMEOUT_MS,
    "lock_timeout": LOCK_TIMEOUT_MS,
    "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_MS,
    "tcp_user_timeout": UNANSWERED_MS,
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 2,
    "tcp_keepalives_count": 3,
}
"""What the server is told for each session. The last four are of its side of the network."""
OUR_SIDE: Final = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "application_name": "mintmark",
    "client_encoding": "utf8",
    "tcp_user_timeout": UNANSWERED_MS,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
SET_BOUNDS: Final = "SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in BOUNDS.items())
ONLY_READS: Final = "SET default_transaction_read_only = on"


class QuietCursor(Cursor[Any]):
    """A cursor whose errors say what happened, and not with which values."""

    def execute(self, *given: Any, **named: Any) -> QuietCursor:
        """Execute a statement. Raises: psycopg.Error, without its detail."""
        with hidden_details():
            super().execute(*given, **named)
        return self

    def executemany(self, *given: Any, **named: Any) -> None:
        """Execute a statement for many rows. Raises: psycopg.Error, without its detail."""
        with hidden_details():
            super().executemany(*given, **named)


@contextmanager
def hidden_details() -> Iterator[None]:
    """Leave of a server's error its first line. Raises: psycopg.Error."""
    try:
        yield
    except psycopg.Error as error:
        if error.diag.message_primary:
            error.args = (error.diag.message_primary,)
        raise


def check_url(url: str) -> None:
    """Make sure that this is a connection URL as libpq knows it. Raises: SettingsError, which does not echo it."""
    if not is_url(url):
        raise SettingsError(f"database: not a PostgreSQL URL; {URL_FORM}")


def is_url(url: str) -> bool:
    """Tell whether libpq can read it, and would not say of a part that it is no port."""
    try:
        ports = str(conninfo_to_dict(url).get("port", ""))
    except psycopg.Error:
        return False
    return all(port.isdigit() or not port for port in ports.split(","))


def open_engine(url: str) -> Engine:
    """Return an engine without a pool: whoever needs a connection keeps it. Raises: SettingsError."""
    check_url(url)
    return create_engine(
        "postgresql+psycopg://",
        creator=partial(connect, url),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        paramstyle="format",
        use_native_hstore=False,
    )


def connect(url: str) -> psycopg.Connection[Any]:
    """Return a bounded connection in autocommit. Raises: psycopg.OperationalError."""
    # A URL may say otherwise of these, and is heard.
    given: dict[str, Any] = {**OUR_SIDE, **conninfo_to_dict(url)}
    connection = psycopg.connect(autocommit=True, cursor_factory=QuietCursor, **given)
    connection.execute(SET_BOUNDS)
    return connection


class Link:
    """One connection, used by one thread at a time, that is opened when it is needed and again when it is lost."""

    def __init__(self, engine: Engine, *, only_reads: bool = False) -> None:
        self._engine = engine
        self._only_reads = only_reads
        self._connection: Connection | None = None

    def live(self) -> Connection:
        """Return the connection, opened if need be. Raises: StoreUnavailable."""
        if self._connection is not None and not is_alive(self._connection):
            self.drop()
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def has_lost(self, error: BaseException) -> bool:
        """Tell whether it was the connection that failed, and then forget it."""
        is_lost = isinstance(error, DBAPIError) and error.connection_invalidated
        is_lost = is_lost or (self._connection is not None and is_closed(self._connection))
        if is_lost:
            self.drop()
        return is_lost

    def drop(self) -> None:
        """Close the connection. Another is opened when one is needed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it is of no use any more, whatever it says
                connection.close()

    def _open(self) -> Connection:
        try:
            connection = self._engine.connect()
            if self._only_reads:
                connection.exec_driver_sql(ONLY_READS)
        except DBAPIError as error:
            raise StoreUnavailable(f"PostgreSQL: {error.orig}") from None
        return connection


def driver(connection: Connection) -> psycopg.Connection[Any]:
    """Return the driver's connection. Raises: sqlalchemy.exc.InvalidRequestError (it is closed)."""
    found: Any = connection.connection.driver_connection
    return found  # type: ignore[no-any-return]


def is_closed(connection: Connection) -> bool:
    """Tell whether it is known that a connection is of no use. Of an invalidated one nothing may be asked."""
    return connection.closed or connection.invalidated or bool(driver(connection).closed)


def wait_for_input(*descriptors: int, timeout_ms: int | None = None) -> bool:
    """Tell whether something has come on one of them, waiting for it. Unlike `select`, of any descriptor's number."""
    waiting = select.poll()
    for descriptor in descriptors:
        waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(timeout_ms))


def is_alive(connection: Connection) -> bool:
    """Tell whether an idle connection is of use. It costs the server nothing while nothing has come from there."""
    if is_closed(connection):
        return False
    if not wait_for_input(driver(connection).fileno(), timeout_ms=0):
        return True
    # It speaks unasked: most likely to say that it ends.
    try:
        connection.exec_driver_sql("SELECT 1")
    except DBAPIError:
        return False
    return True
