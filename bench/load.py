"""Loads one server with wrk: start it, wait for a right answer, warm up, measure, look again, end it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.broken import BrokenRowError
from bench.processes import Command, last_lines, run, running
from bench.tokens import Expected, ask_for_token, check_tokens

CONNECTIONS: Final = 32
THREADS: Final = 1
WORKERS: Final = 2
STARTING_S: Final = 30
WARMING_S: Final = 2
SCRIPT: Final = Path(__file__).parent / "token_request.lua"
FORM: Final = "grant_type=client_credentials&scope=read+write"


class Measured(NamedTuple):
    """What one load gave."""

    rate: float
    """Operations a second, all connections asking without a pause."""
    half: HalfLoad | None = None


class HalfLoad(NamedTuple):
    """How long answers took at some half of that."""

    rate: float
    p50_ms: float
    p99_ms: float


Measure = Callable[[int], Measured]
"""Takes seconds."""


@dataclass(frozen=True)
class Server:
    """A server to be loaded, and by what requests."""

    commands: Sequence[Command]
    url: str
    log: Path
    clients: Path
    """Lines of client_id, tab, client_secret: one client, or many to draw from."""
    expected: Expected
    env: Mapping[str, str] = field(default_factory=dict)
    form: str = FORM
    ports: Sequence[int] = ()
    """Where the nodes listen, if there are several: each is asked by a thread of its own."""

    def body(self) -> str:
        """Return the token request of the first client, as wrk sends it."""
        with self.clients.open() as lines:
            client_id, client_secret = next(lines).rstrip("\n").split("\t")
        return f"{self.form}&client_id={client_id}&client_secret={client_secret}"


def write_clients(file: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    """Write client_id and client_secret, a line a client, as the wrk script reads them."""
    file.write_text("".join(f"{client_id}\t{client_secret}\n" for client_id, client_secret in pairs))
    return file


def measure(server: Server, wrk: str, seconds: int) -> Measured:
    """Return the tokens a second that a freshly started server gives, and how fast. Raises: BrokenRowError."""
    with running(server.commands, server.env, server.log) as children:
        wait_until_ready(server, children)
        check_tokens(server.url, server.body(), server.expected)
        run_wrk(server, wrk, min(WARMING_S, seconds), seed=1)
        measured = load(server, wrk, seconds)
        check_tokens(server.url, server.body(), server.expected)
    return measured


def load(server: Server, wrk: str, seconds: int) -> Measured:
    """Load a server fully, then by half for half the time. Raises: BrokenRowError."""
    full = run_wrk(server, wrk, seconds, seed=2)
    rate = full["requests"] / full["seconds"]
    # As many connections, each of which makes a request in twice the time: nearly all of it is pause then.
    paced = run_wrk(server, wrk, max(1, seconds // 2), seed=3, pause_ms=2000 * CONNECTIONS / rate)
    return Measured(rate, HalfLoad(paced["requests"] / paced["seconds"], paced["p50_ms"], paced["p99_ms"]))


def wait_until_ready(server: Server, children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Return when a token request gets a token. Raises: BrokenRowError, with the server's last words."""
    why, deadline = "it does not listen", time.monotonic() + STARTING_S
    while time.monotonic() < deadline and all(child.poll() is None for child in children):
        try:
            ask_for_token(server.url, server.body())
        except (OSError, BrokenRowError) as error:
            why = str(error)
            time.sleep(0.1)
        else:
            return
    raise BrokenRowError(f"the server did not start ({why}): {last_lines(server.log.read_text(errors='replace'))}")


def run_wrk(server: Server, wrk: str, seconds: int, *, seed: int, pause_ms: float = 0.0) -> dict[str, Any]:
    """Load the server and return the figures of the wrk script.

    Args:
        pause_ms: how long each connection waits between an answer and the next request, on the average.

    Raises: BrokenRowError when not every request was answered, by a 2xx.
    """
    threads = max(THREADS, len(server.ports))
    options = [f"-t{threads}", f"-c{CONNECTIONS}", f"-d{seconds}", "--timeout", "10s", "-s", str(SCRIPT)]
    env = {"FORM": server.form, "CLIENTS": str(server.clients), "SEED": str(seed), "PAUSE_MS": str(pause_ms)}
    env |= {"PORTS": " ".join(map(str, server.ports))}
    output = run([wrk, *options, server.url], env, timeout_s=seconds + 60)
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    if figures["requests"] == 0 or figures["refused"] or figures["broken"] or "Non-2xx" in output:
        raise BrokenRowError(f"not every request got a token: {figures}")
    return figures
