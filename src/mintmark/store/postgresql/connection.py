"""Connections to PostgreSQL: how they are opened, bounded in time, and opened again when they are lost.

No password is in any error, and no value that was written: the server names them in what it calls the detail.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, TypeVar

import psycopg
from psycopg import Cursor
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from mintmark.protocol.errors import SettingsError, StoreUnavailable
from mintmark.store.bounds import Bounds

URL_FORM: Final = "write postgresql://user@host/name"

Result = TypeVar("Result")

OLDEST: Final = 12
"""The first PostgreSQL that knows all of what a session is told below."""
SAYS_SO_S: Final = 0.5
"""Given to the server, beyond the bound of a statement, to say itself that it took too long."""
HEARS_OF_IT_S: Final = 0.5
"""Given to it then to take note that nobody waits any more."""
IDLE_IN_TRANSACTION_MS: Final = 15_000
"""After so long the server ends a transaction whose node says nothing any more, and gives its turns to others."""
UNANSWERED_MS: Final = 10_000
"""For so long either side believes in a network that brings nothing."""

THEIR_SIDE: Final = {
    "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_MS,
    "tcp_user_timeout": UNANSWERED_MS,
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 2,
    "tcp_keepalives_count": 3,
}
"""What the server is told for each session, beside the bounds of statements. The last four are of its network."""
OUR_SIDE: Final = {
    "application_name": "mintmark",
    "client_encoding": "utf8",
    "tcp_user_timeout": UNANSWERED_MS,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
PLANS: Final = {"enable_seqscan": "off", "jit": "off"}
"""Each look-up has an index. A plan that was kept from when a table was small must not read it whole now."""
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


class Unanswered(psycopg.OperationalError):
    """The server says nothing: it hangs, or the network swallows what it says."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that waits for no answer without end: one that does not come in time ends it."""

    patience_s: float = 60.0

    def wait(self, gen: PQGen[Result], *given: Any, **named: Any) -> Result:
        """Wait for an answer. Raises: psycopg.Error; Unanswered, and the connection is closed."""
        if named.get("timeout") is None:
            gen = self._in_time(gen, time.monotonic() + self.patience_s)
        return super().wait(gen, *given, **named)

    def _in_time(self, answering: PQGen[Result], ends: float) -> PQGen[Result]:
        """Pass on what the driver waits for, and what has come. It is woken every tenth of a second."""
        try:
            wanted = next(answering)
            while True:
                came = yield wanted
                if not came and time.monotonic() > ends:
                    self._give_up()
                    raise Unanswered("the server did not answer in time")
                wanted = answering.send(came)
        except StopIteration as whole:
            answer: Result = whole.value
            return answer

    def _give_up(self) -> None:
        """Close the connection, and have the server end what it is at.

        A commit that waits for a synchronous standby minds no bound of a statement, nor that its caller is gone: it
        would keep its session and its turns for as long as the standby is away. Ended, it stays done on this server.
        """
        with suppress(psycopg.Error):
            self.cancel_safe(timeout=HEARS_OF_IT_S)
        self.close()


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


def open_engine(url: str, bounds: Bounds, *, prepare_after: int | None = 5) -> Engine:
    """Return an engine without a pool: whoever needs a connection keeps it. Raises: SettingsError.

    Args:
        prepare_after: how often a statement is run before the server keeps it in the session; None: it never does.
    """
    check_url(url)
    engine = create_engine(
        "postgresql+psycopg://",
        creator=partial(connect, url, bounds, prepare_threshold=prepare_after),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        paramstyle="format",
        use_native_hstore=False,
    )
    event.listen(engine, "handle_error", leave_as_it_is)
    return engine


def leave_as_it_is(failure: ExceptionContext) -> None:
    """Keep SQLAlchemy from marking a connection as lost: what asks of it then would get no driver's error."""
    failure.is_disconnect = False


def connect(url: str, bounds: Bounds, **named: Any) -> BoundedConnection:
    """Return a bounded connection in autocommit. `named`: for the driver. Raises: psycopg.Error."""
    # A URL may say otherwise of these, and is heard.
    given: dict[str, Any] = {"connect_timeout": bounds.connect_timeout_s, **OUR_SIDE, **conninfo_to_dict(url), **named}
    connection = BoundedConnection.connect(autocommit=True, cursor_factory=QuietCursor, **given)
    require_version(connection)
    connection.patience_s = bounds.statement_timeout_s + SAYS_SO_S
    connection.execute(bounding_statement(bounds))
    return connection


def require_version(connection: BoundedConnection) -> None:
    """Refuse a server that is too old, and say so. Raises: psycopg.NotSupportedError, and the connection is closed."""
    major = connection.info.server_version // 10_000
    if major < OLDEST:
        connection.close()
        raise psycopg.NotSupportedError(f"this server is of version {major}; {OLDEST} or newer is needed")


def bounding_statement(bounds: Bounds) -> str:
    """Return what tells the server the bounds of a session, and how to plan."""
    in_ms = {
        "statement_timeout": int(bounds.statement_timeout_s * 1000),
        "lock_timeout": int(bounds.lock_timeout_s * 1000),
    }
    told = {**in_ms, **THEIR_SIDE, **PLANS}
    return "SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in told.items())


class Link:
    """One connection, used by one thread at a time, that is opened when it is needed and again when it is lost.

    Args:
        tells_of_loss: a connection that was lost while nobody used it is not replaced without a word.
    """

    def __init__(self, engine: Engine, *, only_reads: bool = False, tells_of_loss: bool = False) -> None:
        self._engine = engine
        self._only_reads = only_reads
        self._tells_of_loss = tells_of_loss
        self._connection: Connection | None = None

    def live(self) -> Connection:
        """Return the connection, opened if need be. Raises: StoreUnavailable."""
        if self._connection is not None and not is_alive(self._connection):
            self.drop()
            if self._tells_of_loss:
                raise StoreUnavailable("PostgreSQL: the session has ended")
        return self._connection or self._open()

    def has_lost(self) -> bool:
        """Tell whether it was the connection that failed, and then forget it."""
        is_lost = self._connection is not None and is_closed(self._connection)
        if is_lost:
            self.drop()
        return is_lost

    def drop(self) -> None:
        """Close the connection. Another is opened when one is needed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it is of no use any more, whatever it says
                # Without the ROLLBACK that SQLAlchemy would send first, and log when it fails: the server does it.
                connection.invalidate()
                connection.close()

    def _open(self) -> Connection:
        try:
            self._connection = self._engine.connect()
            if self._only_reads:
                self._connection.exec_driver_sql(ONLY_READS)
        except DBAPIError as error:
            self.drop()
            raise StoreUnavailable(f"PostgreSQL: {on_one_line(error)}") from None
        return self._connection


def driver(connection: Connection) -> psycopg.Connection[Any]:
    """Return the driver's connection. Raises: sqlalchemy.exc.InvalidRequestError (it is closed)."""
    found: Any = connection.connection.driver_connection
    return found  # type: ignore[no-any-return]


def on_one_line(error: DBAPIError) -> str:
    """Return what the driver says, for a log: of several hosts it writes a line each."""
    return " ".join(str(error.orig).split())


def is_closed(connection: Connection) -> bool:
    """Tell whether it is known that a connection is of no use."""
    return connection.closed or bool(driver(connection).closed)


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
