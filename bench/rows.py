"""The rows of the benchmark as data: what each one is, what it is compared with, and what is hoped of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench import bare_server, glewlwyd_peer, hydra_peer, introspection, mintmark_server, node_peer, signing_limit
from bench.load import WORKERS, Measure
from bench.tokens import Expected

MANY: Final = 100_000
MILLION: Final = 1_000_000
SOME: Final = 1_000
"""Clients that every process remembers once it is warm."""


@dataclass(frozen=True)
class Comparison:
    """A ratio to another row of the same round, and the target: at least so much."""

    to: str
    at_least: float | None = None


@dataclass(frozen=True)
class Row:
    """One thing that is measured. The texts go into the caption."""

    key: str
    token: str
    prepare: Callable[[Path], Measure]
    compared: tuple[Comparison, ...] = ()
    written: str = "0"
    """Database rows written a token."""
    clients: str = "1"
    """Registered clients, and which of them ask."""
    store: str = "none"
    is_slow: bool = False
    """It takes minutes to make ready: measured only where it is named."""
    is_peer: bool = False
    """Somebody else's server: where it cannot be had the row says why, and nothing has failed."""


def limit(alg: str) -> Row:
    """Return the row of a signing limit."""
    return Row(
        f"signing-{alg.lower()}",
        f"{alg} signatures alone, no server",
        partial(signing_limit.prepare, alg=alg),
        clients="none",
    )


def minting(
    key: str,
    alg: str | None,
    *compared: Comparison,
    registered: int = 1,
    asking: int = 1,
    nodes: int = 0,
    is_slow: bool = False,
) -> Row:
    """Return a row of Mintmark in its standard dialect: a JWT, or an opaque token durable in the database."""
    settings = ("form=jwt", f"alg={alg}") if alg else ("form=opaque",)
    drawn = "one asks" if asking == 1 else f"{asking:,} drawn at random"
    return Row(
        key,
        f"new {alg} JWT" if alg else "new opaque",
        partial(
            mintmark_server.prepare,
            settings=settings,
            expected=Expected(alg=alg),
            registered=registered,
            asking=asking,
            nodes=nodes,
        ),
        compared,
        written="0" if alg else "1",
        clients="1" if registered == 1 else f"{registered:,}, {drawn}",
        store=name_store(nodes),
        is_slow=is_slow,
    )


def name_store(nodes: int) -> str:
    """Say on what it runs."""
    return f"PostgreSQL, {nodes} node{'s' if nodes > 1 else ''}, {WORKERS} workers in all" if nodes else "SQLite"


def introspecting(key: str, rows: int, *compared: Comparison, nodes: int = 0, is_slow: bool = False) -> Row:
    """Return a row of introspection beside so many live tokens."""
    return Row(
        key,
        "live opaque, introspected (RFC 7662)",
        partial(introspection.prepare, rows=rows, nodes=nodes),
        compared,
        clients="1",
        store=f"{name_store(nodes)}, {rows:,} live tokens",
        is_slow=is_slow,
    )


def peer(name: str, prepare: Callable[..., Measure], alg: str | None, *, written: str, store: str) -> Row:
    """Return a row of somebody else's server."""
    kind = alg.lower() if alg else "opaque"
    return Row(
        f"{name}-{kind}",
        f"new {alg} JWT" if alg else "new opaque",
        partial(prepare, alg=alg),
        (Comparison("bare"),) if name == "node" else (Comparison(kind),),
        written=written,
        store=store,
        is_peer=True,
    )


def node(alg: str | None) -> Row:
    """Return a row of node-oidc-provider."""
    written = "0" if alg else "1, in memory"
    return peer("node", node_peer.prepare, alg, written=written, store="memory, not durable")


def glewlwyd(alg: str) -> Row:
    """Return a row of glewlwyd."""
    return peer("glewlwyd", glewlwyd_peer.prepare, alg, written="3", store="SQLite (WAL), 1 process of threads")


def hydra(alg: str | None) -> Row:
    """Return a row of Ory Hydra."""
    return peer("hydra", hydra_peer.prepare, alg, written="1", store="SQLite, 1 process of threads")


ROWS: Final = (
    limit("RS256"),
    limit("ES256"),
    Row("bare", "constant 700 octets", bare_server.prepare, clients="none, no form parsed"),
    minting("rs256", "RS256", Comparison("signing-rs256", 0.72), Comparison("node-rs256", 1.0)),
    minting(
        "es256",
        "ES256",
        Comparison("bare", 0.30),
        Comparison("node-es256", 3.0),
        Comparison("signing-es256"),
    ),
    minting("opaque", None, Comparison("bare", 0.18), Comparison("node-opaque", 3.0)),
    minting("eddsa", "EdDSA", Comparison("bare")),
    minting("es256-100k", "ES256", Comparison("es256", 0.90), registered=MANY),
    minting("es256-100k-random", "ES256", Comparison("es256", 0.90), registered=MANY, asking=MANY),
    minting("opaque-100k", None, Comparison("opaque", 0.90), registered=MANY),
    minting("opaque-100k-random", None, Comparison("opaque", 0.90), registered=MANY, asking=MANY),
    Row(
        "reused",
        "re-used opaque (wso2 dialect)",
        partial(mintmark_server.prepare, settings=(), expected=Expected(is_constant=True), dialect="wso2"),
        (Comparison("bare"), Comparison("opaque")),
        written="0, 1 at first",
        store="SQLite",
    ),
    introspecting("introspect-1m", 1_000_000, Comparison("bare", 0.30)),
    introspecting("introspect-10m", 10_000_000, Comparison("introspect-1m", 0.90), is_slow=True),
    minting("es256-10-some", "ES256", registered=10, asking=10),
    minting("es256-1m", "ES256", Comparison("es256", 0.90), registered=MILLION, is_slow=True),
    minting("es256-1m-some", "ES256", Comparison("es256-10-some", 0.90), registered=MILLION, asking=SOME, is_slow=True),
    minting("opaque-1m", None, Comparison("opaque", 0.90), registered=MILLION, is_slow=True),
    minting("pg-es256", "ES256", Comparison("es256"), nodes=1),
    minting("pg-opaque", None, Comparison("opaque"), nodes=1),
    minting("pg-es256-2", "ES256", Comparison("pg-es256"), nodes=2),
    minting("pg-opaque-2", None, Comparison("pg-opaque"), nodes=2),
    introspecting("pg-introspect-1m", 1_000_000, Comparison("introspect-1m"), nodes=1),
    introspecting("pg-introspect-10m", 10_000_000, Comparison("pg-introspect-1m", 0.90), nodes=1, is_slow=True),
    node("RS256"),
    node("ES256"),
    node(None),
    glewlwyd("RS256"),
    glewlwyd("ES256"),
    hydra("RS256"),
    hydra(None),
)


def choose_rows(only: str | None) -> list[Row]:
    """Return the rows named in a comma-separated list, and those that they are compared with; None: all but slow ones.

    Raises: ValueError for a name that no row has.
    """
    if only is None:
        return [row for row in ROWS if not row.is_slow]
    by_key = {row.key: row for row in ROWS}
    named = [key.strip() for key in only.split(",") if key.strip()]
    if unknown := [key for key in named if key not in by_key]:
        raise ValueError(f"no such row: {', '.join(unknown)}. The rows are: {', '.join(by_key)}")
    wanted = {*named, *(comparison.to for key in named for comparison in by_key[key].compared)}
    return [row for row in ROWS if row.key in wanted]
