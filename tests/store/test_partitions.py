"""PostgreSQL's parts of the table of tokens: where a token lies, and how a part is emptied whole."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec
import psycopg
import pytest
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql

from mintmark.store.postgresql.partitions import PARTS, find_past
from mintmark.store.records import TokenRecord
from mintmark.store.sql_store import SqlStore
from mintmark.store.tokens import FIND
from tests.postgresql import Postgres

from .samples import NOW, digest, slot, token

HOUR, DAY = 3600, 86_400
KEPT_S = HOUR
"""For so long `admin.upkeep` keeps what has expired."""


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.create()


def lives(name: str, life_s: int, issued_at: int = NOW) -> TokenRecord:
    return msgspec.structs.replace(token(name, issued_at + life_s), issued_at=issued_at)


def parts(url: str) -> Counter[str]:
    """How many tokens lie in each part."""
    with psycopg.connect(url) as connection:
        return Counter(dict(connection.execute(COUNT).fetchall()))


COUNT = "SELECT tableoid::regclass::text, count(*) FROM token GROUP BY 1"


@pytest.mark.asyncio
class TestPartitions:
    async def test_a_token_of_any_life_finds_its_place(self, store: SqlStore) -> None:
        for life_s in (-(10**10), 0, 1, HOUR, 12 * HOUR, 12 * HOUR + 1, 31 * DAY, 32 * DAY, 10**12):
            await store.tokens.add([lives(str(life_s), life_s)])
            assert await store.tokens.find(digest(str(life_s))) == lives(str(life_s), life_s)

    async def test_only_what_outlives_the_rings_or_never_lived_lies_apart(self, store: SqlStore, url: str) -> None:
        ages = [0, 1, 12 * HOUR, 31 * DAY, 32 * DAY]
        await store.tokens.add([lives(str(age), age) for age in ages])
        assert parts(url)["token_rest"] == 2
        assert sum(parts(url)[name] for name in PARTS[:4]) == 2
        assert sum(parts(url)[name] for name in PARTS[4:]) == 1

    @pytest.mark.parametrize(("life_s", "width_s"), [(12 * HOUR, 5 * HOUR), (31 * DAY, 12 * DAY)])
    async def test_a_part_is_past_before_the_ring_comes_to_it_again(
        self, store: SqlStore, url: str, life_s: int, width_s: int
    ) -> None:
        start = NOW - NOW % (4 * width_s)
        last_of_first = lives("old", life_s, start + width_s - 1 - life_s)
        await store.tokens.add([last_of_first])
        next_round = lives("new", life_s, start + 4 * width_s - life_s)
        assert next_round.issued_at > last_of_first.expires_at + KEPT_S
        assert await store.upkeep.purge(next_round.issued_at - KEPT_S, 100) == 1
        await store.tokens.add([next_round])
        assert len(parts(url)) == 1

    async def test_a_part_goes_whole_when_its_last_token_has_expired(self, store: SqlStore, url: str) -> None:
        await store.tokens.add([lives(f"t{number}", HOUR + number) for number in range(50)])
        assert await store.upkeep.purge(NOW + HOUR + 48, 10) == 0
        assert sum(parts(url).values()) == 50
        assert await store.upkeep.purge(NOW + HOUR + 49, 0) == 0
        assert await store.upkeep.purge(NOW + HOUR + 49, 10) > 0
        assert await store.upkeep.purge(NOW + HOUR + 49, 10) == 0
        assert parts(url) == {}

    async def test_what_comes_into_a_part_while_it_is_to_be_emptied_stays(self, store: SqlStore, url: str) -> None:
        await store.tokens.add([lives("old", HOUR)])
        late = NOW + 2 * HOUR
        [part] = parts(url)
        assert await store._opened.slow.run(find_past, late) == part
        emptying: Any = store._opened.emptying
        await store.tokens.add([lives("new", 2 * HOUR + 1)])
        assert await asyncio.to_thread(emptying._empty, part, late) == 0
        assert parts(url) == {part: 2}

    async def test_a_part_in_use_is_left_for_later_and_keeps_nobody_waiting(self, store: SqlStore, url: str) -> None:
        await store.tokens.add([lives("old", HOUR)])
        with psycopg.connect(url) as foreign:
            foreign.execute("SELECT * FROM token").fetchall()
            purging = asyncio.create_task(store.upkeep.purge(NOW + 2 * HOUR, 10))
            await asyncio.wait_for(store.tokens.add([lives("new", 20 * HOUR)]), 5)
            await asyncio.wait_for(store.tokens.find(digest("old")), 5)
            assert await purging == 0
        assert await store.upkeep.purge(NOW + 2 * HOUR, 10) == 1
        assert await store.tokens.find(digest("old")) is None
        assert await store.tokens.find(digest("new")) is not None

    async def test_slots_go_before_the_part_of_their_tokens_does(self, store: SqlStore) -> None:
        await store.tokens.renew(lives("old", HOUR), slot(), b"old")
        await store.tokens.add_reusable(lives("plain", HOUR), slot("write"), b"plain", NOW)
        late = NOW + 2 * HOUR
        assert await store.upkeep.purge(late, 10) == 2  # the slots
        assert await store.upkeep.purge(late, 10) > 0
        await store.tokens.renew(lives("new", HOUR, late), slot(), b"new")
        assert await store.tokens.find(digest("new")) is not None

    async def test_a_look_up_reads_no_part_whole_however_small_it_was(self, store: SqlStore, url: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ANALYZE token")
        dialect: Any = postgresql.dialect(paramstyle="format")

        def explain(connection: Connection) -> str:
            rows = connection.exec_driver_sql(f"EXPLAIN {FIND.text(dialect)}", (digest("a"),))
            return "\n".join(rows.scalars())

        plan = await store._opened.reader.run(explain)
        assert plan.count("Index Scan") == len(PARTS) + 1
        assert "Seq Scan" not in plan
