"""Death by age: the rate and the latency of new tokens, without and beside the purge of many expired ones.

`python -m bench.purge --rows 5000000`. One process adds tokens for 32 callers at once, as a worker does. With `--http`
it is a server under wrk, see `purge_http`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from mintmark.admin.upkeep import KEEP_FREE_PAGES, KEEP_FREE_SHARE, PURGE_PAUSE_S, PURGE_ROWS, RECLAIM_PAGES
from mintmark.store.records import TokenRecord
from mintmark.store.schema import migrate
from mintmark.store.sql_store import SqlStore

CALLERS: Final = 32
ROWS_A_CALL: Final = 400
CALLS_AT_ONCE: Final = 50
LIFETIME_S: Final = 3600


def make_record(expires_at: int) -> TokenRecord:
    """Return the row of a new token."""
    now = expires_at - LIFETIME_S
    return TokenRecord(os.urandom(32), "bench", "somebody", "access", "read", "api", now, expires_at, 1, 1)


async def fill(store: SqlStore, rows: int, expires_at: int) -> None:
    """Put so many tokens into the store."""
    step = ROWS_A_CALL * CALLS_AT_ONCE
    for start in range(0, rows, step):
        calls = range(0, min(step, rows - start), ROWS_A_CALL)
        batches = [[make_record(expires_at) for _ in range(ROWS_A_CALL)] for _ in calls]
        await asyncio.gather(*[store.tokens.add(batch) for batch in batches])


async def load(store: SqlStore, seconds: float) -> str:
    """Add tokens for some seconds and return the rate and the latency of a call."""
    ends, waits = time.monotonic() + seconds, list[float]()

    async def call_again_and_again() -> None:
        while (began := time.monotonic()) < ends:
            await store.tokens.add([make_record(int(time.time()) + LIFETIME_S)])
            waits.append(time.monotonic() - began)

    await asyncio.gather(*[call_again_and_again() for _ in range(CALLERS)])
    return f"{len(waits) / seconds:,.0f} tokens/s, {describe(waits)}"


def describe(waits: list[float]) -> str:
    """Write the quantiles of waits, which are in seconds."""
    waits.sort()
    p50, p99, longest = (1000 * waits[int((len(waits) - 1) * share)] for share in (0.5, 0.99, 1))
    return f"p50 {p50:.2f} ms, p99 {p99:.1f} ms, longest {longest:.0f} ms"


async def purge(store: SqlStore, steps: list[float]) -> None:
    """Purge as the server does, until there is nothing left or nobody waits any more; note how long each step took."""
    while True:
        began = time.monotonic()
        if not await store.upkeep.purge(int(time.time()), PURGE_ROWS):
            return
        steps.append(time.monotonic() - began)
        await asyncio.sleep(PURGE_PAUSE_S)


def log_size(path: Path) -> float:
    """Return the size of the write-ahead log in MB."""
    return path.with_name(path.name + "-wal").stat().st_size / 1e6


async def repeat(step: Callable[[], Awaitable[int]]) -> int:
    """Do a step until it has nothing left to do, and return the sum."""
    total = 0
    while done := await step():
        total += done
    return total


async def drain(store: SqlStore, expired_at: int) -> int:
    """Purge and give back pages without a pause, and return how many rows went."""
    removed = await repeat(lambda: store.upkeep.purge(expired_at, PURGE_ROWS))
    await repeat(lambda: store.upkeep.reclaim(RECLAIM_PAGES, keep=KEEP_FREE_PAGES, keep_share=KEEP_FREE_SHARE))
    return removed


async def measure(path: Path, rows: int, seconds: float) -> None:
    """Print the figures."""
    url = f"sqlite:///{path}"
    migrate(url)
    store = SqlStore.open(url)
    await store.upkeep.tend_log()
    await fill(store, rows, int(time.time()) - 1)
    print(f"{rows:,} expired rows: {path.stat().st_size / 1e6:,.0f} MB")
    for turn in range(2):
        print(f"  without purge ({turn + 1}): {await load(store, seconds)}")
        steps: list[float] = []
        purging = asyncio.create_task(purge(store, steps))
        figures = await load(store, seconds)
        purging.cancel()
        await asyncio.gather(purging, return_exceptions=True)
        print(f"  beside the purge ({turn + 1}): {figures}; {PURGE_ROWS * len(steps) / seconds:,.0f} rows/s removed")
        print(f"    a step of the purge: {describe(steps)}; log {log_size(path):,.0f} MB")
    began = time.monotonic()
    removed = await drain(store, int(time.time()))
    print(f"  the rest, without pauses: {removed / (time.monotonic() - began):,.0f} rows/s")
    await store.close()
    print(f"after purge and reclaim: {path.stat().st_size / 1e6:,.0f} MB, with the tokens just added")


def main() -> None:
    """Read the command line and measure in a temporary folder that is on a disk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--http", action="store_true", help="load a server of two workers with wrk")
    parser.add_argument("--rounds", type=int, default=2, help="with --http")
    arguments = parser.parse_args()
    if arguments.http:
        from bench import purge_http  # noqa: PLC0415 - it needs this module

        purge_http.report(arguments.rows, arguments.seconds, arguments.rounds)
        return
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        asyncio.run(measure(Path(folder) / "mintmark.db", arguments.rows, arguments.seconds))


if __name__ == "__main__":
    main()
