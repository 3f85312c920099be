"""Load above capacity: requests arrive at a fixed rate, whatever becomes of those before them.

`python -m bench.overload`: a server of one worker on one processor, and the load on another, by oha. wrk cannot show
this: its connections wait for an answer before they ask again. The time of an answer counts from the moment at which
its request was due, so the wait for a connection is part of it. A small part of the requests has a new connection each.

The connections that last are opened by the first requests, which are not counted. They bound what can wait in the
server at once: where it answers 8,000 a second, 2,000 of them make it late by 0.25 s at most, and what is offered
beyond that waits in the generator.
"""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from bench.broken import BrokenRowError
from bench.load import Server, run_wrk, wait_until_ready
from bench.mintmark_server import make_server
from bench.processes import run, running
from bench.tools import find_oha, find_wrk

KINDS: Final = {"es256": ("form=jwt", "alg=ES256"), "rs256": ("form=jwt", "alg=RS256"), "opaque": ("form=opaque",)}
NEVER_S: Final = 60.0
"""The greatest `shed_after_s` there is: no load here makes a request wait so long."""
NEW_CONNECTIONS: Final = 0.02
"""Of the requests."""
WARMING_S: Final = 2
ENDING_S: Final = 120
HEADINGS: Final = (
    "token",
    "shed_after_s",
    "offered, of capacity",
    "offered a second",
    "given a second",
    "shed a second",
    "no answer, %",
    "given: p50 / p99, ms",
    "given on new connections: p99, ms",
    "shed: p99, ms",
    "longest, ms",
    "the generator's processor, %",
)


class Load(NamedTuple):
    """What is offered to a server of what setting."""

    kind: str
    shed_after_s: float
    part: float
    """Of the capacity."""
    rate: float
    """Requests a second."""
    connections: int
    seconds: int


class Answers(NamedTuple):
    """How long the answers of one load took, in ms, in order: those with a token, and those that told to come again."""

    given: list[float]
    shed: list[float]


class Offered(NamedTuple):
    """The answers on lasting connections, and those on new ones; and how busy the generator was, 1 a processor."""

    lasting: Answers
    new: Answers
    busy: float


def serve_alone(server: Server, shed_after_s: float) -> Server:
    """Return the server with one worker, on the first processor."""
    commands = [["taskset", "-c", "0", *command, "--workers", "1"] for command in server.commands]
    return replace(server, commands=commands, env={**server.env, "MINTMARK_SHED_AFTER_S": str(shed_after_s)})


def measure_capacity(server: Server, seconds: int) -> float:
    """Return the tokens a second of a server that sheds nothing, under a closed load."""
    alone = serve_alone(server, NEVER_S)
    with running(alone.commands, alone.env, alone.log) as children:
        wait_until_ready(alone, children)
        run_wrk(alone, find_wrk(), 1, seed=1)
        figures = run_wrk(alone, find_wrk(), seconds, seed=2)
    return float(figures["requests"] / figures["seconds"])


def generator_s() -> float:
    """Return the seconds of processor time of the children that have ended: the server has not."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def offer(server: Server, load: Load) -> Offered:
    """Offer a load, most of it on connections that last."""
    before_s = generator_s()
    with ThreadPoolExecutor() as both:
        lasting = both.submit(ask, server, load._replace(rate=load.rate * (1 - NEW_CONNECTIONS)))
        new = both.submit(ask, server, load._replace(rate=load.rate * NEW_CONNECTIONS), "--disable-keepalive")
        answers = lasting.result(), new.result()
    return Offered(*answers, (generator_s() - before_s) / (WARMING_S + load.seconds))


def ask(server: Server, load: Load, *options: str) -> Answers:
    """Run oha on the second processor, and return what it saw. Raises: BrokenRowError."""
    file = server.log.with_name(f"answers{''.join(options)}.db")
    file.unlink(missing_ok=True)
    command = ["taskset", "-c", "1", find_oha(), "-m", "POST", "-T", "application/x-www-form-urlencoded"]
    length = ["-q", f"{load.rate:.0f}", "-c", str(load.connections), "-z", f"{WARMING_S + load.seconds}s", "-w"]
    report = ["--no-tui", "--output-format", "quiet", "--db-url", file, "--worker-threads", "1"]
    asked = ["--latency-correction", *options, "-d", server.body(), server.url]
    run([*command, *length, *report, *asked], {}, timeout_s=load.seconds + ENDING_S)
    return read_answers(file)


def read_answers(file: Path) -> Answers:
    """Read what oha wrote down. Raises: BrokenRowError for an answer that is neither a token nor a refusal for load."""
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute(
            "SELECT status, duration * 1000 FROM oha WHERE start_latency_correction >= ? ORDER BY duration",
            (WARMING_S,),
        ).fetchall()
    if others := {status for status, _ in found} - {200, 503}:
        raise BrokenRowError(f"answers of other kinds: {others}")
    given, shed = ([took for status, took in found if status == wanted] for wanted in (200, 503))
    return Answers(given, shed)


def percentile(times: Sequence[float], part: float) -> str:
    """Write what a part of some times in order do not exceed."""
    return f"{times[min(len(times) - 1, int(len(times) * part))]:,.0f}" if times else ""


def line(load: Load, offered: Offered) -> str:
    """Write what came of one load as a line of the table."""
    lasting, new, busy = offered
    given, shed = ((len(one) + len(other)) / load.seconds for one, other in zip(lasting, new, strict=True))
    refused = sorted(lasting.shed + new.shed)
    cells = (
        load.kind,
        "never" if load.shed_after_s == NEVER_S else f"{load.shed_after_s:g}",
        f"{load.part:g}",
        f"{load.rate:,.0f}",
        f"{given:,.0f}",
        f"{shed:,.0f}",
        f"{max(0.0, 100 * (1 - (given + shed) / load.rate)):.0f}",
        f"{percentile(lasting.given, 0.5)} / {percentile(lasting.given, 0.99)}",
        percentile(new.given, 0.99),
        percentile(refused, 0.99),
        percentile(sorted(lasting.given + new.given + refused), 1),
        f"{100 * busy:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def lines(folder: Path, options: argparse.Namespace) -> Iterator[str]:
    """Offer each part of the capacity to a server of each setting."""
    for kind in options.kinds:
        server = make_server(folder, settings=KINDS[kind])
        capacity = measure_capacity(server, options.seconds)
        for shed_after_s in options.shed_after:
            alone = serve_alone(server, shed_after_s)
            with running(alone.commands, alone.env, alone.log) as children:
                wait_until_ready(alone, children)
                for part in options.offered:
                    load = Load(kind, shed_after_s, part, part * capacity, options.connections, options.seconds)
                    yield line(load, offer(alone, load))


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.overload")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["es256", "opaque"])
    parser.add_argument("--offered", type=float, nargs="+", default=[0.5, 0.8, 1, 1.5, 2, 3], help="of the capacity")
    parser.add_argument(
        "--shed-after", type=float, nargs="+", default=[0.05, 0.1, 0.25, 0.5, NEVER_S], help=f"{NEVER_S:g}: never"
    )
    parser.add_argument("--connections", type=int, default=4000, help="that last")
    parser.add_argument("--seconds", type=int, default=10, help="of each load, default 10")
    return parser.parse_args(arguments)


def main() -> None:
    """Print the table."""
    options = read_options(sys.argv[1:])
    if len(os.sched_getaffinity(0)) < 2:
        raise BrokenRowError("the load needs a processor of its own")
    # Each connection is an open file, of the generator and of the server.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="mintmark-bench-", dir="/var/tmp") as folder:
        for text in lines(Path(folder), options):
            print(text, flush=True)


if __name__ == "__main__":
    try:
        main()
    except BrokenRowError as error:
        sys.exit(str(error))
