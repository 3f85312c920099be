"""What a worker takes with many registered clients: memory, and the time from the start to the first token.

`python -m bench.size --clients 1000000`. The start is taken cold, by the first request of a client that no process
remembers; the memory after a load of clients drawn at random has filled what each worker remembers.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from bench.broken import BrokenRowError
from bench.load import Server, run_wrk
from bench.mintmark_server import choose_clients, make_server
from bench.processes import last_lines, running
from bench.tokens import ask_for_token
from bench.tools import find_wrk

HEADINGS: Final = (
    "registered clients",
    "database",
    "start to first token, s",
    "worker at the start: RSS / PSS, MB",
    "worker that remembers all it may: RSS / PSS, MB",
)
LOOK_S: Final = 0.005
STARTS_WITHIN_S: Final = 30
ASKING_AT_MOST: Final = 200_000
"""More than each worker remembers by default."""


class Memory(NamedTuple):
    """The greatest of the workers' memory, in MB; PSS counts what they share by each one's part."""

    rss: float
    pss: float

    def __str__(self) -> str:
        return f"{self.rss:.0f} / {self.pss:.0f}"


def read_memory(worker: int) -> Memory:
    """Read a process's memory."""
    lines = Path(f"/proc/{worker}/smaps_rollup").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) / 1000 for line in lines if line.endswith("kB")}
    return Memory(found["Rss"], found["Pss"])


def worker_memory(server: subprocess.Popen[bytes]) -> Memory:
    """Return the memory of the worker that has most."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return max(read_memory(int(child)) for child in children)


def wait_for_token(server: Server, log: Path) -> None:
    """Ask until a token comes. Raises: BrokenRowError."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            ask_for_token(server.url, server.body())
            return
        time.sleep(LOOK_S)
    raise BrokenRowError(f"the server did not start: {last_lines(log.read_text(errors='replace'))}")


def measure(server: Server, seconds: int) -> tuple[float, Memory, Memory]:
    """Return seconds to the first token, and the memory then and after the load."""
    with running(server.commands, server.env, server.log) as children:
        began = time.monotonic()
        wait_for_token(server, server.log)
        took_s = time.monotonic() - began
        fresh = worker_memory(children[0])
        run_wrk(server, find_wrk(), seconds, seed=1)
        return took_s, fresh, worker_memory(children[0])


def lines(folder: Path, clients: list[int], nodes: list[int], seconds: int) -> Iterator[str]:
    """Measure each number of clients on each database."""
    for registered in clients:
        for number in nodes:
            made = make_server(folder, settings=("form=jwt", "alg=ES256"), registered=registered, nodes=number)
            server = choose_clients(made, min(registered, ASKING_AT_MOST))
            took_s, fresh, full = measure(server, seconds)
            cells = (f"{registered:,}", "PostgreSQL" if number else "SQLite", f"{took_s:.2f}", str(fresh), str(full))
            yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.size")
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 1_000_000], metavar="N")
    parser.add_argument("--seconds", type=int, default=60, help="of the load that fills the memory, default 60")
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL, too")
    options = parser.parse_args()
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
    with tempfile.TemporaryDirectory(prefix="mintmark-bench-", dir="/var/tmp") as folder:
        nodes = [0, 1] if options.postgresql else [0]
        for line in lines(Path(folder), options.clients, nodes, options.seconds):
            print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except BrokenRowError as error:
        sys.exit(str(error))
