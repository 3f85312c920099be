"""Mintmark as the benchmark sets it up: by its own command line, each row in a state directory of its own.

What the benchmark knows of Mintmark's command line and modules is in this file and nowhere else.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Final

from bench import database
from bench.broken import BrokenRowError
from bench.load import WORKERS, Measure, Server, measure, write_clients
from bench.processes import find_free_port, run
from bench.tokens import Expected
from bench.tools import find_wrk

MINTMARK: Final = Path(sys.executable).parent / "mintmark"
TENANT: Final = "bench"
SETTING_UP_S: Final = 1200


def prepare(
    folder: Path,
    *,
    settings: tuple[str, ...],
    expected: Expected,
    dialect: str = "oauth2",
    registered: int = 1,
    asking: int = 1,
    nodes: int = 0,
) -> Measure:
    """Make a deployment with one tenant and its clients, and make ready to measure it.

    `settings` are the tenant's token rules, as `key=value`. Each request is of a client drawn from the first
    `asking` that are registered. With `nodes` it is so many of them on PostgreSQL; else one on SQLite.
    """
    server = make_server(folder, settings=settings, dialect=dialect, registered=registered, nodes=nodes)
    return partial(measure, replace(choose_clients(server, asking), expected=expected), find_wrk())


@cache
def make_server(
    folder: Path,
    *,
    settings: tuple[str, ...],
    dialect: str = "oauth2",
    registered: int = 1,
    nodes: int = 0,
    key: str = "",
) -> Server:
    """Make a deployment with one tenant and its clients, once, and say how to serve it.

    With `key` it is another one than that of the same settings without.
    """
    ports = [find_free_port() for _ in range(nodes or 1)]
    state = folder / f"mintmark-{key}{'-'.join(settings) or dialect}-{registered}-{nodes}"
    state.mkdir()
    env = {"MINTMARK_STATE_DIR": str(state)}
    if nodes:
        # Two nodes of one machine cannot both have the address of the metrics.
        env |= {"MINTMARK_DATABASE_URL": database.create(), "MINTMARK_METRICS_LISTEN": ""}
    create_tenant(env, f"http://127.0.0.1:{ports[0]}", dialect, settings)
    pairs = [create_client(env)] if registered == 1 else import_clients(env, state / "clients.jsonl", registered)
    serve = [MINTMARK, "serve", "--workers", str(WORKERS // (nodes or 1))]
    return Server(
        commands=[[*serve, "--listen", f"http://127.0.0.1:{port}"] for port in ports],
        url=f"http://127.0.0.1:{ports[0]}/t/{TENANT}/oauth2/token",
        log=state / "server.log",
        clients=write_clients(state / "clients.tsv", pairs),
        expected=Expected(),
        env=env,
        ports=ports if nodes > 1 else (),
    )


def choose_clients(server: Server, asking: int) -> Server:
    """Return the server as it is asked by its first clients, so many of them."""
    with server.clients.open() as lines:
        pairs = [tuple(line.rstrip("\n").split("\t")) for line in islice(lines, asking)]
    file = server.clients.with_name(f"asking-{asking}.tsv")
    return replace(server, clients=write_clients(file, [(one, secret) for one, secret in pairs]))


def mintmark(env: dict[str, str], *arguments: str | Path) -> str:
    """Run one command of Mintmark's command line and return what it wrote."""
    return run([MINTMARK, *arguments], env, timeout_s=SETTING_UP_S)


def create_tenant(env: dict[str, str], issuer: str, dialect: str, settings: tuple[str, ...]) -> None:
    """Make the master key, the database and the tenant."""
    mintmark(env, "init")
    chosen = [word for setting in settings for word in ("--set", setting)]
    mintmark(
        env,
        "tenant",
        "create",
        TENANT,
        "--dialect",
        dialect,
        "--issuer",
        issuer,
        "--default",
        *chosen,
        "--json",
    )


def create_client(env: dict[str, str]) -> tuple[str, str]:
    """Register one client and return its client_id and client_secret."""
    created = json.loads(mintmark(env, "client", "create", "--tenant", TENANT, "--scope", "read write", "--json"))
    return created["client_id"], created["client_secret"]


def import_clients(env: dict[str, str], file: Path, count: int) -> list[tuple[str, str]]:
    """Register many clients and return each one's client_id and client_secret."""
    pairs = [(f"bench-{number:06d}", new_secret()) for number in range(count)]
    with file.open("w") as lines:
        for client_id, client_secret in pairs:
            client = {"client_id": client_id, "client_secret": client_secret, "scope": ["read", "write"]}
            lines.write(json.dumps(client) + "\n")
    mintmark(env, "client", "import", "--tenant", TENANT, file)
    return pairs


def new_secret() -> str:
    """Return a client secret as Mintmark generates them, so that it is stored as a keyed hash."""
    try:
        from mintmark.authentication.secrets import generate_secret  # noqa: PLC0415 - other rows do without it
    except ImportError as error:
        raise BrokenRowError(f"Mintmark is not installed here: {error}") from error
    return str(generate_secret().reveal())
