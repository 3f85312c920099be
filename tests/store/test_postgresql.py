"""PostgreSQL keeps the contract, also between nodes, and when it goes away."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql

from mintmark.protocol.errors import AlreadyExists, StoreError, StoreUnavailable
from mintmark.store.bounds import Bounds
from mintmark.store.schema import schema_state
from mintmark.store.sql_store import SqlStore
from mintmark.store.upkeep import MORTAL
from tests.postgresql import PASSWORD, Postgres, run_postgres

from .conformance import StoreConformance
from .conformance_audit import assert_chained, whole_log
from .conformance_creations import IdempotencyConformance, RegistrationConformance
from .conformance_life import hear
from .conformance_together import TogetherConformance
from .errors import causes_of
from .samples import NOW, client, digest, refresh, slot, tenant, token
from .test_sqlite_files import run_child, run_together, start_child, wait_for_leaders

PATIENCE_S = 30.0


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.create()


@pytest.fixture(scope="module")
def durable() -> Iterator[Postgres]:
    """One that syncs, and may be ended."""
    yield from run_postgres()


@pytest.fixture
def durable_url(durable: Postgres) -> str:
    return durable.create()


@pytest.mark.asyncio
class TestPostgresql(StoreConformance, TogetherConformance, IdempotencyConformance, RegistrationConformance):
    """Everything that is expected of a store. `store` and `another_process` stand on the `url` above."""

    HEARD_WITHIN_S = 1.0


async def recovers(store: SqlStore, name: str) -> None:
    """Try until the same store reads and writes again."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            await store.tokens.add([token(name)])
            assert await store.tokens.find(digest(name)) is not None
        except StoreUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        else:
            return


def raise_state(connection: Connection, state: str) -> None:
    """Fail as the server does with that code."""
    connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = '{state}'; END $$")


@contextmanager
def many_descriptors() -> Iterator[None]:
    """A process that has so many files open that whatever it opens next has a great number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        yield
    finally:
        for one in opened:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.asyncio
class TestNodes:
    async def test_of_racing_nodes_one_wins_a_slot(self, url: str, tmp_path: Path) -> None:
        slots = 25
        said = await asyncio.to_thread(run_together, tmp_path, 3, "race", url, str(slots))
        answers = [line.split() for lines in said for line in lines]
        assert len(answers) == 3 * 4 * slots
        assert len({(name, answered) for name, answered, _ in answers}) == slots
        store = SqlStore.open(url)
        stored = [own for _, _, own in answers if await store.tokens.find(bytes.fromhex(own))]
        await store.close()
        assert len(stored) == slots

    async def test_of_racing_nodes_one_rotates_a_refresh_token(self, store: SqlStore, url: str, tmp_path: Path) -> None:
        names = [f"r{number}" for number in range(25)]
        await store.tokens.add([refresh(name, name) for name in names])
        digests = [digest(name).hex() for name in names]
        said = await asyncio.to_thread(run_together, tmp_path, 3, "rotate", url, *digests)
        answers = [line.split() for lines in said for line in lines]
        assert sorted(used for used, answer, _ in answers if answer == "rotated") == sorted(digests)
        assert [answer for _, answer, _ in answers].count("spent") == 3 * 3 * len(names) - len(names)
        stored = {new for _, _, new in answers if await store.tokens.find(bytes.fromhex(new))}
        assert stored == {new for _, answer, new in answers if answer == "rotated"}

    async def test_nodes_append_to_one_chain(self, store: SqlStore, url: str, tmp_path: Path) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client()])
        await asyncio.to_thread(run_together, tmp_path, 3, "append", url, "15")
        log = await whole_log(store)
        assert len(log) == 3 * 15 * 4
        assert_chained(log)

    async def test_nodes_that_use_the_same_tokens_in_any_order_all_get_an_answer(
        self, store: SqlStore, another_process: SqlStore
    ) -> None:
        names = [f"r{number}" for number in range(40)]
        await store.tokens.add([refresh(name, names[number // 4 * 4]) for number, name in enumerate(names)])
        uses = [store.tokens.rotate(digest(name), [], NOW, 10) for name in names]
        uses += [another_process.tokens.rotate(digest(name), [], NOW, 10) for name in reversed(names)]
        ends = [each.tokens.remove_family(digest(name)) for each in (store, another_process) for name in names[::4]]
        answers = await asyncio.gather(*uses)
        assert (answers.count("rotated"), answers.count("spent")) == (40, 40)
        assert sum(await asyncio.gather(*ends)) == 40

    async def test_when_the_leader_is_killed_another_leads(self, store: SqlStore, url: str, tmp_path: Path) -> None:
        led = tmp_path / "led"
        children = {child.pid: child for child in (start_child("lead", url, str(led)) for _ in range(2))}
        for terms in range(1, 3):
            leaders = await asyncio.to_thread(wait_for_leaders, led, terms)
            assert len(leaders) == terms
            assert not await store.leadership.try_acquire()
            leader = children.pop(leaders[-1])
            leader.kill()
            leader.communicate()
        deadline = time.monotonic() + PATIENCE_S
        while not await store.leadership.try_acquire():
            assert time.monotonic() < deadline

    async def test_who_has_lost_its_session_no_longer_leads(
        self, postgres: Postgres, url: str, store: SqlStore, another_process: SqlStore
    ) -> None:
        assert await store.leadership.try_acquire()
        holder = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        postgres.tell(holder, url.rpartition("/")[2])
        deadline = time.monotonic() + PATIENCE_S
        while not await another_process.leadership.try_acquire():
            assert time.monotonic() < deadline
        assert not await store.leadership.try_acquire()
        assert not store.leadership.is_leading

    async def test_nodes_may_start_for_the_first_time_at_once(self, postgres: Postgres, tmp_path: Path) -> None:
        url = postgres.create(is_empty=True)
        assert schema_state(url) == "absent"
        await asyncio.to_thread(run_together, tmp_path, 3, "race_migrate", url)
        assert schema_state(url) == "current"

    async def test_workers_forked_from_a_process_that_used_a_store_work(self, url: str) -> None:
        assert len(set(await asyncio.to_thread(run_child, "fork_workers", url))) == 500

    async def test_a_store_inherited_through_a_fork_refuses_to_work(self, url: str) -> None:
        told = await asyncio.to_thread(run_child, "use_inherited", url)
        assert [line.split(":")[0] for line in told] == ["StoreError"] * 3


@pytest.mark.asyncio
class TestDurability:
    async def test_every_acknowledged_token_survives_a_killed_node(self, durable_url: str) -> None:
        child = start_child("load", durable_url)
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(1000)]
        os.kill(child.pid, signal.SIGKILL)
        said += [line for line in child.stdout if line.endswith("\n")]
        child.wait()
        child.stdout.close()
        assert await find_lost(durable_url, said) == []

    async def test_every_acknowledged_token_survives_a_killed_server(self, durable: Postgres, durable_url: str) -> None:
        child = start_child("load", durable_url)
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(1000)]
        durable.kill()
        child.kill()
        said += [line for line in child.stdout if line.endswith("\n")]
        child.wait()
        child.stdout.close()
        durable.start()
        assert await find_lost(durable_url, said) == []

    async def test_a_commit_waits_for_the_disk_unless_it_need_not(self, durable_url: str) -> None:
        store = SqlStore.open(durable_url)

        def look(connection: Connection) -> str:
            return str(connection.exec_driver_sql("SHOW synchronous_commit").scalar_one())

        assert await store._writing.run(look) == "on"
        assert await store._writing.unsynced().run(look) == "off"
        assert await store._writing.run(look) == "on"
        await store.close()


async def find_lost(url: str, said: list[str]) -> list[str]:
    store = SqlStore.open(url)
    lost = [line for line in said if await store.tokens.find(bytes.fromhex(line)) is None]
    await store.close()
    return lost


@pytest.mark.asyncio
class TestTrouble:
    async def test_a_server_that_is_away_is_unavailable_and_then_available_again(
        self, durable: Postgres, durable_url: str
    ) -> None:
        store = SqlStore.open(durable_url)
        await store.tokens.add([token("before")])
        sign = store.deployment.sign_of_change()
        durable.stop()
        for call in (store.tokens.add([token("a")]), store.tokens.find(digest("a")), store.leadership.try_acquire()):
            with pytest.raises(StoreUnavailable) as refusal:
                await asyncio.wait_for(call, 10)
            assert PASSWORD not in f"{refusal.value!r} {refusal.value.__cause__!r}"
        with pytest.raises(StoreUnavailable):
            async with store.together():
                pass
        durable.start()
        await recovers(store, "after")
        assert await store.tokens.find(digest("before")) is not None
        assert await store.leadership.try_acquire()
        assert await hear(store, sign, PATIENCE_S) != sign  # it may have missed one
        await store.close()

    async def test_a_server_that_hangs_is_not_waited_for_without_end(self, durable: Postgres, durable_url: str) -> None:
        bounds = Bounds(
            connect_timeout_s=2, statement_timeout_s=0.5, lock_timeout_s=0.5, look_timeout_s=0.3, wait_s=2.0
        )
        store = SqlStore.open(durable_url, bounds)
        await store.tokens.add([token("before")])
        await store.deployment.look()
        durable.freeze()
        try:
            calls = [
                asyncio.create_task(store.deployment.look()),
                asyncio.create_task(store.tokens.find(digest("before"))),
                asyncio.create_task(store.tokens.add([token("a")])),
                asyncio.create_task(store.leadership.try_acquire()),
            ]
            # The store's bounds end them, and not this one.
            ended, late = await asyncio.wait(calls, timeout=PATIENCE_S / 2)
        finally:
            durable.thaw()
        assert not late
        assert {type(one.exception()) for one in ended} == {StoreUnavailable}
        await recovers(store, "after")
        await store.close()

    async def test_one_read_too_many_is_refused_at_once_and_those_in_hand_are_finished(self, url: str) -> None:
        store = SqlStore.open(url, Bounds(readers=1, reads_waiting=2))
        slow = [store._opened.reader.run(lambda one: one.exec_driver_sql("SELECT pg_sleep(0.3)").all()) for _ in "ab"]
        in_hand = [asyncio.create_task(one) for one in slow]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="too many"):
            await store.tokens.find(digest("a"))
        assert not any(one.done() for one in in_hand)
        await asyncio.gather(*in_hand)
        assert await store.tokens.find(digest("a")) is None
        await store.close()

    async def test_a_session_has_the_bounds_that_the_store_was_given(self, url: str) -> None:
        store = SqlStore.open(url, Bounds(statement_timeout_s=7.0, lock_timeout_s=0.2))

        def show(connection: Connection) -> list[str]:
            names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
            return [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names]

        for told in (await store._opened.reader.run(show), await store._writing.run(show)):
            assert told == ["7s", "200ms", "15s"]
        await store.close()

    async def test_a_look_waits_for_no_other_read(self, url: str) -> None:
        store = SqlStore.open(url, Bounds(readers=1))
        slow = asyncio.create_task(store._opened.reader.run(lambda one: one.exec_driver_sql("SELECT pg_sleep(1)")))
        await asyncio.sleep(0.1)
        await store.deployment.look()
        assert not slow.done()
        await slow
        await store.close()

    async def test_a_look_never_goes_on_in_another_session_without_a_word(
        self, postgres: Postgres, url: str, store: SqlStore
    ) -> None:
        await store.deployment.look()
        postgres.end_sessions(url)
        await asyncio.sleep(0.1)
        with pytest.raises(StoreUnavailable):
            await store.deployment.look()
        await store.deployment.look()

    async def test_sessions_that_the_server_ended_are_opened_again_unnoticed(
        self, postgres: Postgres, url: str, store: SqlStore
    ) -> None:
        await store.tokens.add([token("a")])
        assert await store.tokens.find(digest("a")) is not None
        postgres.end_sessions(url)
        await asyncio.sleep(0.1)
        assert await store.tokens.find(digest("a")) is not None
        await store.tokens.add([token("b")])
        assert await store.tokens.find(digest("b")) is not None

    async def test_a_process_of_many_connections_reconnects_like_any_other(
        self, postgres: Postgres, url: str, another_process: SqlStore
    ) -> None:
        with many_descriptors():
            store = SqlStore.open(url)
            await store.tokens.add([token("a")])
            postgres.end_sessions(url)
            await recovers(store, "b")
            await store.tenants.add(tenant(), [])
            before = store.deployment.sign_of_change()
            await another_process.clients.add([client()])
            assert await hear(store, before, 5.0) != before
            await store.close()

    async def test_a_lock_that_nobody_gives_back_is_waited_for_no_longer_than_its_bound(self, url: str) -> None:
        store = SqlStore.open(url, Bounds(lock_timeout_s=0.2))
        with psycopg.connect(url) as foreign:
            foreign.execute("LOCK TABLE token")
            for call in (store.tokens.add([token("late")]), store.tokens.find(digest("late"))):
                with pytest.raises(StoreUnavailable):
                    await asyncio.wait_for(call, 5)
        await store.tokens.add([token("next")])
        assert await store.tokens.find(digest("late")) is None
        await store.close()

    async def test_a_slow_read_holds_nobody_up(self, store: SqlStore) -> None:
        def sleep(connection: Connection) -> None:
            connection.exec_driver_sql("SELECT pg_sleep(0.5)")

        slow = asyncio.create_task(store._opened.reader.run(sleep))
        ends, ticks = time.monotonic() + 0.3, 0
        while time.monotonic() < ends:
            assert await store.tokens.find(digest("a")) is None
            ticks += 1
        assert ticks > 10
        assert not slow.done()
        await slow

    @pytest.mark.parametrize("state", ["40001", "40P01"])
    async def test_a_transaction_that_lost_against_anothers_is_tried_again(self, store: SqlStore, state: str) -> None:
        tries: list[int] = []

        def lose_twice(connection: Connection) -> int:
            tries.append(1)
            if len(tries) < 3:
                raise_state(connection, state)
            return len(tries)

        assert await store._writing.run(lose_twice) == 3

    @pytest.mark.parametrize("state", ["40001", "53100", "53200", "57014", "57P03", "25006"])
    async def test_what_the_server_cannot_do_just_now_is_unavailable(self, store: SqlStore, state: str) -> None:
        with pytest.raises(StoreUnavailable):
            await store._writing.run(lambda connection: raise_state(connection, state))
        await store.tokens.add([token("after")])

    async def test_a_block_that_another_holds_up_too_long_is_refused(self, url: str, store: SqlStore) -> None:
        hasty = SqlStore.open(url, Bounds(lock_timeout_s=0.2))
        async with store.together() as together:
            await together.tenants.add(tenant(), [])
            with pytest.raises(StoreUnavailable):
                async with hasty.together():
                    pass
        async with hasty.together() as together:
            assert await together.tenants.find("acme") is not None
        await hasty.close()

    async def test_a_block_keeps_no_token_waiting(self, store: SqlStore, another_process: SqlStore) -> None:
        async with store.together() as together:
            await together.tenants.add(tenant(), [])
            waiting = asyncio.create_task(another_process.tenants.add(tenant("b"), []))
            await asyncio.sleep(0.05)
            for each in (store, another_process):
                await asyncio.wait_for(each.tokens.add([token(str(id(each)))]), 2)
                await asyncio.wait_for(each.tokens.renew(token(f"r{id(each)}"), slot(), b"r"), 2)
            assert not waiting.done()
        await waiting

    async def test_an_error_never_tells_a_digest(self, store: SqlStore) -> None:
        await store.tokens.add([token("a")])
        for call in (store.tokens.add([token("a")]), store.tokens.add_reusable(token("a"), slot(), b"a", NOW)):
            with pytest.raises(AlreadyExists) as refusal:
                await call
            causes = list(causes_of(refusal.value))
            assert len(causes) > 1
            assert not [text for text in causes if digest("a").hex() in text or repr(digest("a")) in text]

    async def test_a_read_that_fails_tells_no_digest(self, store: SqlStore, postgres: Postgres, url: str) -> None:
        postgres.tell("DROP TABLE token CASCADE", url.rpartition("/")[2])
        with pytest.raises(StoreError) as refusal:
            await store.tokens.find(digest("a"))
        assert not [text for text in causes_of(refusal.value) if digest("a").hex() in text]


class TestPlans:
    def test_a_purge_finds_the_expired_by_index_and_deletes_them_by_place(self, url: str) -> None:
        dialect: Any = postgresql.dialect(paramstyle="pyformat")
        with closing(psycopg.connect(url)) as connection:
            connection.execute(
                "INSERT INTO token SELECT sha256(n::text::bytea), 'a', 'b', 'access', '', '', n, n, 1, 1"
                " FROM generate_series(1, 100000) n"
            )
            connection.execute("ANALYZE token_rest")
            explain = f"EXPLAIN {MORTAL['postgresql'][0].compile(dialect=dialect)}"
            plan = "\n".join(row[0] for row in connection.execute(explain, {"now": 100, "at_most": 50}))
        assert "Tid Scan on token_rest" in plan
        assert "token_rest_expires_at_idx" in plan
        assert "Seq Scan" not in plan
