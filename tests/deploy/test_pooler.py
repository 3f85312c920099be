"""PgBouncer between a node and its database: everything works in session mode, and transaction mode is found out."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from mintmark.admin.diagnosis import Case, Finding, diagnose
from mintmark.settings import load_settings
from mintmark.store.sql_store import SqlStore
from tests.deploy.balancers import find_program
from tests.endpoints.servers import PATIENCE_S, find_free_port
from tests.postgresql import PASSWORD, USER, Postgres, unprivileged
from tests.store.conformance_life import hear
from tests.store.samples import digest, tenant, token

CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {users}
pool_mode = {mode}
default_pool_size = 40
"""


@contextmanager
def pooled(server: Postgres, mode: str) -> Iterator[str]:
    """Run it before a new database, and give the URL by which that is reached."""
    url, port, as_whom = server.create(), find_free_port(), unprivileged()
    with tempfile.TemporaryDirectory() as made:
        users, file = Path(made) / "users", Path(made) / "pgbouncer.ini"
        users.write_text(f'"{USER}" "{PASSWORD}"\n')
        file.write_text(CONFIGURATION.format(server=server.port, port=port, users=users, mode=mode))
        if as_whom:
            os.chown(made, as_whom["user"], as_whom["group"])
        with subprocess.Popen(
            [find_program("pgbouncer"), "-q", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_whom
        ) as process:
            through = url.replace(f":{server.port}/", f":{port}/")
            try:
                wait_until_reached(through, process)
                yield through
            finally:
                process.kill()


def wait_until_reached(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def judge_sessions(url: str, state_dir: Path) -> Finding:
    case = Case(load_settings(None, {"state_dir": state_dir, "database_url": url}, {}))
    [finding] = [one for one in diagnose(case) if one.check == "sessions"]
    return finding


async def test_in_session_mode_a_pooler_is_as_good_as_the_server(postgres: Postgres, tmp_path: Path):
    with pooled(postgres, "session") as url:
        assert judge_sessions(url, tmp_path).level == "ok"
        one, other = SqlStore.open(url), SqlStore.open(url)
        before = other.deployment.sign_of_change()
        await one.tenants.add(tenant(), [])
        assert await hear(other, before, PATIENCE_S) != before
        # Often enough for statements to be prepared.
        for number in range(8):
            await one.tokens.add([token(str(number))])
            assert await other.tokens.find(digest(str(number))) is not None
        async with one.together() as together:
            await together.tenants.add(tenant("b"), [])
        assert [await each.leadership.try_acquire() for each in (one, other, one)] == [True, False, True]
        await one.close()
        deadline = time.monotonic() + PATIENCE_S
        while not await other.leadership.try_acquire():
            assert time.monotonic() < deadline
        await other.close()


def test_transaction_mode_is_told_of(postgres: Postgres, tmp_path: Path):
    with pooled(postgres, "transaction") as url:
        finding = judge_sessions(url, tmp_path)
    assert finding.level == "fail"
    assert "pool_mode = session" in finding.mend


def test_without_a_pooler_each_connection_keeps_its_session(postgres: Postgres, tmp_path: Path):
    assert judge_sessions(postgres.create(), tmp_path).level == "ok"
