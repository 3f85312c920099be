"""Serving, seen from outside: how it starts, how it ends, and what it does when a worker dies."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.cli.running import PATIENCE_S, REPOSITORY, Serving, command_environment, run_mintmark
from tests.endpoints.servers import find_free_port

GRANT = {"grant_type": "client_credentials"}
DEMO = ("demo", "demo-secret-not-for-production")
EAGER = {"MINTMARK_REFRESH_INTERVAL_S": "0.05", "MINTMARK_FAILURES_PER_CLIENT": "1000"}
BODY = b"grant_type=client_credentials&client_id=demo&client_secret=demo-secret-not-for-production"

TOKENS = {
    "oauth2": ("/t/default", "demo", "demo-secret-not-for-production", "eyJ", "Bearer "),
    "ciam": ("/t/ciam", "TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET", "eyJ", "Bearer "),
    "wso2": ("/t/wso2", "wso2-demo", "wso2-demo-secret", "", "Bearer "),
    "oneaccess": (
        "/t/oneaccess",
        "ONtQq2igSggfFClyGgzmuXR8ubWEPdemo",
        "XdqUmJpG19hNEHz3472XsPcwvfedemo",
        "",
        "Bearer ",
    ),
    "omada": (
        "/t/omada",
        "185586e0df424f5ea938de13cba91e01",
        "767372a5258a4fc1a03c57f3d071fc35",
        "AT-",
        "AccessToken=AT-",
    ),
}


@pytest.fixture(autouse=True)
def the_terminal_counts() -> Iterator[None]:
    """Also where the tests were started by `nohup`, which every child would inherit."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


CALLER = httpx.Client(verify=False, timeout=PATIENCE_S, limits=httpx.Limits(max_keepalive_connections=0))
"""Each request on a connection of its own, so that any worker may take it."""


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@contextlib.contextmanager
def serve_demo(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> Iterator[tuple[Serving, str]]:
    url = f"http://127.0.0.1:{find_free_port()}"
    with Serving("--demo", "--listen", url, *words, cwd=folder, env=env) as serving:
        yield serving, url


def get_token(url: str) -> str:
    answer = CALLER.post(f"{url}/oauth2/token", data=GRANT, auth=DEMO)
    assert answer.status_code == 200
    return str(answer.json()["access_token"])


def dump(database: Path) -> list[str]:
    """All that is in a database, but for the traces of its use: the audit log, and when a secret was last used."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        # Never committed.
        connection.execute("DELETE FROM audit_record")
        connection.execute("DELETE FROM audit_checkpoint")
        connection.execute("DELETE FROM deployment_fact WHERE name = 'audit_head'")
        connection.execute("UPDATE client_secret SET last_used_at = NULL")
        return list(connection.iterdump())


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_request_in_hand_is_finished_and_the_end_is_clean(demo_folder, workers, signum):
    with serve_demo(demo_folder, "--workers", str(workers)) as (serving, url):
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=PATIENCE_S) as caller:
            caller.sendall(
                b"POST /oauth2/token HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n" % len(BODY)
            )
            assert caller.recv(4096).startswith(b"HTTP/1.1 100 ")
            serving.process.send_signal(signum)
            time.sleep(0.3)
            caller.sendall(BODY)
            assert caller.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert serving.wait() == 0
    assert "Traceback" not in serving.log.read_text()


def test_ctrl_c_in_a_terminal_reaches_every_process_and_ends_cleanly(demo_folder):
    with serve_demo(demo_folder, "--workers", "2") as (serving, url):
        get_token(url)
        os.killpg(serving.process.pid, signal.SIGINT)
        assert serving.wait() == 0
    lines = serving.log.read_text().splitlines()
    assert [line for line in lines if "audit_checkpoint" not in line] == [], "the upkeep may have told its checkpoint"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_right_after_the_start_is_clean(demo_folder, workers):
    with serve_demo(demo_folder, "--workers", str(workers)) as (serving, _):
        assert serving.stop() == 0


def test_workers_end_with_a_supervisor_that_is_killed(demo_folder):
    with serve_demo(demo_folder, "--workers", "2") as (serving, url):
        get_token(url)
        workers = serving.workers()
        assert len(workers) == 2
        serving.process.kill()
        serving.wait()
        wait_until(lambda: not any(is_running(pid) for pid in workers))
    with pytest.raises(httpx.ConnectError):
        get_token(url)


def is_running(pid: int) -> bool:
    """Where nobody takes in orphans, one that has ended stays as a zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_the_end_of_the_terminal_does_not_end_what_nohup_started(demo_folder):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with serve_demo(demo_folder, "--workers", "2") as (serving, url):
            signal.signal(signal.SIGHUP, before)
            os.killpg(serving.process.pid, signal.SIGHUP)
            time.sleep(0.2)
            get_token(url)
            assert serving.stop() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_killed_worker_is_replaced(demo_folder):
    with serve_demo(demo_folder, "--workers", "2") as (serving, url):
        get_token(url)
        first = serving.workers()
        os.kill(first[0], signal.SIGKILL)
        wait_until(lambda: len(serving.workers()) == 2 and serving.workers() != first)
        assert len({get_token(url) for _ in range(8)}) == 8
        assert "worker_ended" in serving.log.read_text()
        assert serving.stop() == 0


def test_two_servers_do_not_share_a_port_without_a_word(demo_folder, tmp_path):
    with serve_demo(demo_folder) as (_, url):
        done = run_mintmark("serve", "--demo", "--listen", url, cwd=tmp_path)
    assert (done.code, done.stderr) == (1, f"mintmark: listen: {url}: Address already in use\n")


def test_the_demo_twice_changes_nothing_and_starts_quickly(tmp_path):
    with serve_demo(tmp_path) as (serving, _):
        assert serving.stop() == 0
    before = dump(tmp_path / "var" / "mintmark.db")
    began = time.monotonic()
    with serve_demo(tmp_path) as (serving, url):
        get_token(url)
        # A generous bound, against a start that hangs. It takes about half a second.
        assert time.monotonic() - began < 10
        assert serving.stop() == 0
    assert dump(tmp_path / "var" / "mintmark.db") == before


@pytest.mark.parametrize("dialect", TOKENS)
def test_the_token_command_speaks_every_dialect(demo, dialect):
    folder, url = demo
    prefix, client_id, secret, token, header = TOKENS[dialect]
    words = ["token", url + prefix, "--dialect", dialect, "--client-id", client_id, "--client-secret-env", "SECRET"]
    if dialect == "omada":
        words += ["--tenant-identifier", "de382a0e78f4deb681f3128c3e75dbd1"]
    done = run_mintmark(*words, cwd=folder, env={"SECRET": secret})
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.startswith(token)
    assert " " not in done.stdout
    shown = run_mintmark(*words, "--header", cwd=folder, env={"SECRET": secret}).stdout
    assert shown.startswith(f"Authorization: {header}")
    answer = json.loads(run_mintmark(*words, "--json", cwd=folder, env={"SECRET": secret}).stdout)
    assert isinstance(answer["expires_in"], int)
    wrong = run_mintmark(*words, cwd=folder, env={"SECRET": "wrong"})
    assert (wrong.code, wrong.stdout, wrong.stderr.count("\n")) == (1, "", 1)
    assert "the server answered invalid_client" in wrong.stderr


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A running demo that all may ask."""
    folder = tmp_path_factory.mktemp("asked")
    with serve_demo(folder) as (_, url):
        yield folder, url


def test_a_running_server_takes_up_what_the_commands_change(demo_folder):
    def asks(secret: str) -> int:
        return CALLER.post(f"{url}/t/default/oauth2/token", data=GRANT, auth=("late", secret)).status_code

    with serve_demo(demo_folder, env=EAGER) as (_, url):
        made = json.loads(run_mintmark("client", "create", "--client-id", "late", "--json", cwd=demo_folder).stdout)
        wait_until(lambda: asks(made["client_secret"]) == 200)
        more = json.loads(run_mintmark("client", "add-secret", "late", "--json", cwd=demo_folder).stdout)
        wait_until(lambda: asks(more["client_secret"]) == 200)
        assert run_mintmark("client", "remove-secret", "late", more["secret_id"], cwd=demo_folder).code == 0
        wait_until(lambda: asks(more["client_secret"]) == 401)
        assert run_mintmark("client", "disable", "late", cwd=demo_folder).code == 0
        wait_until(lambda: asks(made["client_secret"]) == 401)
        assert run_mintmark("client", "enable", "late", cwd=demo_folder).code == 0
        wait_until(lambda: asks(made["client_secret"]) == 200)
        assert run_mintmark("tenant", "suspend", "default", cwd=demo_folder).code == 0
        wait_until(lambda: asks(made["client_secret"]) == 404)
        assert run_mintmark("tenant", "resume", "default", cwd=demo_folder).code == 0
        assert run_mintmark("client", "remove", "late", cwd=demo_folder).code == 0
        wait_until(lambda: asks(made["client_secret"]) == 401)


BASE_INSTALL = """
import sys

SERVER = {"alembic", "argon2", "cryptography", "httptools", "joserfc", "sqlalchemy", "structlog", "uvicorn", "uvloop"}


class WithoutServer:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in SERVER:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, WithoutServer())
from mintmark.cli import main
sys.exit(main())
"""


def run_base_install(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BASE_INSTALL, *words],
        cwd=REPOSITORY,
        env=command_environment(env),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("words", ["serve --demo", "init", "client list"])
def test_without_the_server_extra_a_command_says_what_to_install(words):
    done = run_base_install(*words.split())
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "pip install 'mintmark[server]'" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("list", "TP-Link Omada Open API"),
        ("show wso2", 'dialect = "wso2"'),
        ("check examples/own_dialect.toml", "no faults"),
    ],
)
def test_without_the_server_extra_dialects_can_be_listed_shown_and_checked(words, said):
    done = run_base_install("dialect", *words.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout


def test_without_the_server_extra_the_client_works(demo):
    assert run_base_install("--help").returncode == 0
    words = ["token", demo[1], "--client-id", DEMO[0], "--client-secret-env", "SECRET"]
    done = run_base_install(*words, SECRET=DEMO[1])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("eyJ")
