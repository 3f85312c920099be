"""The peer: node-oidc-provider in two processes, see peers/node/server.mjs."""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path

from bench.load import FORM, WORKERS, Measure, Server, measure, write_clients
from bench.processes import find_free_port
from bench.tokens import Expected
from bench.tools import find_node, find_wrk, install_node_peer


def prepare(folder: Path, *, alg: str | None = None) -> Measure:
    """Make ready to measure JWTs signed by an algorithm, or opaque tokens."""
    wrk, node, script, port = find_wrk(), find_node(), install_node_peer(), find_free_port()
    client_id, client_secret = "bench", secrets.token_urlsafe(32)
    server = Server(
        commands=[[node, script]],
        url=f"http://127.0.0.1:{port}/token",
        log=folder / f"node-{alg}.log",
        clients=write_clients(folder / f"node-{alg}.clients", [(client_id, client_secret)]),
        expected=Expected(alg=alg),
        env={
            "NODE_ENV": "production",
            "PORT": str(port),
            "WORKERS": str(WORKERS),
            "CLIENT_ID": client_id,
            "CLIENT_SECRET": client_secret,
        },
        form=f"{FORM}&resource=urn:bench:{alg}" if alg else FORM,
    )
    return partial(measure, server, wrk)
