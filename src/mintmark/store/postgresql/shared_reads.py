"""Point reads of many callers, done by one statement: those that come while one is on its way share the next.

Alone a read begins at once. The more callers there are, the more share one: each costs less as the load grows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from mintmark.protocol.errors import StoreUnavailable

Key = TypeVar("Key")
Found = TypeVar("Found")


class SharedReads(Generic[Key, Found]):
    """The reads of one kind.

    Args:
        read: finds several keys at once; it ends within a bound of its own.
        wait_s: how long a caller may wait.
    """

    def __init__(self, read: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Found]]], wait_s: float) -> None:
        self._read = read
        self._wait_s = wait_s
        self._asked: dict[Key, list[asyncio.Future[Found]]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def find(self, key: Key) -> Found:
        """Return what a read finds that has not begun yet. Raises: StoreUnavailable, StoreError."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Found] = loop.create_future()
        self._asked.setdefault(key, []).append(answer)
        if self._reading is None:
            self._reading = loop.create_task(self._read_all())
        return await within(answer, self._wait_s)

    async def _read_all(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, {}
                await self._answer(asked)
        finally:
            self._reading = None

    async def _answer(self, asked: Mapping[Key, Sequence[asyncio.Future[Found]]]) -> None:
        try:
            found = await self._read(list(asked))
        except Exception as error:
            for one in waiting(asked):
                # Each its own: who raises an error writes its way into it.
                one.set_exception(type(error)(*error.args).with_traceback(error.__traceback__))
        else:
            for key, answers in asked.items():
                for one in answers:
                    if not one.done():
                        one.set_result(found[key])


def waiting(asked: Mapping[Key, Sequence[asyncio.Future[Found]]]) -> list[asyncio.Future[Found]]:
    """Return whom there is still somebody to hear."""
    return [one for answers in asked.values() for one in answers if not one.done()]


async def within(answer: asyncio.Future[Found], wait_s: float) -> Found:
    """Return the answer when it is there. Raises: StoreUnavailable (it took longer), and what it failed of.

    Of asyncio's own, one wants a task around it, and in Python 3.11 the other forgets a cancellation that comes as the
    read ends.
    """
    expiry = asyncio.get_running_loop().call_later(wait_s, give_up, answer)
    try:
        return await answer
    finally:
        expiry.cancel()


def give_up(answer: asyncio.Future[Found]) -> None:
    """End the waiting of a caller."""
    if not answer.done():
        answer.set_exception(StoreUnavailable("PostgreSQL took too long to read"))


def hand_over(answer: asyncio.Future[Found], read: asyncio.Future[Found]) -> None:
    """Tell a caller, who may have gone, what a read has brought. The end of the store cancels what has not begun."""
    error = StoreUnavailable("the store is closed") if read.cancelled() else read.exception()
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(read.result())
