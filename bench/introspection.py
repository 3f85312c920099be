"""Introspection of a live opaque token, with a million other live tokens in the store."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

from bench import mintmark_server
from bench.broken import BrokenRowError
from bench.load import WARMING_S, Measure, Server, run_wrk, wait_until_ready
from bench.processes import running
from bench.tokens import ask_for_token
from bench.tools import find_wrk

ROWS_A_CALL: Final = 400
CALLS_AT_ONCE: Final = 50
LIFETIME_S: Final = 3600


def prepare(folder: Path, *, rows: int) -> Measure:
    """Make a deployment whose store holds so many live tokens, and make ready to measure."""
    server = mintmark_server.make_server(folder, settings=("form=opaque",), key=f"introspection-{rows}")
    asyncio.run(fill(Path(server.env["MINTMARK_STATE_DIR"]), rows))
    return partial(measure, server, find_wrk())


async def fill(state: Path, rows: int) -> None:
    """Put live tokens into the store, as the server does."""
    from mintmark.store.sql_store import SqlStore  # noqa: PLC0415 - other rows do without it

    store = SqlStore.open(f"sqlite:///{state / 'mintmark.db'}")
    try:
        for start in range(0, rows, ROWS_A_CALL * CALLS_AT_ONCE):
            calls = range(start, min(start + ROWS_A_CALL * CALLS_AT_ONCE, rows), ROWS_A_CALL)
            await asyncio.gather(*[store.tokens.add(list(make_records(min(ROWS_A_CALL, rows - one)))) for one in calls])
    finally:
        await store.close()


def make_records(count: int) -> Iterator[object]:
    """Yield rows of tokens that live for an hour."""
    from mintmark.store.records import TokenRecord  # noqa: PLC0415 - other rows do without it

    now = int(time.time())
    for _ in range(count):
        yield TokenRecord(
            os.urandom(32), mintmark_server.TENANT, "somebody", "access", "read", "api", now, now + LIFETIME_S, 1, 1
        )


def measure(server: Server, wrk: str, seconds: int) -> float:
    """Return the introspections a second of a live token. Raises: BrokenRowError."""
    with running(server.commands, server.env, server.log) as children:
        wait_until_ready(server, children)
        token = ask_for_token(server.url, server.body())
        asked = replace(server, url=server.url.replace("/token", "/introspect"), form=f"token={token}")
        require_active(asked)
        run_wrk(asked, wrk, min(WARMING_S, seconds), seed=1)
        figures = run_wrk(asked, wrk, seconds, seed=2)
        require_active(asked)
    return float(figures["requests"] / figures["seconds"])


def require_active(server: Server) -> None:
    """Ask once, and make sure of the answer. Raises: BrokenRowError."""
    with urlopen(Request(server.url, server.body().encode())) as answer:
        said = json.load(answer)
    if said.get("active") is not True:
        raise BrokenRowError(f"a live token is not active: {said}")
