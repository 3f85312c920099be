"""Point reads that share a statement: none is answered by a read that began before it was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from mintmark.protocol.errors import StoreError, StoreUnavailable
from mintmark.store.postgresql.shared_reads import SharedReads, hand_over

pytestmark = pytest.mark.asyncio


class Database:
    """Answers when it is let: with what it holds then, or with an error."""

    def __init__(self) -> None:
        self.reads: list[list[str]] = []
        self.version = 0
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()

    async def read(self, keys: Sequence[str]) -> Mapping[str, str]:
        self.reads.append(list(keys))
        answer = {key: f"{key}{self.version}" for key in keys}
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return answer


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def shared(database: Database) -> SharedReads[str, str]:
    return SharedReads(database.read, 30.0)


async def ask(shared: SharedReads[str, str], *keys: str) -> list[asyncio.Task[str]]:
    """Ask for keys, and return when all have been asked for."""
    tasks = [asyncio.create_task(shared.find(key)) for key in keys]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_reads_that_come_while_one_is_on_its_way_share_the_next(
    shared: SharedReads[str, str], database: Database
) -> None:
    asked = await ask(shared, "a") + await ask(shared, "b", "c", "b")
    database.may_answer.set()
    assert await asyncio.gather(*asked) == ["a0", "b0", "c0", "b0"]
    assert database.reads == [["a"], ["b", "c"]]
    assert await shared.find("d") == "d0"


async def test_who_asks_after_a_change_is_told_of_it_though_a_read_is_on_its_way(
    shared: SharedReads[str, str], database: Database
) -> None:
    before = await ask(shared, "a")
    database.version = 1
    after = await ask(shared, "a")
    database.may_answer.set()
    assert await asyncio.gather(*before, *after) == ["a0", "a1"]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreError("broken"), ValueError("unforeseen")])
async def test_a_failed_read_is_told_to_each_and_the_next_begins_anew(
    shared: SharedReads[str, str], database: Database, error: Exception
) -> None:
    asked = await ask(shared, "a") + await ask(shared, "b", "c")
    database.error = error
    database.may_answer.set()
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert [(type(one), str(one)) for one in told] == [(type(error), str(error))] * 3
    assert len({id(one) for one in told}) == 3
    database.error = None
    assert await shared.find("a") == "a0"


async def test_who_goes_away_takes_no_answer_from_the_others(shared: SharedReads[str, str], database: Database) -> None:
    asked = await ask(shared, "a", "a", "b")
    asked[0].cancel()
    asked[2].cancel()
    database.may_answer.set()
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in told] == [asyncio.CancelledError, str, asyncio.CancelledError]


async def test_nobody_waits_longer_than_the_bound(database: Database) -> None:
    hasty = SharedReads(database.read, 0.02)
    for one in await asyncio.gather(*await ask(hasty, "a", "b"), return_exceptions=True):
        assert isinstance(one, StoreUnavailable)
    database.may_answer.set()
    assert await hasty.find("c") == "c0"


async def test_a_read_that_the_end_of_the_store_leaves_undone_is_unavailable_and_no_cancellation() -> None:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()
    read: asyncio.Future[str] = loop.create_future()
    read.cancel()
    hand_over(answer, read)
    with pytest.raises(StoreUnavailable):
        await answer
