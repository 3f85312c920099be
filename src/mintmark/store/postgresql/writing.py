"""How a process writes to PostgreSQL: in turns, which are advisory locks, beside all other nodes.

All turns of a transaction are taken at its beginning and in one order, so nobody waits for another in a circle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from mintmark.store.postgresql.connection import Link
from mintmark.store.postgresql.listening import Listener
from mintmark.store.postgresql.reading import BlockReader
from mintmark.store.session import REGISTRATIONS, REVISED, Turn
from mintmark.store.transaction import Transaction

TAKE_TURNS: Final = "SELECT pg_advisory_xact_lock(turn) FROM unnest(%s::bigint[]) AS turn"
NOT_SYNCED: Final = "SET LOCAL synchronous_commit = off"
# Told when the transaction is committed, and not before.
ANNOUNCE: Final = "SELECT number, pg_notify('mintmark', number::text) FROM revision"


class ServerSession:
    """Implements `session.Session`."""

    def __init__(self, engine: Engine, listener: Listener) -> None:
        self._link = Link(engine)
        self._listener = listener
        self._revision = 0

    def waited(self) -> AbstractContextManager[None]:
        """Wait for nobody: others write at the same time."""
        return nullcontext()

    def live(self) -> Connection:
        """Return a connection that works, as far as can be seen. Raises: StoreUnavailable."""
        return self._link.live()

    @contextmanager
    def transaction(self, turns: Collection[Turn], *, is_synced: bool) -> Iterator[Connection]:
        """Begin a transaction, and end it. Raises: DBAPIError, StoreUnavailable."""
        connection = self._link.live()
        try:
            begin(connection, turns, is_synced=is_synced)
            yield connection
            self._revision = commit(connection) or self._revision
        except BaseException:
            if not self._link.has_lost():
                roll_back(connection)
            raise

    def tell(self) -> None:
        """Let this process hear at once what the others are being told."""
        self._listener.hear(self._revision)

    def close(self) -> None:
        """Close the connection."""
        self._link.drop()


def begin(connection: Connection, turns: Collection[Turn], *, is_synced: bool = True) -> None:
    """Begin a transaction that holds these turns. Raises: DBAPIError (one of them is not to be had)."""
    connection.exec_driver_sql("BEGIN")
    if not is_synced:
        connection.exec_driver_sql(NOT_SYNCED)
    take_turns(connection, turns)


def take_turns(connection: Connection, turns: Collection[Turn]) -> None:
    """Wait for turns, which the transaction then holds. Raises: DBAPIError."""
    if turns:
        connection.exec_driver_sql(TAKE_TURNS, (sorted(map(number_of, turns)),))


def number_of(turn: Turn) -> int:
    """Return the advisory lock of a turn. Two turns that share one wait for each other, and nothing worse."""
    return int.from_bytes(sha256(repr(turn).encode()).digest()[:8], "big", signed=True)


def commit(connection: Connection) -> int:
    """End the transaction; announce the revision if it raised it, and return that, else 0. Raises: DBAPIError."""
    is_revised = connection.info.pop(REVISED, False)
    revision: int = connection.exec_driver_sql(ANNOUNCE).one()[0] if is_revised else 0
    connection.exec_driver_sql("COMMIT")
    return revision


def roll_back(connection: Connection) -> None:
    """Undo the transaction; where even that fails, the server does it when the connection is closed."""
    connection.info.pop(REVISED, None)
    with suppress(DBAPIError):
        connection.exec_driver_sql("ROLLBACK")


class ServerBlock:
    """Implements `blocks.BlockSession`, in a thread of its own: no statement holds up the event loop."""

    def __init__(self, engine: Engine, listener: Listener) -> None:
        self._link = Link(engine)
        self._connection: Connection
        self._listener = listener
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mintmark-block")

    async def begin(self) -> tuple[Transaction, BlockReader]:
        """Begin a transaction. Raises: DBAPIError (the turn is not to be had), StoreUnavailable."""
        self._connection = connection = await self._do(self._link.live)
        await self._do(partial(begin, connection, (REGISTRATIONS,)))
        transaction = Transaction(connection, self._do, partial(take_turns, connection))
        return transaction, BlockReader(connection, self._pool)

    async def commit(self) -> None:
        """End it. Raises: DBAPIError."""
        self._listener.hear(await self._do(partial(commit, self._connection)))

    async def _do(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def close(self) -> None:
        """Close the connection when its thread has done what it is at: what was not committed the server undoes."""
        self._pool.submit(self._link.drop)
        self._pool.shutdown(wait=False)
