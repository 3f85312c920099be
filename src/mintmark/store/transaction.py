"""One transaction over many calls of the store: what they write is there as a whole at the end, or not at all.

It has a connection of its own, which reads what it has written, and holds the lock of the writers from its first
moment: nobody changes anything in between. Everybody's writes wait meanwhile, so its time is bounded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mintmark.protocol.errors import StoreUnavailable
from mintmark.store.batching import add_tokens
from mintmark.store.bell import Bell
from mintmark.store.faults import store_faults
from mintmark.store.records import TokenRecord
from mintmark.store.sqlite import BEGIN, WriteLock, open_writer

Result = TypeVar("Result")

MAX_HELD_S: Final = 8.0
"""Others give up after ten seconds; see `batching.MAX_WAIT_S`."""


class Transaction:
    """Stands where the group commit stands, and does at once what it is given."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._ends = time.monotonic() + MAX_HELD_S

    async def add(self, rows: Sequence[TokenRecord]) -> None:
        """Add tokens, all or none. Raises: AlreadyExists (a digest), StoreUnavailable."""
        await self.run(partial(add_tokens, rows=rows))

    async def run(self, work: Callable[[Connection], Result], *, is_synced: bool = True) -> Result:
        """Do this work, or nothing of it where it fails; whoever catches its error may go on.

        Args:
            is_synced: without a meaning here: the end of the transaction is.

        Raises: AlreadyExists, NotFound, StoreUnavailable (the time is up), and what `work` raises.
        """
        if time.monotonic() > self._ends:
            raise StoreUnavailable(f"{MAX_HELD_S:.0f} seconds are too long for one transaction; nothing was changed")
        with store_faults():
            self.connection.exec_driver_sql("SAVEPOINT work")
            try:
                result = work(self.connection)
            except BaseException:
                with suppress(DBAPIError):
                    self.connection.exec_driver_sql("ROLLBACK TO work")
                    self.connection.exec_driver_sql("RELEASE work")
                raise
            self.connection.exec_driver_sql("RELEASE work")
        return result


@asynccontextmanager
async def open_transaction(path: Path, bell: Bell) -> AsyncIterator[Transaction]:
    """Begin a transaction on the database at `path`; it ends with the block, undone where that raises.

    Raises: StoreUnavailable (the database is locked for too long, full, or gone), SettingsError.
    """
    with ExitStack() as opened:
        lock = opened.enter_context(closing(WriteLock(path)))
        connection = opened.enter_context(open_writer(path, lock))
        held = lock.bounded()
        await asyncio.to_thread(held.__enter__)
        opened.push(held)
        with store_faults():
            connection.exec_driver_sql(BEGIN)
            try:
                yield Transaction(connection)
                connection.exec_driver_sql("COMMIT")
                bell.ring_if_revised(connection)
            except BaseException:
                # After some errors SQLite has rolled back already, and says so with an error of its own.
                with suppress(DBAPIError):
                    connection.exec_driver_sql("ROLLBACK")
                raise
