"""A deployment is filled by a server on SQLite, copied, killed, copied on, and served on PostgreSQL."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from tests.endpoints.deployments import Deployment
from tests.endpoints.servers import MINTMARK, Server, clean_environment, find_free_port, run_mintmark
from tests.endpoints.systems import DEFAULT, OMADA, OMADAC_ID, SYSTEMS, WSO2, System, ask, omada
from tests.life.test_two_nodes import introspect, token_of
from tests.postgresql import PASSWORD, Postgres

PATIENCE_S = 30.0
CALLER = {"omadacId": OMADAC_ID, "client_id": OMADA.client_id, "client_secret": OMADA.client_secret}
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'reuse_slot'::regclass"


class Moved(NamedTuple):
    """What was given out before, and the server after."""

    tokens: dict[str, str]
    refresh_token: str
    server: Server
    environment: dict[str, str]
    folder: Path
    said: str


def kill_within(words: list[str], *, cwd: Path, url: str) -> None:
    """Start a copy, and kill it while it waits for a table that we hold."""
    with psycopg.connect(url) as holding, psycopg.connect(url, autocommit=True) as looking:
        holding.execute("LOCK TABLE reuse_slot IN EXCLUSIVE MODE")
        copying = subprocess.Popen([str(MINTMARK), *words], cwd=cwd, env=clean_environment(), stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while looking.execute(WAITING).fetchone() == (0,):
            assert copying.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        copying.kill()
        copying.wait()


@pytest.fixture(scope="module")
def moved(full_deployment: Deployment, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    folder = tmp_path_factory.mktemp("moved")
    state_dir = full_deployment.copy_to(folder).state_dir
    url = postgres.create()
    words = ["copy", "--state-dir", str(state_dir), "--from", f"sqlite:///{state_dir}/mintmark.db", "--to", url]
    with Server(state_dir) as before:
        tokens = {system.dialect: token_of(before.send(ask(system, scope=system.scope))) for system in SYSTEMS}
        refresh_token = before.send(ask(OMADA)).json["result"]["refreshToken"]
        refused = run_mintmark(*words, cwd=folder)
        assert refused.returncode == 1
        assert "stop every `mintmark serve`" in refused.stderr
    kill_within(words, cwd=folder, url=url)
    environment = {"MINTMARK_DATABASE_URL": url, "MINTMARK_MASTER_KEY_FILE": str(state_dir / "master.key")}
    half = run_mintmark("serve", "--listen", f"http://127.0.0.1:{find_free_port()}", cwd=folder, **environment)
    assert half.returncode == 1
    assert "a copy into it has not come to its end" in half.stderr
    done = run_mintmark(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + refused.stderr + half.stderr
    settings = {"database_url": url, "master_key_file": str(state_dir / "master.key")}
    (folder / "node").mkdir()
    with Server(folder / "node", settings=settings) as after:
        yield Moved(tokens, refresh_token, after, environment, folder, done.stdout)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.dialect)
def test_a_token_given_out_before_is_alive_after(moved: Moved, system: System):
    looked_at = moved.server.send(introspect(system, moved.tokens[system.dialect]))
    assert (looked_at.status, looked_at.json["active"]) == (200, True)


def test_a_token_that_is_handed_out_again_is_the_one_from_before(moved: Moved):
    assert token_of(moved.server.send(ask(WSO2, scope=WSO2.scope))) == moved.tokens["wso2"]


def test_a_refresh_token_from_before_is_good_once(moved: Moved):
    request = omada({**CALLER, "refresh_token": moved.refresh_token}, "?grant_type=refresh_token")
    won = moved.server.send(request).json
    assert won["errorCode"] == 0
    assert moved.server.send(introspect(OMADA, won["result"]["accessToken"])).json["active"] is True
    assert moved.server.send(request).json["errorCode"] != 0


def test_new_tokens_are_signed_by_the_keys_from_before(moved: Moved):
    before, after = moved.tokens["oauth2"], token_of(moved.server.send(ask(DEFAULT, scope=DEFAULT.scope)))
    assert before.partition(".")[0] == after.partition(".")[0]


def test_the_audit_log_goes_on_from_where_it_was(moved: Moved):
    head = moved.said.rpartition("head: ")[2].split()[0]
    verified = run_mintmark("audit", "verify", "--known", head, cwd=moved.folder, **moved.environment)
    assert verified.returncode == 0, verified.stderr
    assert "all as they were written" in verified.stdout


def test_what_was_copied_is_said_table_by_table(moved: Moved):
    lines = moved.said.splitlines()
    assert "copied reuse_slot: 1 of 1 rows" in lines
    assert not [line for line in lines if line.startswith("copied token:")]  # before it was killed
    assert [line for line in lines if line.startswith("verified token:")]
    assert lines[-1].startswith("Set database_url to the new database")
