"""Reads of PostgreSQL: in a few threads, each with a connection of its own, for the event loop must not wait."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from mintmark.protocol.errors import StoreError, StoreUnavailable
from mintmark.store.bounds import Bounds
from mintmark.store.faults import read_fault
from mintmark.store.postgresql.connection import Link, Unanswered
from mintmark.store.postgresql.shared_reads import SharedReads
from mintmark.store.reading import PointRead
from mintmark.store.session import OPENED_ELSEWHERE

Given = ParamSpec("Given")
Result = TypeVar("Result")
Key = TypeVar("Key")


class PooledReader:
    """Implements `reading.Reader`.

    Args:
        tells_of_loss: a read whose session is lost fails, and is not begun again in another.
    """

    def __init__(self, engine: Engine, bounds: Bounds, *, tells_of_loss: bool = False) -> None:
        self._engine = engine
        self._bounds = bounds
        self._tells_of_loss = tells_of_loss
        self._pool = ThreadPoolExecutor(bounds.readers, thread_name_prefix="mintmark-reader")
        self._own = threading.local()
        self._links: list[Link] = []
        self._process = os.getpid()
        self._in_hand = 0
        self._shared: dict[PointRead[Any, Any], SharedReads[Any, Any]] = {}

    async def run(
        self,
        read: Callable[Concatenate[Connection, Given], Result],
        /,
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Result:
        """Return what `read` returns, given a connection. Raises: StoreUnavailable, StoreError."""
        with self._counted():
            return await self._run(lambda connection: read(connection, *args, **kwargs))

    async def find(self, read: PointRead[Key, Result], key: Key) -> Result:
        """Return what is found by a key, by one read with the keys that wait. Raises: StoreUnavailable, StoreError."""
        shared = self._shared.get(read)
        if shared is None:
            shared = self._shared[read] = SharedReads(partial(self._find_several, read), self._bounds.wait_s)
        with self._counted():
            return cast(Result, await shared.find(key))

    async def _find_several(self, read: PointRead[Key, Result], keys: Sequence[Key]) -> Mapping[Key, Result]:
        if len(keys) == 1:
            return {keys[0]: await self._run(lambda connection: read.one(connection, keys[0]))}
        return await self._run(lambda connection: read.several(connection, keys))

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count a caller, in its process and as long as there is room for it. Raises: StoreUnavailable, StoreError."""
        if self._process != os.getpid():
            raise StoreError(OPENED_ELSEWHERE)
        if self._in_hand >= self._bounds.reads_waiting:
            raise StoreUnavailable("too many reads are waiting")
        self._in_hand += 1
        try:
            yield
        finally:
            self._in_hand -= 1

    async def _run(self, read: Callable[[Connection], Result]) -> Result:
        reading = self._submit(read)
        try:
            # Not `wait_for`: Python 3.11's forgets a cancellation that comes as the read ends, and later ones want a
            # task, in which no request begins.
            done, _ = await asyncio.wait((reading,), timeout=self._bounds.wait_s)
        finally:
            reading.cancel()
        if not done:
            raise StoreUnavailable("PostgreSQL took too long to read")
        return reading.result()

    def _submit(self, read: Callable[[Connection], Result]) -> asyncio.Future[Result]:
        try:
            return asyncio.get_running_loop().run_in_executor(self._pool, self._read, read)
        except RuntimeError as error:
            raise StoreUnavailable("the store is closed") from error

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for link in self._links:
            link.drop()
        self._engine.dispose()

    def _read(self, read: Callable[[Connection], Result]) -> Result:
        """Read; on a connection that turns out to be lost, once again on a new one."""
        link = self._link()
        try:
            return read(link.live())
        except DBAPIError as error:
            is_over = self._tells_of_loss or isinstance(error.orig, Unanswered)
            if not link.has_lost() or is_over:
                raise read_fault(error) from error
        try:
            return read(link.live())
        except DBAPIError as error:
            link.has_lost()
            raise read_fault(error) from error

    def _link(self) -> Link:
        if not hasattr(self._own, "link"):
            self._own.link = Link(self._engine, only_reads=True, tells_of_loss=self._tells_of_loss)
            self._links.append(self._own.link)
        link: Link = self._own.link
        return link


class BlockReader:
    """Implements `reading.Reader` in a transaction: reads what that has written, in its thread."""

    def __init__(self, connection: Connection, pool: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._pool = pool

    async def run(
        self,
        read: Callable[Concatenate[Connection, Given], Result],
        /,
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Result:
        """Return what `read` returns. Raises: StoreUnavailable, StoreError."""
        work = partial(read, self._connection, *args, **kwargs)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except DBAPIError as error:
            raise read_fault(error) from error

    async def find(self, read: PointRead[Key, Result], key: Key) -> Result:
        """Return what is found by a key. Raises: StoreUnavailable, StoreError."""
        return await self.run(read.one, key)

    def close(self) -> None:
        """Leave the connection to the transaction."""
