"""Introspection of a live opaque token, with millions of other live tokens in the store."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

from bench import database, mintmark_server
from bench.broken import BrokenRowError
from bench.load import WARMING_S, Measure, Measured, Server, load, run_wrk, wait_until_ready
from bench.processes import running
from bench.tokens import ask_for_token
from bench.tools import find_wrk

LIFETIME_S: Final = 3600


FILL: Final = f"""
    INSERT INTO token (digest, tenant_id, client_id, kind, scope, audience,
        issued_at, expires_at, tenant_generation, client_generation)
    SELECT digest, '{mintmark_server.TENANT}', 'somebody', 'access', 'read', 'api', now, now + {LIFETIME_S}, 1, 1
    FROM ({{rows}}) AS made
    ORDER BY digest
"""
"""In the order of their key: a tree that grows at its end alone is built fast."""
SQLITE_ROWS: Final = """
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows})
    SELECT randomblob(32) AS digest, unixepoch() AS now FROM numbers
"""
POSTGRESQL_ROWS: Final = """
    SELECT sha256((n || random()::text)::bytea) AS digest, extract(epoch FROM now())::bigint AS now
    FROM generate_series(1, {rows}) AS n
"""


def prepare(folder: Path, *, rows: int, nodes: int = 0) -> Measure:
    """Make a deployment whose store holds so many live tokens, and make ready to measure."""
    key = f"introspection-{rows}"
    server = mintmark_server.make_server(folder, settings=("form=opaque",), key=key, nodes=nodes)
    fill(server, rows)
    return partial(measure, server, find_wrk())


def fill(server: Server, rows: int) -> None:
    """Put live tokens into the store, by its own means: no server has to hash and send them."""
    url = server.env.get("MINTMARK_DATABASE_URL")
    if url:
        database.tell(url, FILL.format(rows=POSTGRESQL_ROWS.format(rows=rows)))
        database.tell(url, "VACUUM ANALYZE token")
    else:
        file = Path(server.env["MINTMARK_STATE_DIR"]) / "mintmark.db"
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(FILL.format(rows=SQLITE_ROWS.format(rows=rows)))


def measure(server: Server, wrk: str, seconds: int) -> Measured:
    """Return the introspections a second of a live token. Raises: BrokenRowError."""
    with running(server.commands, server.env, server.log) as children:
        wait_until_ready(server, children)
        token = ask_for_token(server.url, server.body())
        asked = replace(server, url=server.url.replace("/token", "/introspect"), form=f"token={token}")
        require_active(asked)
        run_wrk(asked, wrk, min(WARMING_S, seconds), seed=1)
        measured = load(asked, wrk, seconds)
        require_active(asked)
    return measured


def require_active(server: Server) -> None:
    """Ask once, and make sure of the answer. Raises: BrokenRowError."""
    with urlopen(Request(server.url, server.body().encode())) as answer:
        said = json.load(answer)
    if said.get("active") is not True:
        raise BrokenRowError(f"a live token is not active: {said}")
