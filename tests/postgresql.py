"""A real PostgreSQL of the tests' own, on a free loopback port, in a folder that goes with it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mintmark.store.schema import migrate
from tests.endpoints.servers import find_free_port

USER, PASSWORD = "mintmark", "hunter2-of-the-tests"
PATIENCE_S = 60.0
DEBIAN = Path("/usr/lib/postgresql")
# Most tests ask what is written, not whether it outlives a loss of power.
FAST = {"fsync": "off", "full_page_writes": "off", "max_connections": "300", "shared_buffers": "64MB"}
NONE_HERE = (
    "These tests run on a real PostgreSQL, and this machine has no initdb and cannot install one: "
    "install PostgreSQL's server (Debian: apt-get install postgresql), then run them again."
)


def find_programs() -> Path:
    """The folder of initdb and postgres; Debian's package is installed where root runs the tests."""
    found = look_for_programs()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install = "apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql"
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["sh", "-c", install], env=quiet, check=False, capture_output=True)
        found = look_for_programs()
    if found is None:
        pytest.fail(NONE_HERE)
    return found


def look_for_programs() -> Path | None:
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


def unprivileged() -> dict[str, Any]:
    """PostgreSQL does not run as root: whom to run it as instead."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    one = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": one.pw_uid, "group": one.pw_gid, "extra_groups": []}


class Postgres:
    """A cluster: it can be stopped, killed, and started again on the same port."""

    def __init__(self, **settings: str) -> None:
        self._programs = find_programs()
        self._folder = Path(tempfile.mkdtemp(prefix="mintmark-postgresql-"))
        self._as_whom = unprivileged()
        if self._as_whom:
            os.chown(self._folder, self._as_whom["user"], self._as_whom["group"])
        self.port = find_free_port()
        self._numbers = count(1)
        self._settings = settings
        self._init()
        self.process = self._start()
        made = self.create(is_empty=True)
        migrate(made)
        self._template = made.rpartition("/")[2]

    def url(self, name: str) -> str:
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def create(self, *, is_empty: bool = False) -> str:
        """Create a database, migrated unless it is to be empty, and return its URL."""
        name = f"mintmark{next(self._numbers)}"
        self.tell(f"CREATE DATABASE {name}" if is_empty else f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return self.url(name)

    def tell(self, statement: str, name: str = "postgres") -> list[Any]:
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def set(self, name: str, value: str) -> None:
        self.tell(f"ALTER SYSTEM SET {name} = '{value}'")
        self.tell("SELECT pg_reload_conf()")

    def end_sessions(self, url: str) -> None:
        """End all sessions of a database, as an administrator may."""
        name = url.rpartition("/")[2]
        self.tell(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def stop(self) -> None:
        """End it and all its sessions at once, in order."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it and all its sessions without a word."""
        self._end(signal.SIGQUIT)

    def start(self) -> None:
        self.process = self._start()

    def freeze(self) -> None:
        """Let none of its processes go on, and none end: it is there and says nothing."""
        self._tell_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._tell_all(signal.SIGCONT)

    def admit(self, network: str) -> None:
        """Let a network's addresses connect, besides loopback's."""
        with (self._folder / "data" / "pg_hba.conf").open("a") as admitted:
            admitted.write(f"host all all {network} scram-sha-256\n")
        self.tell("SELECT pg_reload_conf()")

    def _tell_all(self, how: int) -> None:
        """Tell the first process before those that it starts."""
        own = self.process.pid
        children = Path(f"/proc/{own}/task/{own}/children")
        for pid in (own, *map(int, children.read_text().split())):
            os.kill(pid, how)

    def become_standby(self) -> None:
        """Start again as a server that only follows another; there is none."""
        self.stop()
        (self._folder / "data" / "standby.signal").touch()
        self.start()

    def remove(self) -> None:
        self._end(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, how: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE_S)

    def _init(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        command = [str(self._programs / "initdb"), "-D", str(self._folder / "data"), "-U", USER, f"--pwfile={password}"]
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        made = subprocess.run(
            [*command, *options], cwd=self._folder, capture_output=True, text=True, check=False, **self._as_whom
        )
        assert made.returncode == 0, made.stderr

    def _start(self) -> subprocess.Popen[bytes]:
        places = {"port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        chosen = [word for name, value in {**places, **self._settings}.items() for word in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", *chosen],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                **self._as_whom,
            )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.tell_once()
            except psycopg.OperationalError:
                assert process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                return process

    def tell_once(self) -> None:
        psycopg.connect(self.url("postgres"), connect_timeout=5).close()


def run_postgres(**settings: str) -> Iterator[Postgres]:
    server = Postgres(**settings)
    try:
        yield server
    finally:
        server.remove()
