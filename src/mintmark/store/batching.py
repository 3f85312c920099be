"""Group commit: one thread a process writes, and what gathers during one commit is the next.

A batch of new tokens alone is a single call into the driver, which begins, inserts, syncs and commits with
Python's global lock released: each hand-over of that lock may cost more than the insert.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mintmark.protocol.errors import StoreError, StoreUnavailable
from mintmark.store.bounds import Bounds
from mintmark.store.faults import is_passing, read_fault
from mintmark.store.prepared import PreparedInsert
from mintmark.store.records import TokenRecord
from mintmark.store.session import OPENED_ELSEWHERE, REGISTRATIONS, Session, Turn
from mintmark.store.tables import TOKEN

Result = TypeVar("Result")
Work = Callable[[Connection], Any]
"""What one caller wants done in a transaction that it shares with others, and therefore does not end."""
Measure = Callable[[Callable[[], list[object]], int], list[object]]
"""Commits that many writes by calling what it is given, and looks how long that takes."""

MAX_ROWS: Final = 400
"""Rows of one statement, and about the rows of one batch. 3600 values; SQLite takes at least 32766."""
MAX_TRIES: Final = 5
"""Of a batch that other nodes stand in the way of, as no more than chance would have it."""
CLOSE_WAIT_S: Final = 30.0

ADD_TOKENS: Final = PreparedInsert(TOKEN)


class Job:
    """What one caller waits for: rows to add, or work to do."""

    __slots__ = ("future", "is_begun", "is_synced", "loop", "rows", "turns", "work")

    def __init__(
        self, rows: Sequence[TokenRecord], work: Work | None, *, turns: Sequence[Turn] = (), is_synced: bool = True
    ) -> None:
        self.rows = rows
        self.work = work
        self.turns = turns
        self.is_synced = is_synced
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.is_begun = False


class Outcome:
    """A job and how it ended."""

    __slots__ = ("error", "job", "result")

    def __init__(self, job: Job, result: object, error: Exception | None = None) -> None:
        self.job = job
        self.result = result
        self.error = error

    def tell(self) -> None:
        """Wake the caller, unless it has gone. Runs on the caller's event loop."""
        if self.job.future.done():
            return
        if self.error is None:
            self.job.future.set_result(self.result)
        else:
            self.job.future.set_exception(self.error)


class GroupCommit:
    """The writer of a process: a thread, its session and a bounded queue. All writes pass here."""

    def __init__(self, session: Session, bounds: Bounds) -> None:
        """Start the writer, which owns the session from now on."""
        self._session = session
        self._bounds = bounds
        self._begun_at: float | None = None
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._claiming = threading.Lock()
        self._process = os.getpid()
        self._is_closed = False
        self.measure: Measure = lambda commit, _: commit()
        self._thread = threading.Thread(target=self._write_until_closed, name="mintmark-writer", daemon=True)
        self._thread.start()

    async def add(self, rows: Sequence[TokenRecord]) -> None:
        """Add tokens, all or none, and return when they are on disk.

        Raises: AlreadyExists (a digest), StoreUnavailable.
        """
        if rows:
            await self._submit(Job(rows, None))

    async def run(
        self,
        work: Callable[[Connection], Result],
        *,
        turns: Sequence[Turn] = (REGISTRATIONS,),
        is_synced: bool = True,
    ) -> Result:
        """Do this work in a transaction, and return what it returned when that is on disk.

        Work may be done again from the start when a neighbour in the batch failed.

        Args:
            turns: works of one of the same turns, in whatever process, are done one after the other.
            is_synced: False: return when every process sees it; the next commit that is synced takes it to the disk.

        Raises: AlreadyExists, NotFound, StoreUnavailable, and what `work` raises.
        """
        return cast(Result, await self._submit(Job((), work, turns=turns, is_synced=is_synced)))

    async def close(self) -> None:
        """Take no more, finish what waits, and let go of the database."""
        if not self._is_closed:
            self._is_closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join, CLOSE_WAIT_S)

    @property
    def waiting(self) -> int:
        """How many writes wait for the next commit."""
        return self._queue.qsize()

    @property
    def is_alive(self) -> bool:
        """Whether anything would be written."""
        return not self._is_closed and self._thread.is_alive()

    async def _submit(self, job: Job) -> object:
        self._check_usable()
        expiry = job.loop.call_later(self._bounds.wait_s, self._give_up, job)
        self._queue.put(job)
        try:
            return await job.future
        finally:
            expiry.cancel()

    def _check_usable(self) -> None:
        if self._process != os.getpid():
            raise StoreError(OPENED_ELSEWHERE)
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
        if not self._thread.is_alive():
            raise StoreUnavailable("the thread that writes has ended")
        if self._queue.qsize() >= self._bounds.writes_waiting:
            raise StoreUnavailable("too many writes are waiting")
        begun_at = self._begun_at
        if begun_at is not None and time.monotonic() - begun_at > self._bounds.slow_after_s:
            raise StoreUnavailable("the database is slow; nobody waits behind those who wait already")

    def _give_up(self, job: Job) -> None:
        """Refuse a job that has waited too long, if the writer has not begun it or has ended; now it never will."""
        with self._claiming:
            is_in_hand = job.is_begun and self._thread.is_alive()
            if not is_in_hand and not job.future.done():
                job.future.set_exception(StoreUnavailable("the database was locked for too long"))

    def _write_until_closed(self) -> None:
        try:
            while (first := self._queue.get()) is not None:
                tell_all(self._write(first))
        finally:
            self._session.close()

    def _write(self, first: Job) -> list[Outcome]:
        batch = [first]
        # Gathered in its turn: what came while another process committed shares this commit.
        try:
            with self._session.waited():
                batch = self._claim(self._gather(first))
                self._begun_at = time.monotonic()
                outcomes = self._settle(batch)
                # Before the callers are told: what they do next finds every process told.
                self._session.tell()
                return outcomes
        except Exception as error:  # the thread must outlive it, or nothing would be written any more
            return [Outcome(job, None, read_failure(error)) for job in batch]
        finally:
            self._begun_at = None

    def _gather(self, first: Job) -> Iterable[Job]:
        yield first
        rows = len(first.rows)
        while rows < MAX_ROWS:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return
            if job is None:
                self._queue.put(None)
                return
            rows += len(job.rows) or 1
            yield job

    def _claim(self, jobs: Iterable[Job]) -> list[Job]:
        """Return the jobs that somebody still waits for; from here on they cannot be given up."""
        with self._claiming:
            batch = [job for job in jobs if not job.future.done()]
            for job in batch:
                job.is_begun = True
        return batch

    def _settle(self, batch: Sequence[Job], tries: int = MAX_TRIES) -> list[Outcome]:
        """Commit the batch; when something in it fails, halve it until only the guilty fail."""
        if not batch:
            return []
        try:
            results = self.measure(lambda: self._commit(batch), len(batch))
            return [Outcome(job, result) for job, result in zip(batch, results, strict=True)]
        except Exception as error:  # whatever it was, each caller must hear of its own end
            if tries > 1 and is_passing(error):
                return self._settle(batch, tries - 1)
            return self._settle_failed(batch, error)

    def _settle_failed(self, batch: Sequence[Job], error: Exception) -> list[Outcome]:
        is_unavailable = isinstance(read_error(error), StoreUnavailable)
        if len(batch) == 1 or is_unavailable:
            return [Outcome(job, None, read_error(error)) for job in batch]
        middle = len(batch) // 2
        return self._settle(batch[:middle]) + self._settle(batch[middle:])

    def _commit(self, batch: Sequence[Job]) -> list[object]:
        """Write the batch in one transaction; return the results in order. Raises: DBAPIError, a job's."""
        rows = [row for job in batch for row in job.rows]
        if len(rows) <= MAX_ROWS and all(job.work is None for job in batch):
            add_tokens(self._session.live(), rows)
            return [None] * len(batch)
        turns = {turn for job in batch for turn in job.turns}
        with self._session.transaction(turns, is_synced=any(job.is_synced for job in batch)) as connection:
            add_tokens(connection, rows)
            return [job.work(connection) if job.work else None for job in batch]


def add_tokens(connection: Connection, rows: Sequence[TokenRecord]) -> None:
    """Insert tokens, in statements of up to MAX_ROWS rows. Raises: DBAPIError."""
    for start in range(0, len(rows), MAX_ROWS):
        ADD_TOKENS.run(connection, rows[start : start + MAX_ROWS])


def read_error(error: Exception) -> Exception:
    """Return the error that a caller is told: for a driver's a new one, so that no traceback is shared."""
    if not isinstance(error, DBAPIError):
        return error
    fault = read_fault(error)
    fault.__cause__ = error
    return fault


def read_failure(error: Exception) -> StoreError:
    """Return what each caller of a batch is told that failed around its transaction: a new error, no parameters."""
    fault = StoreUnavailable(str(error) if isinstance(error, StoreError) else f"the writer: {type(error).__name__}")
    fault.__cause__ = error
    return fault


def tell_all(outcomes: Sequence[Outcome]) -> None:
    """Wake the callers by one call into their event loop for the whole batch: each is a system call."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome.job.loop, []).append(outcome)
    for loop, told in by_loop.items():
        # A loop that has been closed has nobody left to tell.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell_each, told)


def tell_each(outcomes: Sequence[Outcome]) -> None:
    """Wake each caller. Runs on their event loop."""
    for outcome in outcomes:
        outcome.tell()
