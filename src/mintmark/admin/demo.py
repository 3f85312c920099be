"""The demo: a tenant for each dialect, with the clients of the vendors' own pages, and an Omada msp with two customers.

Loading it twice changes nothing. Its secrets are public: it is for a laptop, and `mintmark serve --demo` listens on
loopback only.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from mintmark.admin.administration import Administration
from mintmark.admin.clients import ClientRequest, register_client
from mintmark.admin.deployment import administrator_request
from mintmark.admin.sites import SiteRequest, create_site
from mintmark.admin.tenants import TenantRequest, create_tenant
from mintmark.protocol.secret import Secret

DEMO_LISTENERS: Final = ("http://127.0.0.1:8080", "https://localhost:8043", "https://localhost:9443")

EASY_KEY: Final = {"alg": "ES256"}
"""The tokens are opaque, and an RSA key that nobody needs takes a second to make."""


class DemoTenant(NamedTuple):
    """A tenant, its client, and the line of curl that asks it for a token."""

    tenant: TenantRequest
    client: ClientRequest
    curl: str


def _client(tenant_id: str, client_id: str, secret: str, scope: str = "", **privileges: Any) -> ClientRequest:
    return ClientRequest(
        tenant_id=tenant_id,
        client_id=client_id,
        client_secret=Secret(secret),
        client_name=f"demo client of {tenant_id}",
        scope=tuple(scope.split()),
        **privileges,
    )


DEMO: Final = (
    DemoTenant(
        TenantRequest(tenant_id="default", dialect="oauth2", issuer="http://127.0.0.1:8080", is_default=True),
        _client("default", "demo", "demo-secret-not-for-production", "read write"),
        "curl -u demo:demo-secret-not-for-production -d grant_type=client_credentials"
        " http://127.0.0.1:8080/oauth2/token",
    ),
    DemoTenant(
        TenantRequest(
            tenant_id="ciam",
            dialect="ciam",
            issuer="https://sample.portal.tencentciam.com",
            hosts=("sample.portal.tencentciam.com",),
        ),
        _client("ciam", "TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET", "identity_proofing"),
        "curl -H 'Host: sample.portal.tencentciam.com' -d 'grant_type=client_credentials&client_id=TENANT_CLIENT_ID"
        "&client_secret=TENANT_CLIENT_SECRET&scope=identity_proofing' http://127.0.0.1:8080/oauth2/token",
    ),
    DemoTenant(
        TenantRequest(
            tenant_id="wso2",
            dialect="wso2",
            issuer="https://localhost:9443",
            hosts=("localhost:9443", "127.0.0.1:9443"),
        ),
        _client("wso2", "wso2-demo", "wso2-demo-secret"),
        "curl -k -u wso2-demo:wso2-demo-secret -d grant_type=client_credentials https://localhost:9443/oauth2/token",
    ),
    DemoTenant(
        TenantRequest(tenant_id="oneaccess", dialect="oneaccess", issuer="http://127.0.0.1:8080/t/oneaccess"),
        _client("oneaccess", "ONtQq2igSggfFClyGgzmuXR8ubWEPdemo", "XdqUmJpG19hNEHz3472XsPcwvfedemo", "all"),
        "curl -d 'client_id=ONtQq2igSggfFClyGgzmuXR8ubWEPdemo&client_secret=XdqUmJpG19hNEHz3472XsPcwvfedemo"
        "&grant_type=client_credentials' http://127.0.0.1:8080/api/v2/tenant/token",
    ),
    DemoTenant(
        TenantRequest(
            tenant_id="omada",
            dialect="omada",
            issuer="http://127.0.0.1:8080/t/omada",
            identifier="de382a0e78f4deb681f3128c3e75dbd1",
        ),
        _client(
            "omada",
            "185586e0df424f5ea938de13cba91e01",
            "767372a5258a4fc1a03c57f3d071fc35",
            role="super_admin_id",
            all_sites=True,
        ),
        "curl -k -X POST -H 'content-type:application/json'"
        ' -d \'{"omadacId":"de382a0e78f4deb681f3128c3e75dbd1","client_id":"185586e0df424f5ea938de13cba91e01",'
        '"client_secret":"767372a5258a4fc1a03c57f3d071fc35"}\''
        " 'https://localhost:8043/openapi/authorize/token?grant_type=client_credentials'",
    ),
    DemoTenant(
        TenantRequest(
            tenant_id="msp",
            dialect="omada",
            issuer="http://127.0.0.1:8080/t/msp",
            identifier="4a1f0c7be2d94c0f8d3b6a5e97c2d816",
            is_msp=True,
            token_rules=EASY_KEY,
        ),
        _client(
            "msp",
            "5b7d9e13a2c84f60b1d3e5f708192a3b",
            "c06f1e2d3b4a59687786a5b4c3d2e1f0",
            role="super_admin_id",
            all_customers=True,
        ),
        "curl -k -X POST -H 'content-type:application/json'"
        ' -d \'{"omadacId":"4a1f0c7be2d94c0f8d3b6a5e97c2d816","client_id":"5b7d9e13a2c84f60b1d3e5f708192a3b",'
        '"client_secret":"c06f1e2d3b4a59687786a5b4c3d2e1f0"}\''
        " 'https://localhost:8043/openapi/authorize/token?grant_type=client_credentials'",
    ),
)

CUSTOMERS: Final = tuple(
    TenantRequest(
        tenant_id=tenant_id,
        dialect="omada",
        issuer=f"http://127.0.0.1:8080/t/{tenant_id}",
        identifier=identifier,
        msp_id="msp",
        title=title,
        token_rules=EASY_KEY,
    )
    for tenant_id, identifier, title in (
        ("customer-north", "6e0d2b41c5f7489aa3b1c9d8e7f60512", "North"),
        ("customer-south", "7f1e3c52d608590bb4c2dae9f8071623", "South"),
    )
)
"""The msp's. They have no applications: the msp's own names them in its paths."""

SITE: Final = SiteRequest(name="Default", region="United States", time_zone="UTC", scenario="Office")
"""What the controller and each customer begin with."""


ADMINISTRATOR: Final = DemoTenant(
    TenantRequest(tenant_id="admin", dialect="oauth2", issuer="http://127.0.0.1:8080/t/admin", is_administrative=True),
    administrator_request(Secret("admin-secret-not-for-production")),
    "curl -u admin:admin-secret-not-for-production -d grant_type=client_credentials"
    " http://127.0.0.1:8080/t/admin/oauth2/token",
)
"""Not among the lines that are printed: its tokens are for the management API."""


async def load_demo(administration: Administration) -> None:
    """Create the demo's tenants, clients and sites, those that are not there yet."""
    for row in (ADMINISTRATOR, *DEMO):
        await _ensure_tenant(administration, row.tenant)
        client_id = row.client.client_id or ""
        if await administration.store.clients.find(row.tenant.tenant_id, client_id) is None:
            await register_client(administration, row.client)
    for customer in CUSTOMERS:
        await _ensure_tenant(administration, customer)


async def _ensure_tenant(administration: Administration, request: TenantRequest) -> None:
    if await administration.store.tenants.find(request.tenant_id) is not None:
        return
    await create_tenant(administration, request)
    if request.dialect == "omada" and not request.is_msp:
        await create_site(administration, request.tenant_id, SITE)
