"""Transactions over many calls: a process has one at a time, on a connection that it keeps for the next."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, Protocol, TypeVar, cast

from sqlalchemy import Connection

from mintmark.protocol.errors import StoreError, StoreUnavailable
from mintmark.store.faults import store_faults
from mintmark.store.reading import PointRead, Reader
from mintmark.store.session import OPENED_ELSEWHERE
from mintmark.store.transaction import Transaction

Given = ParamSpec("Given")
Result = TypeVar("Result")
Key = TypeVar("Key")

MAX_WAIT_S: Final = 10.0
"""For the transaction that this process has in hand."""


class Block(NamedTuple):
    """A transaction over many calls: what writes and what reads in it."""

    transaction: Transaction
    reader: Reader
    issuers: Reader
    """For tenants and keys, which are seldom written."""


class BlockSession(Protocol):
    """A connection for such transactions."""

    async def begin(self) -> tuple[Transaction, Reader]:
        """Begin one, which holds the turn of registrations. Raises: DBAPIError, StoreUnavailable."""

    async def commit(self) -> None:
        """End it, give up the turn, and tell of what has changed. Raises: DBAPIError."""

    def close(self) -> None:
        """Undo what was not committed, and let go of the connection."""


class Blocks(Protocol):
    """Where a view of the store begins its transactions over many calls."""

    def begin(self) -> AbstractAsyncContextManager[Block | None]:
        """Begin one that ends with the block, undone where that raises. None: the view itself is in it already.

        Raises: StoreError, SettingsError.
        """

    def close(self) -> None:
        """Let go of the database."""


class BlockReader:
    """Implements `reading.Reader`: what a block has read it need not read again until it writes; nobody else does."""

    def __init__(self, reader: Reader, era: Callable[[], object]) -> None:
        """Take a reader. `era`: returns another after every write of the block that concerns what is read here."""
        self._reader = reader
        self._find_era = era
        self._read: dict[Any, Any] = {}
        self._era = era()

    async def run(
        self,
        read: Callable[Concatenate[Connection, Given], Result],
        /,
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Result:
        """Return what `read` returns, or has returned. Raises: StoreUnavailable, StoreError."""
        era = self._find_era()
        if self._era != era:
            self._read.clear()
            self._era = era
        asked = (read, args)
        try:
            is_kept = not kwargs and asked in self._read
        except TypeError:  # what is asked for has no hash
            return await self._reader.run(read, *args, **kwargs)
        if is_kept:
            return cast(Result, self._read[asked])
        result = await self._reader.run(read, *args, **kwargs)
        if not kwargs:
            self._read[asked] = result
        return result

    async def find(self, read: PointRead[Key, Result], key: Key) -> Result:
        """Return what is found by a key, or was. Raises: StoreUnavailable, StoreError."""
        return await self.run(read.one, key)

    def close(self) -> None:
        """Leave the connection to the block."""


class KeptBlocks:
    """Implements `Blocks` for the store itself."""

    def __init__(self, open_session: Callable[[], BlockSession]) -> None:
        """Take what opens a connection. Raises: nothing; it is opened when it is first needed."""
        self._open = open_session
        self._kept: BlockSession | None = None
        self._in_hand = asyncio.Lock()
        self._process = os.getpid()
        self._is_closed = False

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Block]:
        """Begin one that ends with the block, undone where that raises. Raises: StoreError, SettingsError."""
        if self._process != os.getpid():
            raise StoreError(OPENED_ELSEWHERE)
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
        await self._wait()
        try:
            session, self._kept = self._kept or self._open(), None
            try:
                with store_faults():
                    transaction, reader = await session.begin()
                    yield Block(
                        transaction,
                        BlockReader(reader, lambda: transaction.era),
                        BlockReader(reader, lambda: transaction.era_of_issuers),
                    )
                    await transaction.settle()
                    await session.commit()
            except BaseException:
                session.close()
                raise
            self._kept = session
        finally:
            self._in_hand.release()
        if self._is_closed:
            self.close()

    async def _wait(self) -> None:
        # A request begins outside of any task, and a time-out needs one.
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                await self._in_hand.acquire()
        except TimeoutError as error:
            raise StoreUnavailable("the database was locked for too long") from error

    def close(self) -> None:
        """Close the connection that is kept; one in use is closed at the end of its block."""
        self._is_closed = True
        session, self._kept = self._kept, None
        if session is not None:
            session.close()


class Parts:
    """Implements `Blocks` within a block: each is a part of it, undone by itself where it raises."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def begin(self) -> AbstractAsyncContextManager[None]:
        """Begin a part that ends with the block, undone where that raises. Raises: StoreUnavailable."""
        return self._transaction.part()

    def close(self) -> None:
        """Leave the database to the block."""
