"""The log is copied into the database file beside the writers, and stays short whatever they do."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mintmark.store import checkpoints
from mintmark.store.sql_store import SqlStore
from mintmark.store.sqlite import WAL_PAGES

from .samples import NOW, digest, token
from .test_sqlite_files import no_file_larger_than, start_child, write_lock_held

PAGE = 4096
LONG_PAGES = 100


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small machine's load looks to the thread like a big one's."""
    monkeypatch.setattr(checkpoints, "PAUSE_S", 0.01)
    monkeypatch.setattr(checkpoints, "IDLE_PAUSE_S", 0.05)
    monkeypatch.setattr(checkpoints, "LONG_PAGES", LONG_PAGES)


def log_pages(path: Path) -> int:
    """The longest that the log has been since the database was opened."""
    return path.with_name(f"{path.name}-wal").stat().st_size // PAGE


def read_copied(path: Path, name: str) -> bool:
    """Whether a token is in the database file itself, which is read here as if it had no log."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        return connection.execute("SELECT 1 FROM token WHERE digest = ?", (digest(name),)).fetchone() is not None
    except sqlite3.DatabaseError:
        return False  # read in the midst of a copy
    finally:
        connection.close()


async def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def add_for(store: SqlStore, seconds: float, name: str) -> int:
    """Add tokens without a pause, and return how many."""
    ends, number = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        await asyncio.gather(*(store.tokens.add([token(f"{name}{number + one}")]) for one in range(20)))
        number += 20
    return number


async def read_for(store: SqlStore, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        await store.tokens.find(digest("a0"))
        await asyncio.sleep(0)


@pytest.mark.asyncio
@pytest.mark.usefixtures("hasty")
async def test_the_log_stays_short_under_steady_writers_and_readers(
    store: SqlStore, another_process: SqlStore, path: Path
) -> None:
    await store.upkeep.tend_log()
    adding = asyncio.gather(add_for(store, 3, "a"), add_for(another_process, 3, "b"))
    await asyncio.gather(adding, read_for(store, 3), read_for(another_process, 3))
    names = [f"{name}{one}" for name, number in zip("ab", adding.result(), strict=True) for one in range(number)]
    assert len(names) > 10 * LONG_PAGES
    assert log_pages(path) < min(20 * LONG_PAGES, WAL_PAGES, len(names) // 2)
    assert None not in [await another_process.tokens.find(digest(name)) for name in names]


@pytest.mark.asyncio
@pytest.mark.usefixtures("hasty")
async def test_what_is_written_is_copied_without_another_write(store: SqlStore, path: Path) -> None:
    await store.upkeep.tend_log()
    await store.upkeep.tend_log()
    await store.tokens.add([token("a")])
    await wait_until(lambda: read_copied(path, "a"))


@pytest.mark.asyncio
@pytest.mark.usefixtures("hasty")
async def test_without_a_leader_the_log_is_bounded_by_the_writers(
    store: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = store.writer._session.connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar()  # type: ignore[attr-defined]
    assert bound == WAL_PAGES
    store.writer._session.connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint = {LONG_PAGES}")  # type: ignore[attr-defined]
    await add_for(store, 1, "a")
    assert log_pages(path) < 3 * LONG_PAGES


@pytest.mark.asyncio
@pytest.mark.usefixtures("hasty")
async def test_a_lock_that_nobody_gives_back_holds_up_neither_readers_nor_the_end(
    store: SqlStore, another_process: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "CLOSE_WAIT_S", 0.1)
    monkeypatch.setattr(checkpoints, "LONG_PAGES", 0)
    await store.tokens.add([token("a")])
    with write_lock_held(path):
        await store.upkeep.tend_log()
        await asyncio.sleep(0.1)
        assert await another_process.tokens.find(digest("a")) is not None
        await asyncio.wait_for(asyncio.to_thread(store._opened.checkpoints.close), 5)


@pytest.mark.asyncio
@pytest.mark.usefixtures("hasty")
async def test_a_full_disk_loses_nothing_and_the_copying_goes_on(store: SqlStore, path: Path) -> None:
    await store.upkeep.tend_log()
    await store.tokens.add([token(f"t{number}", NOW) for number in range(2000)])
    with no_file_larger_than(8 * PAGE):
        await asyncio.gather(*(store.tokens.add([token(f"u{n}")]) for n in range(50)), return_exceptions=True)
        await asyncio.sleep(0.1)
    await store.tokens.add([token("after")])
    await wait_until(lambda: read_copied(path, "after"))
    assert None not in [await store.tokens.find(digest(f"t{number}")) for number in range(2000)]


@pytest.mark.asyncio
async def test_a_database_is_whole_after_its_copier_was_killed(path: Path, url: str) -> None:
    for _ in range(2):
        child = start_child("load", url)
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(4000)]
        os.kill(child.pid, signal.SIGKILL)
        said += [line for line in child.stdout if line.endswith("\n")]
        child.wait()
        child.stdout.close()
        store = SqlStore.open(url)
        assert None not in [await store.tokens.find(bytes.fromhex(line)) for line in said]
        await store.close()
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
