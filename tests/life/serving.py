"""A real `mintmark serve` with several workers, and a connection to each one of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mintmark.admin.administration import Administration
from mintmark.admin.clients import ClientRequest, register_client
from mintmark.admin.keys import list_keys
from mintmark.admin.tenants import TenantRequest, create_tenant
from mintmark.tokens.keys import describe_key_state
from tests.life.world import IDENTIFIERS, Answer, Caller, Sent, inquiry, open_administration, token_request

Result = TypeVar("Result")
REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 30.0
REFRESH_S = 0.1
TAKEN_IN_S = 0.25
"""After this time a change is known to every worker."""


class Worker(NamedTuple):
    """One worker process, and a connection that it alone answers."""

    pid: int
    connection: HTTPConnection

    def send(self, sent: Sent) -> Answer:
        self.connection.request(sent.method, sent.target, sent.body or None, {"host": "id.example", **sent.headers})
        response = self.connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())

    def is_active(self, caller: Caller, token: str) -> bool:
        answer = self.send(inquiry(caller, "introspect", token))
        assert answer.status == 200, answer
        active: bool = answer.json["active"]
        return active

    def issue(self, caller: Caller, dialect: str = "oauth2", scope: str | None = None) -> Answer:
        return self.send(token_request(caller, dialect, scope))


class LifeServer:
    """A running server. Used as a context manager."""

    def __init__(self, state_dir: Path, *, workers: int, **settings: str) -> None:
        self.state_dir = state_dir
        self.port = find_free_port()
        self.workers = workers
        self._log = state_dir.with_name("server.log")
        patient = {"refresh_interval_s": f"{REFRESH_S}", "failures_per_client": "1000000"}
        settings = {**patient, "failures_per_source": "1000000", **settings}
        self._environment = clean_environment(**{f"MINTMARK_{name.upper()}": value for name, value in settings.items()})
        self._connections: list[HTTPConnection] = []

    def __enter__(self) -> LifeServer:
        words = ["serve", "--state-dir", str(self.state_dir), "--listen", self.url, "--workers", str(self.workers)]
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mintmark.cli", *words],
                cwd=self.state_dir.parent,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        if not any("Ctrl-C" in line for line in self.process.stdout):
            raise AssertionError(f"the server did not start:\n{self.log}")
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def worker_pids(self) -> list[int]:
        """The processes that serve, as the kernel lists the server's children."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children]

    def connect(self) -> list[Worker]:
        """Open connections until there is one to each worker."""
        found: dict[int, Worker] = {}
        deadline = time.monotonic() + PATIENCE_S
        while len(found) < self.workers:
            assert time.monotonic() < deadline, f"only {list(found)} answer\n{self.log}"
            connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
            self._connections.append(connection)
            connection.request("GET", "/")
            connection.getresponse().read()
            pid = self._find_other_end(connection.sock.getsockname()[1])
            if pid is not None:
                found.setdefault(pid, Worker(pid, connection))
        return list(found.values())

    def _find_other_end(self, port: int) -> int | None:
        """Return the worker that holds the other end of our connection from this port."""
        ours, theirs = f":{port:04X}", f":{self.port:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        inodes = [row[9] for row in rows if row[1].endswith(theirs) and row[2].endswith(ours)]
        for pid in self.worker_pids():
            held = {read_link(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
            if any(f"socket:[{inode}]" in held for inode in inodes):
                return pid
        return None

    def administer(self, verb: Callable[[Administration], Awaitable[Result]]) -> Result:
        """Run an administrator's verb from this process, which is none of the workers."""

        async def run() -> Result:
            administration = await open_administration(self.state_dir)
            try:
                return await verb(administration)
            finally:
                await administration.store.close()

        return asyncio.run(run())

    def cli(self, *words: str) -> str:
        """Run a command to its end and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "mintmark.cli", *words, "--state-dir", str(self.state_dir)],
            cwd=self.state_dir.parent,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def active_kid(self, tenant_id: str) -> str:
        """The key that signs."""
        keys = self.administer(lambda one: list_keys(one, tenant_id))
        now = int(time.time())
        return next(key.kid for key in keys if key.use == "sig" and describe_key_state(key, keys, now) == "active")

    def add_tenant(self, tenant_id: str, dialect: str = "oauth2", **rules: Any) -> None:
        request = TenantRequest(
            tenant_id=tenant_id,
            dialect=dialect,
            issuer=f"{self.url}/t/{tenant_id}",
            identifier=IDENTIFIERS.get(tenant_id),
            token_rules={"alg": "ES256", **rules},
        )
        self.administer(lambda one: create_tenant(one, request))
        time.sleep(TAKEN_IN_S)

    def add_client(self, tenant_id: str, client_id: str | None = None, **metadata: Any) -> Caller:
        metadata = {"scope": ("read", "write"), **metadata}
        request = ClientRequest(tenant_id=tenant_id, client_id=client_id, **metadata)
        made = self.administer(lambda one: register_client(one, request))
        return Caller(tenant_id, made.client.client_id, made.client_secret.reveal())

    def add_resource(self, tenant_id: str, *audience: str) -> Caller:
        return self.add_client(tenant_id, scope=(), resources=audience or (f"{self.url}/t/{tenant_id}",))


def read_link(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment without settings that the one who runs the tests may have, but with where our modules are."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MINTMARK_")}
    if kept.pop("PYTHONDONTWRITEBYTECODE", ""):
        # Each command would compile everything anew.
        kept["PYTHONPYCACHEPREFIX"] = str(REPOSITORY / ".cache" / "bytecode")
    return kept | extra


def read_token(answer: Answer) -> str:
    assert answer.status == 200, answer
    members = json.loads(answer.body)
    members = members.get("result", members)
    token: str = members.get("access_token") or members["accessToken"]
    return token
