"""A real `mintmark serve` process on free loopback ports, and the answers that come over its wire."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple, Self

MINTMARK = Path(sys.executable).with_name("mintmark")
PATIENCE_S = 30.0


class Answer(NamedTuple):
    """One HTTP answer. Header names are lower case; a header that came twice is there twice."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def members(self) -> list[str]:
        """The names of the JSON object's members, in the order of the wire."""
        return [name for name, _ in json.loads(self.body, object_pairs_hook=list)]


class Request(NamedTuple):
    """One HTTP request."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


def find_free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment without settings that the one who runs the tests may have, and without a metrics listener.

    Its address is the same for every server of a machine, and so many run here side by side.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("MINTMARK_")}
    return own | {"MINTMARK_METRICS_LISTEN": ""} | extra


def run_mintmark(*words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [str(MINTMARK), *map(str, words)]
    return subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class Server:
    """A running server: one plain and one TLS listener on loopback. Used as a context manager."""

    def __init__(self, state_dir: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> None:
        self.state_dir = state_dir
        self.port = find_free_port()
        self.tls_port = find_free_port()
        self.log_path = state_dir.with_name(f"{state_dir.name}-{self.port}.log")
        listen = ("--listen", f"http://127.0.0.1:{self.port}", "--listen", f"https://127.0.0.1:{self.tls_port}")
        self._command = [str(MINTMARK), "serve", "--demo", "--state-dir", str(state_dir), *listen, *arguments]
        self._environment = clean_environment(
            **{f"MINTMARK_{name.upper()}": value for name, value in (settings or {}).items()}
        )
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        with self.log_path.open("a") as log:
            process = subprocess.Popen(
                self._command,
                cwd=self.state_dir.parent,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert process.stdout is not None
        # Once its addresses are announced, connections queue.
        if not any("Ctrl-C" in line for line in process.stdout):
            raise AssertionError(f"the server did not start:\n{self.log}")
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def kill(self) -> None:
        """End it as a loss of power would, as far as a process can be ended so."""
        self.process.kill()
        self.stop()
        self.process.wait(PATIENCE_S)

    def start_again(self) -> None:
        self.process = self._start()

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def send(self, request: Request) -> Answer:
        """Send a request on a connection of its own, over plain HTTP."""
        return exchange(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S), request)

    def send_over_tls(self, request: Request) -> Answer:
        context = ssl.create_default_context(cafile=self.state_dir / "localhost.crt")
        return exchange(HTTPSConnection("127.0.0.1", self.tls_port, timeout=PATIENCE_S, context=context), request)

    def get(self, target: str, host: str = "127.0.0.1") -> Answer:
        return self.send(Request("GET", target, {"host": host}))

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """Open a bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_S, (source, 0))

    def send_octets(self, *parts: bytes, half_close: bool = False) -> bytes:
        """Send octets as they are, and return all that comes back until the server closes."""
        with self.connect() as connection:
            for part in parts:
                try:
                    connection.sendall(part)
                except (BrokenPipeError, ConnectionResetError):
                    break
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            return receive_all(connection)


def exchange(connection: HTTPConnection, request: Request) -> Answer:
    try:
        connection.request(request.method, request.target, request.body or None, dict(request.headers))
        response = connection.getresponse()
        headers = tuple((name.lower(), value) for name, value in response.getheaders())
        return Answer(response.status, headers, response.read())
    finally:
        connection.close()


def receive_all(connection: socket.socket) -> bytes:
    """Receive until the other side closes."""
    received = b""
    try:
        while part := connection.recv(65_536):
            received += part
    except ConnectionResetError:
        pass
    return received


def words_of(answers: Sequence[Answer]) -> set[bytes]:
    return {answer.body for answer in answers}
