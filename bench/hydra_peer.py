"""The peer Ory Hydra: a server in Go, on SQLite; one process with a thread a processor.

A token is a row, also where it is a JWT. Built from its Go module where the machine's module proxy has it.
"""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path

from bench.admin_api import post, wait_until_listening
from bench.load import STARTING_S, Measure, Server, measure, write_clients
from bench.processes import find_free_port, run, running
from bench.tokens import Expected
from bench.tools import build_hydra, find_wrk


def prepare(folder: Path, *, alg: str | None) -> Measure:
    """Make ready to measure JWTs, which it signs with RS256, or opaque tokens."""
    hydra, wrk = build_hydra(), find_wrk()
    state, port, admin_port = folder / f"hydra-{alg}", find_free_port(), find_free_port()
    state.mkdir()
    server = Server(
        commands=[[hydra, "serve", "all", "--dev"]],
        url=f"http://127.0.0.1:{port}/oauth2/token",
        log=state / "server.log",
        clients=write_clients(state / "clients.tsv", [("bench", secrets.token_urlsafe(32))]),
        expected=Expected(alg=alg),
        env={
            "DSN": f"sqlite://{state}/hydra.db?_fk=true",
            "SECRETS_SYSTEM": secrets.token_urlsafe(32),
            "URLS_SELF_ISSUER": f"http://127.0.0.1:{port}",
            "STRATEGIES_ACCESS_TOKEN": "jwt" if alg else "opaque",
            "SERVE_PUBLIC_HOST": "127.0.0.1",
            "SERVE_PUBLIC_PORT": str(port),
            "SERVE_ADMIN_HOST": "127.0.0.1",
            "SERVE_ADMIN_PORT": str(admin_port),
            "LOG_LEVEL": "error",
        },
    )
    run([hydra, "migrate", "sql", "--read-from-env", "--yes"], server.env, timeout_s=STARTING_S)
    register_client(server, f"http://127.0.0.1:{admin_port}/admin/clients")
    return partial(measure, server, wrk)


def register_client(server: Server, url: str) -> None:
    """Register the client, which it keeps in its database."""
    client_id, client_secret = server.clients.read_text().split()
    client = {
        "client_id": client_id,
        "client_secret": client_secret,
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_post",
        "scope": "read write",
    }
    with running(server.commands, server.env, server.log) as children:
        wait_until_listening(url, children, server.log)
        post(url, client)
