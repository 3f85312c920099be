"""What one process does for all, by itself: with two workers exactly one leads, and another follows it."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mintmark.admin.upkeep import KEEP_EXPIRED_S
from tests.life.conftest import make_folder
from tests.life.serving import PATIENCE_S, LifeServer, read_token
from tests.life.world import copy_state, inquiry

UPKEEP_S = "0.1"
ALL_MORTAL = ("token", "revoked_jwt", "jwt_slot")


@pytest.fixture(scope="module")
def tended(empty_state: Path) -> Iterator[LifeServer]:
    """A server of two workers that looks for what has expired ten times a second."""
    with (
        make_folder() as made,
        LifeServer(copy_state(empty_state, Path(made)), workers=2, upkeep_interval_s=UPKEEP_S) as server,
    ):
        server.add_tenant("short", form="opaque", lifetime_s=1)
        server.add_tenant("short-jwt", form="jwt", lifetime_s=1)
        server.add_tenant("renewed-jwt", form="jwt", lifetime_s=1, renew_per_request=True)
        server.add_tenant("long", form="opaque")
        yield server


def count(server: LifeServer, table: str, tenant_id: str) -> int:
    connection = sqlite3.connect(f"file:{server.state_dir / 'mintmark.db'}?mode=ro", uri=True)
    try:
        sql = f'SELECT count(*) FROM "{table}" WHERE tenant_id = ?'
        rows: int = connection.execute(sql, (tenant_id,)).fetchone()[0]
    finally:
        connection.close()
    return rows


def age(server: LifeServer) -> None:
    """Let tokens of a second expire, and the time pass for which rows are kept after that."""
    time.sleep(1.5)
    connection = sqlite3.connect(server.state_dir / "mintmark.db")
    with closing(connection), connection:
        for table in ALL_MORTAL:
            sql = f'UPDATE "{table}" SET expires_at = expires_at - ? WHERE expires_at <= ?'
            connection.execute(sql, (KEEP_EXPIRED_S, int(time.time())))


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.05)


def find_leaders(server: LifeServer) -> list[int]:
    """Return the processes that hold the leader's lock, as the kernel lists them."""
    leader_files = [path for path in server.state_dir.iterdir() if "leader" in path.name]
    inodes = {path.stat().st_ino for path in leader_files}
    rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    held = [row for row in rows if row[1] == "FLOCK" and int(re.split(":", row[5])[2]) in inodes]
    return [int(row[4]) for row in held]


def test_what_has_expired_disappears_by_itself_and_nothing_else_does(tended: LifeServer):
    short, jwt, renewed, long = (tended.add_client(name) for name in ("short", "short-jwt", "renewed-jwt", "long"))
    worker = tended.connect()[0]
    lasting = [read_token(worker.issue(long)) for _ in range(3)]
    for _ in range(20):
        read_token(worker.issue(short))
        worker.send(inquiry(jwt, "revoke", read_token(worker.issue(jwt))))
        read_token(worker.issue(renewed))
    assert count(tended, "token", "short") > 0
    assert count(tended, "revoked_jwt", "short-jwt") > 0
    assert count(tended, "jwt_slot", "renewed-jwt") == 1
    age(tended)
    wait_until(lambda: count(tended, "token", "short") == 0, "the end of expired tokens")
    wait_until(lambda: count(tended, "revoked_jwt", "short-jwt") == 0, "the end of expired revocations")
    wait_until(lambda: count(tended, "jwt_slot", "renewed-jwt") == 0, "the end of expired slots")

    assert count(tended, "token", "long") == 3
    assert all(worker.is_active(long, token) for token in lasting)


def test_one_worker_leads_and_when_it_is_killed_another_does(tended: LifeServer):
    wait_until(lambda: len(find_leaders(tended)) == 1, "a leader")
    workers = tended.worker_pids()
    assert len(workers) == 2
    for _ in range(5):
        [leader] = find_leaders(tended)
        assert leader in workers
        time.sleep(0.1)
    os.kill(leader, signal.SIGKILL)
    wait_until(lambda: find_leaders(tended) not in ([], [leader]), "another leader")
    [successor] = find_leaders(tended)
    assert successor in tended.worker_pids()
    caller = tended.add_client("short")
    wait_until(lambda: len(tended.worker_pids()) == 2, "the worker's return")
    read_token(tended.connect()[0].issue(caller))
    age(tended)
    wait_until(lambda: count(tended, "token", "short") == 0, "upkeep by the successor")
