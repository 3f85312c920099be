"""Death by age beside live traffic: two workers under wrk, without and with the purge of many expired rows.

`python -m bench.purge --http --rows 5000000 --seconds 20 --rounds 2` prints a table in Markdown.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench import mintmark_server
from bench.load import WARMING_S, Server, run_wrk, wait_until_ready, write_clients
from bench.processes import running
from bench.purge import drain, fill
from bench.tokens import Expected, check_tokens
from bench.tools import find_wrk
from mintmark.admin.upkeep import KEEP_EXPIRED_S
from mintmark.store.sql_store import SqlStore

OFF_S: Final = "3600"
"""No purge in this time; all else that a leader does is done."""
ON_S: Final = "0.05"
HEADINGS: Final = ("token", "purge", "round", "requests a second", "p50 ms", "p99 ms", "expired rows removed a second")


@dataclass(frozen=True)
class Run:
    """The figures of one load."""

    token: str
    is_purging: bool
    number: int
    rate: float
    p50_ms: float
    p99_ms: float
    removed: float

    def cells(self) -> tuple[str, ...]:
        """Return what stands in the table."""
        return (
            self.token,
            "running" if self.is_purging else "none",
            str(self.number),
            f"{self.rate:,.0f}",
            f"{self.p50_ms:.2f}",
            f"{self.p99_ms:.1f}",
            f"{self.removed:,.0f}",
        )


class Deployment:
    """One server with many expired rows, and a client for each form of token."""

    def __init__(self, folder: Path, rows: int) -> None:
        opaque = mintmark_server.make_server(folder, settings=("form=opaque",), key="purge")
        self.state = Path(opaque.env["MINTMARK_STATE_DIR"])
        self.path = self.state / "mintmark.db"
        self.expired_at = int(time.time()) - KEEP_EXPIRED_S - 1
        self.servers = {"opaque, durable": opaque, "ES256 JWT": self._of_jwts(opaque)}
        asyncio.run(self._fill(rows))

    def _of_jwts(self, server: Server) -> Server:
        command = ("client", "create", "--tenant", mintmark_server.TENANT, "--scope", "read write", "--json")
        made = json.loads(mintmark_server.mintmark(dict(server.env), *command, "--set", "form=jwt"))
        pair = (made["client_id"], made["client_secret"])
        clients = write_clients(self.state / "jwt_client.tsv", [pair])
        return replace(server, clients=clients, expected=Expected(alg="ES256"))

    async def _fill(self, rows: int) -> None:
        store = SqlStore.open(f"sqlite:///{self.path}")
        await fill(store, rows, self.expired_at)
        await store.close()

    def count_expired(self) -> int:
        """Count what the purge has left."""
        with closing(sqlite3.connect(self.path)) as connection:
            sql = "SELECT count(*) FROM token WHERE expires_at <= ?"
            count: int = connection.execute(sql, (self.expired_at,)).fetchone()[0]
        return count

    def size(self) -> str:
        """Write the size of the database file."""
        return f"{self.path.stat().st_size / 1e6:,.0f} MB"

    async def drain(self) -> None:
        """Remove what is left, and give back the free pages, as the server does but without its pauses."""
        store = SqlStore.open(f"sqlite:///{self.path}")
        await drain(store, self.expired_at)
        await store.close()


def measure(deployment: Deployment, token: str, seconds: int, *, is_purging: bool, number: int) -> Run:
    """Load a freshly started server for some seconds. Raises: BrokenRowError."""
    server = deployment.servers[token]
    env = {**server.env, "MINTMARK_UPKEEP_INTERVAL_S": ON_S if is_purging else OFF_S}
    before = deployment.count_expired()
    with running(server.commands, env, server.log) as children:
        wait_until_ready(server, children)
        began = time.monotonic()
        check_tokens(server.url, server.body(), server.expected)
        run_wrk(server, find_wrk(), min(WARMING_S, seconds), seed=1)
        figures = run_wrk(server, find_wrk(), seconds, seed=2)
        took_s = time.monotonic() - began
    removed = (before - deployment.count_expired()) / took_s
    rate = figures["requests"] / figures["seconds"]
    return Run(token, is_purging, number, rate, figures["p50_ms"], figures["p99_ms"], removed)


def measure_all(deployment: Deployment, seconds: int, rounds: int) -> Iterator[Run]:
    """Measure each token without and with the purge, in turn, some rounds."""
    for number in range(1, rounds + 1):
        for token in deployment.servers:
            for is_purging in (False, True):
                run = measure(deployment, token, seconds, is_purging=is_purging, number=number)
                print(" ".join(run.cells()), file=sys.stderr, flush=True)
                yield run


def report(rows: int, seconds: int, rounds: int) -> None:
    """Measure in a temporary folder that is on a disk, and print the table."""
    with tempfile.TemporaryDirectory(prefix="mintmark-bench-", dir="/var/tmp") as folder:
        deployment = Deployment(Path(folder), rows)
        filled = f"{deployment.count_expired():,} expired rows, {deployment.size()}"
        runs = list(measure_all(deployment, seconds, rounds))
        loaded = f"{deployment.count_expired():,} expired rows, {deployment.size()}"
        asyncio.run(deployment.drain())
        drained = (
            f"{deployment.count_expired():,} expired rows, {deployment.size()}, the tokens of the load still in it"
        )
    print(f"\n| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
    for run in runs:
        print(f"| {' | '.join(run.cells())} |")
    print(f"\nThe file: {filled}; after the load {loaded}; after the whole purge {drained}.")
