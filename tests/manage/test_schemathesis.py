"""Schemathesis, as every kind of caller, against a served API: no fault, and no answer that is not in its document."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from mintmark.admin.administration import Administration
from mintmark.admin.clients import ClientRequest, register_client
from mintmark.admin.permissions import MANAGEMENT_AUDIENCE, PERMISSIONS
from mintmark.admin.tenants import TenantRequest, create_tenant
from mintmark.protocol.secret import Secret
from tests.endpoints.deployments import Deployment
from tests.endpoints.in_process import SECRET
from tests.endpoints.servers import Request, Server, clean_environment

SCHEMATHESIS: Final = Path(sys.executable).with_name("schemathesis")
CONFIGURATION: Final = Path(__file__).with_name("schemathesis.toml")
LIMIT_S: Final = 8
EXAMPLES: Final = 10
ENDING: Final = frozenset({"tenants:write", "tokens:revoke", "keys:rotate"})
"""With these a caller soon ends his own tenant's tokens, and sees nothing but refusals from there on."""
CALLERS: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    "nobody": ("", frozenset()),
    "reader": ("acme", frozenset({"clients:read"})),
    "tenant": ("acme", PERMISSIONS - ENDING),
    "msp": ("hub", PERMISSIONS - ENDING),
    "administrator": ("admin", PERMISSIONS),
}
"""In this order: who may end more comes later, and ends no caller that is still to come."""


async def fill(administration: Administration) -> None:
    """Make what the document's examples name, and a client for each caller."""
    for tenant_id, msp_id in (("hub", None), ("acme", "hub")):
        request = TenantRequest(
            tenant_id=tenant_id,
            dialect="oauth2",
            issuer=f"https://id.example/t/{tenant_id}",
            is_msp=msp_id is None,
            msp_id=msp_id,
            token_rules={"alg": "ES256"},
        )
        await create_tenant(administration, request)
    await register_client(administration, ClientRequest(tenant_id="acme", client_id="billing"))
    for name, (tenant_id, scope) in CALLERS.items():
        request_of_client = ClientRequest(
            tenant_id=tenant_id,
            client_id=f"fuzz-{name}",
            client_secret=Secret(SECRET),
            scope=tuple(scope),
            audience=(MANAGEMENT_AUDIENCE,),
        )
        if tenant_id:
            await register_client(administration, request_of_client)


@pytest.fixture(scope="module")
def fuzzed(bare_deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = bare_deployment.copy_to(tmp_path_factory.mktemp("fuzzed"))
    made.administer(fill)
    with Server(made.state_dir) as running:
        yield running


def authorization(server: Server, name: str) -> list[str]:
    tenant_id = CALLERS[name][0]
    if not tenant_id:
        return []
    form = f"grant_type=client_credentials&client_id=fuzz-{name}&client_secret={SECRET}".encode()
    headers = {"host": "localhost", "content-type": "application/x-www-form-urlencoded"}
    answer = server.send(Request("POST", f"/t/{tenant_id}/oauth2/token", headers, form))
    return ["--header", f"Authorization: Bearer {answer.json['access_token']}"]


@pytest.mark.foreign
@pytest.mark.parametrize("name", CALLERS)
def test_every_answer_is_one_that_the_document_has(fuzzed: Server, name: str, tmp_path: Path):
    command = [str(SCHEMATHESIS), "--config-file", str(CONFIGURATION), "run", f"{fuzzed.url}/api/v1/openapi.json"]
    bounds = ["--max-examples", str(EXAMPLES), "--max-time", str(LIMIT_S), "--generation-deterministic"]

    run = subprocess.run(
        [*command, *bounds, "--no-color", *authorization(fuzzed, name)],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=10 * LIMIT_S,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-6000:]
    assert "management_request_failed" not in fuzzed.log
