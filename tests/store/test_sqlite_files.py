"""What only SQLite has: files with modes, settings of a connection, a full disk, processes that die."""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.dialects import sqlite

import mintmark
from mintmark.protocol.errors import AlreadyExists, SettingsError, StoreError, StoreUnavailable
from mintmark.store import batching
from mintmark.store import sqlite as sqlite_files
from mintmark.store.bounds import Bounds
from mintmark.store.schema import migrate, schema_state
from mintmark.store.sql_store import SqlStore
from mintmark.store.tokens import REMOVE_FAMILY
from mintmark.store.upkeep import MORTAL

from .samples import NOW, digest, refresh, slot, tenant, token

CHILDREN = Path(__file__).parent / "children.py"
SOURCE = Path(mintmark.__file__).parents[1]


def start_child(verb: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, str(CHILDREN), verb, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def run_child(verb: str, *arguments: str) -> list[str]:
    return finish(start_child(verb, *arguments))


def finish(child: subprocess.Popen[str]) -> list[str]:
    said, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    return said.splitlines()


def run_together(tmp_path: Path, processes: int, verb: str, *arguments: str) -> list[list[str]]:
    """Start processes that wait for a file, and make that file when all of them are ready."""
    start = tmp_path / "start"
    children = [start_child(verb, arguments[0], str(start), *arguments[1:]) for _ in range(processes)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    start.touch()
    return [finish(child) for child in children]


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """A disk that is full for this process: every write beyond the size fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def write_lock_held(path: Path) -> Iterator[None]:
    """Another process that holds the write lock and does not let go."""
    with Path(f"{path}-lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read_modes(directory: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()}


def read_pragmas(store: SqlStore, name: str) -> list[object]:
    connections = (store._opened.reader._connection, store._opened.commit._session.connection)  # type: ignore[attr-defined]
    return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for connection in connections]


def read_plan(path: Path, statement: str) -> list[str]:
    connection = sqlite3.connect(path)
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", (1,) * statement.count("?")).fetchall()
    connection.close()
    return [row[3] for row in rows]


def checkpointed_size(path: Path) -> int:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    connection.close()
    return path.stat().st_size


def wait_for_leaders(led: Path, number: int) -> list[int]:
    """Wait for so many processes to have led; return who has, after giving one more the time to claim it, too."""
    deadline = time.monotonic() + 30
    while not led.exists() or led.read_text().count("\n") < number:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.05)
    return [int(line) for line in led.read_text().split()]


class TestProcesses:
    @pytest.mark.asyncio
    async def test_every_acknowledged_token_survives_kill_9(self, url: str) -> None:
        child = start_child("load", url)
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(3000)]
        os.kill(child.pid, signal.SIGKILL)
        said += [line for line in child.stdout if line.endswith("\n")]
        child.wait()
        child.stdout.close()
        store = SqlStore.open(url)
        lost = [line for line in said if await store.tokens.find(bytes.fromhex(line)) is None]
        await store.tokens.add([token("after")])
        await store.close()
        assert lost == []

    @pytest.mark.asyncio
    async def test_of_racing_processes_one_wins_a_slot(self, url: str, tmp_path: Path) -> None:
        slots = 25
        lines = [line for said in run_together(tmp_path, 4, "race", url, str(slots)) for line in said]
        answers = [line.split() for line in lines]
        assert len(answers) == 4 * 4 * slots
        assert len({(name, answered) for name, answered, _ in answers}) == slots
        store = SqlStore.open(url)
        stored = [own for _, _, own in answers if await store.tokens.find(bytes.fromhex(own))]
        await store.close()
        assert len(stored) == slots

    @pytest.mark.asyncio
    async def test_the_revision_moves_when_another_process_registers(self, store: SqlStore, url: str) -> None:
        assert await store.deployment.revision() == 0
        await asyncio.to_thread(run_child, "add_tenant", url)
        assert await store.deployment.revision() == 1
        assert await store.tenants.find("acme") is not None

    @pytest.mark.asyncio
    async def test_workers_forked_from_a_process_that_used_a_store_work(self, url: str) -> None:
        said = run_child("fork_workers", url)
        assert len(set(said)) == 500
        store = SqlStore.open(url)
        lost = [line for line in said if await store.tokens.find(bytes.fromhex(line)) is None]
        await store.close()
        assert lost == []

    def test_a_store_inherited_through_a_fork_refuses_to_work(self, url: str) -> None:
        told = run_child("use_inherited", url)
        assert [line.split(":")[0] for line in told] == ["StoreError"] * 3
        assert "forked" in told[0]

    @pytest.mark.asyncio
    async def test_of_racing_processes_one_rotates_a_refresh_token(
        self, store: SqlStore, url: str, tmp_path: Path
    ) -> None:
        names = [f"r{number}" for number in range(25)]
        await store.tokens.add([refresh(name, name) for name in names])
        digests = [digest(name).hex() for name in names]
        said = await asyncio.to_thread(run_together, tmp_path, 4, "rotate", url, *digests)
        answers = [line.split() for lines in said for line in lines]
        assert sorted(used for used, answer, _ in answers if answer == "rotated") == sorted(digests)
        assert [answer for _, answer, _ in answers].count("spent") == 4 * 3 * len(names) - len(names)
        stored = {new for _, _, new in answers if await store.tokens.find(bytes.fromhex(new))}
        assert stored == {new for _, answer, new in answers if answer == "rotated"}

    @pytest.mark.asyncio
    async def test_when_the_leader_is_killed_another_leads(self, store: SqlStore, url: str, tmp_path: Path) -> None:
        led = tmp_path / "led"
        children = {child.pid: child for child in (start_child("lead", url, str(led)) for _ in range(3))}
        for terms in range(1, 4):
            leaders = await asyncio.to_thread(wait_for_leaders, led, terms)
            assert len(leaders) == terms
            assert not await store.leadership.try_acquire()
            leader = children.pop(leaders[-1])
            leader.kill()
            leader.communicate()
        assert await store.leadership.try_acquire()

    def test_two_processes_may_migrate_at_once(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/new.db"
        run_together(tmp_path, 3, "race_migrate", url)
        assert schema_state(url) == "current"

    def test_a_start_does_not_load_alembic(self, url: str) -> None:
        assert run_child("start_time", url) == ["False"]


class TestUpkeep:
    def test_a_purge_visits_the_expired_alone_and_in_the_order_of_the_file(self, path: Path) -> None:
        tables = ("token", "revoked_jwt", "jwt_slot", "idempotency", "initial_access_token")
        for statement, table in zip(MORTAL["sqlite"], tables, strict=True):
            plan = read_plan(path, str(statement.compile(dialect=sqlite.dialect())))
            assert f"SEARCH {table} USING INTEGER PRIMARY KEY (rowid=?)" in plan
            assert f"SEARCH {table} USING COVERING INDEX ix_{table}_expires_at (expires_at<?)" in plan

    def test_a_family_is_found_by_its_index(self, path: Path) -> None:
        plan = read_plan(path, str(REMOVE_FAMILY.compile(dialect=sqlite.dialect())))
        assert "SEARCH token USING INDEX ix_token_family (family=?)" in plan
        assert "SCAN token" not in plan

    @pytest.mark.asyncio
    async def test_what_is_given_back_leaves_the_file(self, store: SqlStore, path: Path) -> None:
        await store.tokens.add([token(f"t{number}", NOW) for number in range(5000)])
        sizes = [checkpointed_size(path)]
        await store.upkeep.purge(NOW, 5000)
        sizes.append(checkpointed_size(path))
        await store.upkeep.reclaim(10_000)
        sizes.append(checkpointed_size(path))
        assert sizes[0] == sizes[1]
        assert sizes[2] < sizes[0] / 4


class TestFiles:
    @pytest.mark.asyncio
    async def test_all_files_are_for_their_owner_alone(self, tmp_path: Path) -> None:
        earlier = os.umask(0)
        try:
            url = f"sqlite:///{tmp_path}/new.db"
            migrate(url)
            store = SqlStore.open(url)
            await store.tokens.add([token("a")])
            assert "new.db-leader" not in read_modes(tmp_path)
            await store.leadership.try_acquire()
            modes = read_modes(tmp_path)
            await store.close()
        finally:
            os.umask(earlier)
        assert modes == {f"new.db{suffix}": 0o600 for suffix in ("", "-wal", "-shm", "-lock", "-leader")}

    @pytest.mark.asyncio
    async def test_a_commit_is_synced_and_keys_are_checked(self, store: SqlStore) -> None:
        assert read_pragmas(store, "journal_mode") == ["wal", "wal"]
        assert read_pragmas(store, "synchronous") == [2, 2]
        assert read_pragmas(store, "foreign_keys") == [1, 1]
        assert read_pragmas(store, "busy_timeout") == [5000, 5000]

    @pytest.mark.asyncio
    async def test_the_reading_connection_cannot_write(self, store: SqlStore) -> None:
        with pytest.raises(Exception, match="readonly"):
            store._opened.reader._connection.exec_driver_sql("DELETE FROM token")  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        "url",
        [
            "mysql://root:hunter2@db/x",
            "sqlite://",
            "sqlite:///:memory:",
            "not a url",
            "sqlite:///file:x",
            "sqlite:////x?mode=ro",
        ],
    )
    def test_a_url_that_names_no_sqlite_file_is_refused_and_not_repeated(self, url: str) -> None:
        with pytest.raises(SettingsError) as refusal:
            SqlStore.open(url)
        assert "hunter2" not in str(refusal.value)

    def test_a_missing_directory_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=str(tmp_path / "missing")):
            migrate(f"sqlite:///{tmp_path}/missing/new.db")

    def test_an_unwritable_directory_is_named(self) -> None:
        # Even root cannot make a file there.
        with pytest.raises(SettingsError, match=r"/proc/new\.db"):
            migrate("sqlite:////proc/new.db")

    def test_a_file_that_is_no_database_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "letter.db"
        file.write_bytes(b"Dear Sir or Madam, " * 100)
        for call in (SqlStore.open, migrate, schema_state):
            with pytest.raises(SettingsError, match=r"letter\.db is not a SQLite database"):
                call(f"sqlite:///{file}")
        assert file.read_bytes() == b"Dear Sir or Madam, " * 100

    def test_opening_creates_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="mintmark init"):
            SqlStore.open(f"sqlite:///{tmp_path}/new.db")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.asyncio
    async def test_odd_characters_in_a_path_are_just_characters(self, tmp_path: Path) -> None:
        directory = tmp_path / "a b%20c#d é"
        directory.mkdir()
        url = f"sqlite:///{directory}/x.db"
        migrate(url)
        store = SqlStore.open(url)
        await store.close()
        assert "x.db" in [file.name for file in directory.iterdir()]

    @pytest.mark.asyncio
    async def test_a_copy_without_the_log_gets_it_back(self, path: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy.db"
        original = sqlite3.connect(path)
        original.execute("VACUUM INTO ?", (str(copy),))
        original.close()
        store = SqlStore.open(f"sqlite:///{copy}")
        assert read_pragmas(store, "journal_mode") == ["wal", "wal"]
        assert read_pragmas(store, "auto_vacuum") == [2, 2]
        await store.close()


@pytest.mark.asyncio
class TestTrouble:
    async def test_a_full_disk_is_unavailable_and_then_available_again(self, store: SqlStore, path: Path) -> None:
        await store.tokens.add([token("before")])
        with no_file_larger_than(path.with_name("mintmark.db-wal").stat().st_size + 20_000):
            calls = [store.tokens.add([token(f"t{number}")]) for number in range(200)]
            ended = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(each) for each in ended} == {StoreUnavailable}
        assert await store.tokens.find(digest("t0")) is None
        await store.tokens.add([token("after")])
        assert await store.tokens.find(digest("before")) is not None
        assert await store.tokens.find(digest("after")) is not None

    async def test_a_foreign_writer_is_waited_for(self, store: SqlStore, path: Path) -> None:
        foreign = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        foreign.execute("BEGIN IMMEDIATE")
        threading.Timer(0.2, foreign.execute, ["COMMIT"]).start()
        await store.tokens.add([token("a")])
        foreign.close()
        assert await store.tokens.find(digest("a")) is not None

    async def test_what_waited_too_long_is_refused_and_never_written(self, path: Path, url: str) -> None:
        store = SqlStore.open(url, Bounds(wait_s=0.1))
        with write_lock_held(path), pytest.raises(StoreUnavailable):
            await store.tokens.add([token("late")])
        await store.tokens.add([token("next")])
        assert await store.tokens.find(digest("late")) is None
        await store.close()

    async def test_a_start_waits_for_no_writer(self, path: Path, url: str) -> None:
        await SqlStore.open(url).close()
        with write_lock_held(path):
            store = await asyncio.wait_for(asyncio.to_thread(SqlStore.open, url), 5)
        await store.close()

    async def test_a_lock_that_nobody_gives_back_ends_a_migration(
        self, path: Path, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_files, "LOCK_WAIT_S", 0.1)
        await SqlStore.open(url).close()
        with write_lock_held(path), pytest.raises(StoreUnavailable, match="locked"):
            await asyncio.wait_for(asyncio.to_thread(migrate, url), 5)
        migrate(url)

    async def test_the_writer_outlives_any_error_and_tells_it_to_each_caller(
        self, store: SqlStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr(batching.GroupCommit, "_settle", fail)
        ended = await asyncio.gather(*(store.tokens.add([token(f"t{n}")]) for n in range(20)), return_exceptions=True)
        assert {type(each) for each in ended} == {StoreUnavailable}
        monkeypatch.undo()
        await store.tokens.add([token("after")])
        assert await store.tokens.find(digest("after")) is not None

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    async def test_when_the_writer_has_ended_nobody_waits_for_it(self, url: str) -> None:
        def end(*_: object) -> None:
            raise SystemExit

        store = SqlStore.open(url, Bounds(wait_s=0.2))
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(store._opened.commit.run(end), 5)
        with pytest.raises(StoreUnavailable, match="ended"):
            await asyncio.wait_for(store.tokens.add([token("late")]), 0.1)
        await store.close()

    async def test_a_restored_backup_never_comes_to_a_generation_again(
        self, store: SqlStore, path: Path, tmp_path: Path
    ) -> None:
        await store.tenants.add(tenant(), [])
        copy = tmp_path / "copy.db"
        original = sqlite3.connect(path)
        original.execute("VACUUM INTO ?", (str(copy),))
        original.close()
        restored = SqlStore.open(f"sqlite:///{copy}")
        seen = []
        for each in (store, restored):
            for _ in range(3):
                await each.tenants.bump_generation("acme")
                found = await each.tenants.find("acme")
                assert found is not None
                seen.append(found.generation)
        await restored.close()
        assert len(set(seen)) == 6

    async def test_a_full_queue_refuses(self, path: Path, url: str) -> None:
        store = SqlStore.open(url, Bounds(writes_waiting=10))
        with write_lock_held(path):
            calls = [asyncio.create_task(store.tokens.add([token(f"t{number}")])) for number in range(30)]
            await asyncio.sleep(0.05)
            refused = [call for call in calls if call.done()]
            assert {type(call.exception()) for call in refused} == {StoreUnavailable}
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert [each for each in ended if each is None] == [None] * (30 - len(refused))
        assert len(refused) in (19, 20)
        await store.close()

    async def test_behind_a_slow_commit_nobody_waits_but_those_who_came_before(self, url: str) -> None:
        store = SqlStore.open(url, Bounds(slow_after_s=0.2))
        end = threading.Event()
        slow = asyncio.create_task(store._writing.run(lambda _: end.wait(30)))
        early = asyncio.create_task(store.tokens.add([token("early")]))
        await asyncio.sleep(0.5)
        with pytest.raises(StoreUnavailable, match="slow"):
            await asyncio.wait_for(store.tokens.add([token("late")]), 5)
        end.set()
        await asyncio.gather(slow, early)
        await store.tokens.add([token("after")])
        found = [await store.tokens.find(digest(name)) is not None for name in ("early", "late", "after")]
        assert found == [True, False, True]
        await store.close()

    async def test_an_error_never_tells_a_digest_or_a_hash(self, store: SqlStore) -> None:
        record = token("a")
        await store.tokens.add([record])
        with pytest.raises(AlreadyExists) as refusal:
            await store.tokens.add([record])
        texts = [str(refusal.value), repr(refusal.value.__cause__), str(refusal.value.__cause__)]
        assert not [text for text in texts if record.digest.hex() in text or repr(record.digest) in text]

    async def test_a_read_that_fails_is_unavailable_and_tells_no_digest(self, store: SqlStore, path: Path) -> None:
        foreign = sqlite3.connect(path)
        foreign.execute("DROP TABLE token")
        foreign.close()
        with pytest.raises(StoreUnavailable) as refusal:
            await store.tokens.find(digest("a"))
        assert digest("a").hex() not in f"{refusal.value} {refusal.value.__cause__}"
        assert repr(digest("a")) not in f"{refusal.value} {refusal.value.__cause__}"

    async def test_a_deleted_token_leaves_its_slot(self, store: SqlStore, path: Path) -> None:
        await store.tokens.add_reusable(token("a"), slot(), b"a", NOW)
        cleaner = sqlite3.connect(path, isolation_level=None)
        cleaner.execute("PRAGMA foreign_keys = ON")
        cleaner.execute("DELETE FROM token")
        cleaner.close()
        assert await store.tokens.find_reusable(slot(), NOW) is None


def test_a_store_serves_one_event_loop_after_another(url: str) -> None:
    store = SqlStore.open(url)
    asyncio.run(store.tokens.add([token("a")]))
    asyncio.run(store.tokens.add([token("b")]))
    assert asyncio.run(store.tokens.find(digest("a"))) is not None
    asyncio.run(store.close())


def test_a_loop_that_has_gone_harms_nobody(url: str, path: Path) -> None:
    store = SqlStore.open(url)

    async def leave_at_once() -> None:
        asyncio.create_task(store.tokens.add([token("left")]))  # noqa: RUF006 - to be abandoned is its part
        await asyncio.sleep(0)

    with write_lock_held(path):
        asyncio.run(leave_at_once())
    asyncio.run(store.tokens.add([token("b")]))
    assert asyncio.run(store.tokens.find(digest("b"))) is not None
    asyncio.run(store.close())
