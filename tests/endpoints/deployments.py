"""A deployment on disk, made by the commands that an administrator has, and copied for whoever wants his own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mintmark.admin.administration import Administration
from mintmark.admin.clients import ClientRequest, register_client
from mintmark.admin.demo import load_demo
from mintmark.admin.deployment import open_deployment
from mintmark.cli import main
from mintmark.protocol.secret import Secret
from mintmark.settings import load_settings
from tests.endpoints.systems import SYSTEMS

Result = TypeVar("Result")

ODD_ID = "a:b c+d%41/e"
ODD_SECRET = 'p%41s+s:w"ö&=r d%'
"""Reads otherwise when it is form-decoded; sent raw and sent encoded, it is the same secret."""


class Deployment(NamedTuple):
    """A state directory, and the secrets that were shown once when it was made."""

    state_dir: Path
    secrets: dict[str, str]

    def copy_to(self, folder: Path) -> Deployment:
        """Copy it whole; nobody may be writing to it."""
        target = folder / "var"
        shutil.copytree(self.state_dir, target)
        return Deployment(target, self.secrets)

    def cli(self, *words: str) -> str:
        """Run a command in this process and return what it printed."""
        return run_here(*words, "--state-dir", str(self.state_dir))

    def administer(self, verb: Callable[[Administration], Awaitable[Result]]) -> Result:
        """Run a verb that no command has yet."""

        async def run() -> Result:
            administration = await open_deployment(load_settings(None, {"state_dir": self.state_dir}, {}))
            try:
                return await verb(administration)
            finally:
                await administration.store.close()

        return asyncio.run(run())


def run_here(*words: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = main(words)
    assert code == 0, printed.getvalue()
    return printed.getvalue()


def make_bare(folder: Path) -> Deployment:
    """A deployment with neither tenant nor client."""
    made = Deployment(folder / "var", {})
    made.cli("init")
    return made


def make_full(bare: Deployment, folder: Path) -> Deployment:
    """The demo, tenants of every token form, and clients of every kind."""
    made = bare.copy_to(folder)
    made.administer(load_demo)
    _create_tenants(made)
    _create_clients(made, folder)
    made.administer(_register_those_without_grant)
    return made


def _create_tenants(made: Deployment) -> None:
    rules = {
        "opaque": ["form=opaque", "lifetime_s=600"],
        "rs256": ["alg=RS256"],
        "eddsa": ["alg=EdDSA"],
        "plain-typ": ["typ=JWT"],
        "named": ["audience=https://api.example,orders", "lifetime_s=120", "scope=read,write"],
    }
    for tenant, pairs in rules.items():
        words = [word for pair in pairs for word in ("--set", pair)]
        made.cli("tenant", "create", tenant, "--issuer", f"http://127.0.0.1/t/{tenant}", *words)
        _create(made, tenant, "--client-id", "meter", "--scope", "read write")
    wso2 = ("--dialect", "wso2", "--issuer", "https://is.example/t/wso2-jwt", "--set", "form=jwt")
    made.cli("tenant", "create", "wso2-jwt", *wso2)
    _create(made, "wso2-jwt", "--client-id", "meter", "--scope", "read write openid")


def _create_clients(made: Deployment, folder: Path) -> None:
    _create(made, "default", "--client-id", "generated", "--scope", "read write admin:*/*")
    _create(made, "default", "--client-id", "basic-only", "--method", "client_secret_basic")
    _create(made, "default", "--client-id", "post-only", "--method", "client_secret_post")
    _create(made, "default", "--client-id", "no-scope")
    _create(made, "default", "--client-id", "short", "--set", "form=opaque", "--set", "lifetime_s=77")
    own = ("--set", "alg=EdDSA", "--set", "typ=JWT", "--audience", "orders", "--audience", "https://api.example/%22")
    _create(made, "default", "--client-id", "own-rules", "--scope", "read", *own)
    _create(made, "oneaccess", "--client-id", "no-scope")
    _create(made, "wso2", "--client-id", "scoped", "--scope", "read write openid internal_login")
    _create(made, "wso2", "--client-id", "raced", "--scope", "a b")
    _create(made, "default", "--client-id", "changing", "--scope", "read")
    line = {"client_id": ODD_ID, "client_secret": ODD_SECRET, "scope": ["read"]}
    (folder / "import.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    made.cli("client", "import", "--tenant", "default", str(folder / "import.jsonl"))
    for system in SYSTEMS:
        secret = folder / "secret.txt"
        secret.write_text(system.client_secret + "\n", "utf-8")
        known = ("--client-secret-file", str(secret), "--scope", "read")
        made.cli("client", "create", "--tenant", system.tenant, "--client-id", system.disabled, *known)
        made.cli("client", "disable", "--tenant", system.tenant, system.disabled)


def _create(made: Deployment, tenant: str, *words: str) -> None:
    shown = json.loads(made.cli("client", "create", "--tenant", tenant, *words, "--json"))
    made.secrets[f"{tenant}/{shown['client_id']}"] = shown["client_secret"]


async def _register_those_without_grant(administration: Administration) -> None:
    for system in SYSTEMS:
        request = ClientRequest(
            tenant_id=system.tenant,
            client_id=system.no_grant,
            client_secret=Secret(system.client_secret),
            grant_types=(),
        )
        await register_client(administration, request)


def fingerprint(folder: Path) -> dict[str, Any]:
    """What is in a folder: each file's octets and mode."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), oct(path.stat().st_mode))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
