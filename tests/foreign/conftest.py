"""Running servers for programs that nobody here wrote: the demo on its own ports, and one with a tenant a key type."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from mintmark.admin.administration import Administration
from mintmark.admin.clients import ClientRequest, register_client
from mintmark.admin.demo import DEMO_LISTENERS
from mintmark.admin.deployment import initialize
from mintmark.admin.tenants import TenantRequest, create_tenant
from mintmark.http.certificate import ensure_certificate
from mintmark.protocol.secret import Secret
from mintmark.settings import Settings
from tests.cli.running import Serving
from tests.endpoints.servers import find_free_port

CLIENT_ID: Final = "odd-client_1.x~y"
SECRET: Final = "50% more+odd/&=:secret~_-.%41"
"""What clients spell in three ways: form-encoded, percent-encoded and raw. The last three characters encode an A."""
SCOPE: Final = ("read", "write", "broker.write:*/*")

TENANTS: Final[dict[str, tuple[str, dict[str, object]]]] = {
    "es256": ("oauth2", {"form": "jwt", "alg": "ES256"}),
    "rs256": ("oauth2", {"form": "jwt", "alg": "RS256"}),
    "eddsa": ("oauth2", {"form": "jwt", "alg": "EdDSA"}),
    "ciam": ("ciam", {}),
    "wso2": ("wso2", {"form": "jwt", "reuse": False, "alg": "ES256"}),
    "oneaccess": ("oneaccess", {"form": "jwt", "alg": "EdDSA"}),
    "opaque": ("oauth2", {"form": "opaque"}),
}


class ForeignServer(NamedTuple):
    """A server with the tenants above, each with the same client; plain on one port, TLS on the other."""

    url: str
    tls_url: str
    authorities: Path

    def issuer(self, tenant: str) -> str:
        return f"{self.url}/t/{tenant}"

    def token_endpoint(self, tenant: str, *, tls: bool = False) -> str:
        path = "/api/v2/tenant/token" if tenant == "oneaccess" else "/oauth2/token"
        return f"{self.tls_url if tls else self.url}/t/{tenant}{path}"


@pytest.fixture(scope="session")
def vendor_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """`mintmark serve --demo` on the ports of the vendors' own pages."""
    try:
        serving = Serving("--demo", cwd=tmp_path_factory.mktemp("demo"))
    except RuntimeError as error:
        pytest.fail(
            f"The vendors' request lines name their ports, so {', '.join(DEMO_LISTENERS)} must be free for this test;"
            f" end what listens there (another demo?) and run it again. {error}",
            pytrace=False,
        )
    with serving:
        yield serving


@pytest.fixture(scope="session")
def foreign_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForeignServer]:
    """The server, in a process of its own."""
    folder = tmp_path_factory.mktemp("foreign")
    url, tls_url = f"http://127.0.0.1:{find_free_port()}", f"https://localhost:{find_free_port()}"
    certificate, private_key = folder / "localhost.crt", folder / "localhost.key"
    ensure_certificate(certificate, private_key)
    asyncio.run(make_tenants(Settings(state_dir=folder / "var"), url, tls_url))
    tls = ("--tls-certificate", certificate, "--tls-private-key", private_key)
    with Serving("--listen", url, "--listen", tls_url, *tls, cwd=folder):
        yield ForeignServer(url, tls_url, certificate)


async def make_tenants(settings: Settings, url: str, tls_url: str) -> None:
    administration = await initialize(settings)
    try:
        for tenant_id, (dialect, token_rules) in TENANTS.items():
            await make_tenant(administration, tenant_id, dialect, f"{url}/t/{tenant_id}", token_rules)
        await make_tenant(administration, "tls", "oauth2", f"{tls_url}/t/tls", {})
        await make_client(administration, "es256", "post-only", ("client_secret_post",))
        await make_client(administration, "es256", "basic-only", ("client_secret_basic",))
    finally:
        await administration.store.close()


async def make_tenant(
    administration: Administration, tenant_id: str, dialect: str, issuer: str, token_rules: dict[str, object]
) -> None:
    request = TenantRequest(tenant_id=tenant_id, dialect=dialect, issuer=issuer, token_rules=token_rules)
    await create_tenant(administration, request)
    await make_client(administration, tenant_id, CLIENT_ID, ("client_secret_basic", "client_secret_post"))


async def make_client(administration: Administration, tenant_id: str, client_id: str, methods: tuple[str, ...]) -> None:
    request = ClientRequest(
        tenant_id=tenant_id,
        client_id=client_id,
        client_secret=Secret(SECRET),
        scope=SCOPE,
        authentication_methods=methods,
    )
    await register_client(administration, request)
