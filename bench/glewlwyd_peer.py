"""The peer glewlwyd: a server in C, from Debian's package, on SQLite; one process, a thread a connection.

A token is a JWT, and three rows: the token's, and one for each of its two scopes.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bench.admin_api import post, wait_until_listening
from bench.load import Measure, Server, measure, write_clients
from bench.processes import find_free_port, running
from bench.tokens import Expected
from bench.tools import find_wrk, unpack_glewlwyd

CONFIGURATION: Final = """
port = {port}
bind_address = "127.0.0.1"
external_url = "http://127.0.0.1:{port}"
login_url = "login.html"
api_prefix = "api"
log_mode = "console"
log_level = "ERROR"
cookie_domain = "127.0.0.1"
cookie_secure = 0
session_key = "SESSION"
session_expiration = 3600
admin_scope = "g_admin"
profile_scope = "g_profile"
user_module_path = "{root}/usr/lib/glewlwyd/user"
client_module_path = "{root}/usr/lib/glewlwyd/client"
user_auth_scheme_module_path = "{root}/usr/lib/glewlwyd/scheme"
plugin_module_path = "{root}/usr/lib/glewlwyd/plugin"
hash_algorithm = "SHA256"
database = {{ type = "sqlite3" path = "{database}" }};
"""
SCHEMA: Final = "usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"
ADMINISTRATOR: Final = {"username": "admin", "password": "password"}
"""Whom its schema makes; the server listens on loopback alone, and goes with the benchmark."""
SCOPES: Final = ("read", "write")
KINDS: Final = {"ES256": "ecdsa", "RS256": "rsa"}
DISABLED: Final = ("code", "token", "password", "device", "refresh", "none")


def prepare(folder: Path, *, alg: str) -> Measure:
    """Make ready to measure JWTs signed by an algorithm."""
    server, wrk = make_server(folder, alg), find_wrk()
    configure(server, alg)
    return partial(measure, server, wrk)


def make_server(folder: Path, alg: str) -> Server:
    """Lay out its database and configuration, and say how to serve it."""
    root, port, state = unpack_glewlwyd(), find_free_port(), folder / f"glewlwyd-{alg}"
    state.mkdir()
    with closing(sqlite3.connect(state / "glewlwyd.db")) as connection:
        # Kept in the file. With the journal of SQLite's default each row would wait for the disk several times.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript((root / SCHEMA).read_text())
    file = state / "glewlwyd.conf"
    file.write_text(CONFIGURATION.format(port=port, root=root, database=state / "glewlwyd.db"))
    return Server(
        commands=[[root / "usr/bin/glewlwyd", "--config-file", file]],
        url=f"http://127.0.0.1:{port}/api/{alg}/token",
        log=state / "server.log",
        clients=write_clients(state / "clients.tsv", [("bench", secrets.token_urlsafe(32))]),
        expected=Expected(alg=alg),
    )


def configure(server: Server, alg: str) -> None:
    """Give it a signing key, the scopes and the client, which it keeps in its database."""
    api = server.url.removesuffix(f"{alg}/token")
    client_id, client_secret = server.clients.read_text().split()
    with running(server.commands, server.env, server.log) as children:
        wait_until_listening(api, children, server.log)
        cookie = {"Cookie": post(f"{api}auth/", ADMINISTRATOR)["Set-Cookie"].split(";")[0]}
        post(f"{api}mod/plugin/", describe_plugin(api, alg), cookie)
        for scope in SCOPES:
            post(f"{api}scope/", {"name": scope, "display_name": scope, "password_required": False}, cookie)
        post(f"{api}client/", describe_client(client_id, client_secret), cookie)


def describe_plugin(issuer: str, alg: str) -> dict[str, Any]:
    """Return what makes it a token server of client_credentials."""
    key, public = generate_key(alg)
    allowed = {f"auth-type-{name}-enabled": False for name in DISABLED}
    parameters = {
        "iss": issuer,
        "jwt-type": KINDS[alg],
        "jwt-key-size": "256",
        "key": key,
        "cert": public,
        "access-token-duration": 3600,
        "refresh-token-duration": 3600,
        "code-duration": 600,
        "allow-non-oidc": True,
        "auth-type-client-enabled": True,
        "auth-type-id-token-enabled": True,
        **allowed,
    }
    return {"module": "oidc", "name": alg, "display_name": alg, "parameters": parameters}


def describe_client(client_id: str, client_secret: str) -> dict[str, Any]:
    """Return the client as it is to be registered."""
    return {
        "client_id": client_id,
        "client_secret": client_secret,
        "confidential": True,
        "enabled": True,
        "authorization_type": ["client_credentials"],
        "token_endpoint_auth_method": ["client_secret_post"],
        "scope": SCOPES,
    }


@cache
def generate_key(alg: str) -> tuple[str, str]:
    """Return a private key and its public one, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1()) if alg == "ES256" else rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()
