"""One transaction over many calls of the store: what they write is there as a whole at the end, or not at all.

It has a connection of its own, which reads what it has written, and holds the turn of all registrations from its first
moment: nobody changes any in between. Others' writes wait meanwhile, so its time is bounded.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mintmark.protocol.errors import StoreUnavailable
from mintmark.store.batching import add_tokens
from mintmark.store.faults import store_faults
from mintmark.store.prepared import say
from mintmark.store.records import TokenRecord
from mintmark.store.revision import write_counted
from mintmark.store.session import KEPT, REGISTRATIONS, Kept, Turn

Result = TypeVar("Result")

MAX_HELD_S: Final = 8.0
"""Others give up after ten seconds; see `Bounds.wait_s`."""

PART: Final = "part"
WORK: Final = "work"

Do = Callable[[Callable[[], Any]], Awaitable[Any]]
Take = Callable[[Sequence[Turn]], None]


async def do_inline(call: Callable[[], Result]) -> Result:
    """Call it here and now."""
    return call()


class Transaction:
    """Stands where the group commit stands, and does at once what it is given."""

    def __init__(self, connection: Connection, do: Do = do_inline, take: Take = lambda _: None) -> None:
        """Stand on a connection whose transaction has begun.

        Args:
            do: runs what it is given where this connection is used.
            take: waits for turns, which the transaction then holds; it holds that of registrations already.
        """
        self.connection = connection
        self._do = do
        self._take = take
        self._ends = time.monotonic() + MAX_HELD_S
        # Held beside it: a connection that is lost gives none.
        self._notes = connection.info
        self._notes[KEPT] = Kept()
        self._parts = 0
        """Parts in hand, each within the one before."""
        self._begun = 0
        """So many of them, the outer ones, have written something, and so a savepoint."""
        self._undone = 0
        self.era = 0
        """Another after everything that may have changed what is read."""

    @property
    def era_of_issuers(self) -> object:
        """Another after everything that may have changed a tenant or key."""
        revisions = self._notes[KEPT].revisions
        return self._undone, revisions and revisions[1]

    async def add(self, rows: Sequence[TokenRecord]) -> None:
        """Add tokens, all or none. Raises: AlreadyExists (a digest), StoreUnavailable."""
        await self.run(partial(add_tokens, rows=rows))

    async def run(
        self,
        work: Callable[[Connection], Result],
        *,
        turns: Sequence[Turn] = (REGISTRATIONS,),
        is_synced: bool = True,
    ) -> Result:
        """Do this work, or nothing of it where it fails; whoever catches its error may go on.

        Args:
            turns: as `GroupCommit.run`,
            is_synced: without a meaning here: the end of the transaction is.

        Raises: AlreadyExists, NotFound, StoreUnavailable (the time is up), and what `work` raises.
        """
        if time.monotonic() > self._ends:
            raise StoreUnavailable(f"{MAX_HELD_S:.0f} seconds are too long for one transaction; nothing was changed")
        self.era += 1
        return cast(Result, await self._do(partial(self._run, work, turns)))

    @asynccontextmanager
    async def part(self) -> AsyncIterator[None]:
        """Begin a part of the transaction that ends with the block, undone by itself where that raises.

        Raises: StoreUnavailable, and that the transaction is gone with it.
        """
        self._parts += 1
        was = self._notes[KEPT]
        try:
            yield
        except BaseException:
            self.era += 1
            self._undone += 1
            await self._end_part(f"ROLLBACK TO {PART}", f"RELEASE {PART}")
            self._notes[KEPT] = was
            raise
        await self._end_part(f"RELEASE {PART}")

    async def settle(self) -> None:
        """Write what was only kept; nothing comes behind it but the end. Raises: StoreUnavailable."""
        with store_faults():
            await self._do(partial(write_counted, self.connection))

    async def _end_part(self, *statements: str) -> None:
        self._parts -= 1
        if self._begun > self._parts:
            self._begun = self._parts
            with store_faults():
                for statement in statements:
                    await self._do(partial(say, self.connection, statement))

    def _run(self, work: Callable[[Connection], Result], turns: Sequence[Turn]) -> Result:
        with store_faults():
            savepoint = self._begin_work()
            was = self._notes[KEPT]
            try:
                self._take(turns)
                result = work(self.connection)
            except BaseException:
                with suppress(DBAPIError):
                    say(self.connection, f"ROLLBACK TO {savepoint}")
                    if savepoint == WORK:
                        say(self.connection, f"RELEASE {WORK}")
                self._notes[KEPT] = was
                raise
            if savepoint == WORK:
                say(self.connection, f"RELEASE {WORK}")
        return result

    def _begin_work(self) -> str:
        """Return the savepoint to which the work is undone: at the first of a part that of the part will do."""
        if self._begun == self._parts:
            say(self.connection, f"SAVEPOINT {WORK}")
            return WORK
        while self._begun < self._parts:
            say(self.connection, f"SAVEPOINT {PART}")
            self._begun += 1
        return PART
