"""Mintmark as the benchmark sets it up: by its own command line, each row in a state directory of its own.

What the benchmark knows of Mintmark's command line and modules is in this file and nowhere else.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from bench.broken import BrokenRowError
from bench.load import WORKERS, Measure, Server, measure, write_clients
from bench.processes import find_free_port, run
from bench.tokens import Expected
from bench.tools import find_wrk

MINTMARK: Final = Path(sys.executable).parent / "mintmark"
TENANT: Final = "bench"
SETTING_UP_S: Final = 300


def prepare(
    folder: Path,
    *,
    settings: tuple[str, ...],
    expected: Expected,
    dialect: str = "oauth2",
    registered: int = 1,
    is_random: bool = False,
) -> Measure:
    """Make a state directory with one tenant and its clients, and make ready to measure it.

    `settings` are the tenant's token rules, as `key=value`. With `is_random` each request is of a
    client drawn from all that are registered; else one client asks.
    """
    key = f"{'-'.join(settings) or dialect}-{registered}-{is_random}"
    server = make_server(
        folder, settings=settings, key=key, dialect=dialect, registered=registered, is_random=is_random
    )
    return partial(measure, replace(server, expected=expected), find_wrk())


def make_server(
    folder: Path,
    *,
    settings: tuple[str, ...],
    key: str,
    dialect: str = "oauth2",
    registered: int = 1,
    is_random: bool = False,
) -> Server:
    """Make a state directory with one tenant and its clients, and say how to serve it."""
    port = find_free_port()
    state = folder / f"mintmark-{key}"
    state.mkdir()
    env = {"MINTMARK_STATE_DIR": str(state)}
    create_tenant(env, f"http://127.0.0.1:{port}", dialect, settings)
    pairs = [create_client(env)] if registered == 1 else import_clients(env, state / "clients.jsonl", registered)
    return Server(
        commands=[[MINTMARK, "serve", "--listen", f"http://127.0.0.1:{port}", "--workers", str(WORKERS)]],
        url=f"http://127.0.0.1:{port}/t/{TENANT}/oauth2/token",
        log=state / "server.log",
        clients=write_clients(state / "clients.tsv", pairs if is_random else pairs[:1]),
        expected=Expected(),
        env=env,
    )


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
