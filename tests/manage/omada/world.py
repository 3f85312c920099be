"""A controller, and an msp with two customers, with sites and applications, in one process; and calls of the API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from mintmark.admin.administration import Administration
from mintmark.admin.clients import ClientRequest, register_client
from mintmark.admin.customers import CustomerRequest, create_customer
from mintmark.admin.sites import SiteRequest, create_site
from mintmark.admin.tenants import TenantRequest, create_tenant
from tests.life.world import Answer, Sent, World, drive

OMADAC_ID = "1" * 32
MSP_ID = "2" * 32
UNKNOWN_ID = "f" * 32
UNKNOWN_SITE = "f" * 24
SUPER, ADMIN, VIEWER = "super_admin_id", "admin_id", "viewer_id"
SITE = {"name": "Depot", "region": "Germany", "timeZone": "Europe/Berlin", "scenario": "Office"}
"""What a site needs."""
RULES = {"alg": "ES256"}


class App(NamedTuple):
    """An application: who asks for tokens."""

    tenant_id: str
    identifier: str
    client_id: str
    client_secret: str


class Omada:
    """The deployment, and its applications by name."""

    def __init__(self, world: World, state_dir: Path) -> None:
        self.world = world
        self.state_dir = state_dir
        self.administration: Administration = world.administration
        self.apps: dict[str, App] = {}
        self.sites: dict[str, str] = {}
        self.customers: dict[str, str] = {}
        """Customer ids by name."""
        self.tenants: dict[str, str] = {"omada": OMADAC_ID, "msp": MSP_ID}
        """Identifiers by tenant id."""

    async def fill(self) -> None:
        """Make everything."""
        for tenant_id in ("omada", "msp"):
            await self.add_tenant(tenant_id)
        for name in ("North", "South"):
            customer = await create_customer(self.administration, "msp", CustomerRequest(name=name))
            self.customers[name] = str(customer.identifier)
            self.tenants[customer.tenant_id] = self.customers[name]
            await self.add_site(customer.tenant_id, f"{name} office")
        for name in ("Airport", "Beach"):
            await self.add_site("omada", name)
        await self.add_app("owner", "omada", role=SUPER, all_sites=True)
        await self.add_app("admin", "omada", role=ADMIN, all_sites=True)
        await self.add_app("viewer", "omada", role=VIEWER, all_sites=True)
        await self.add_app("limited", "omada", role=SUPER, sites=(self.sites["Airport"],))
        await self.add_app("bare", "omada")
        await self.add_app("msp owner", "msp", role=SUPER, all_customers=True)
        await self.add_app("msp viewer", "msp", role=VIEWER, all_customers=True)
        await self.add_app("msp limited", "msp", role=SUPER, customers=(self.tenant_of("North"),))
        await self.add_app("north owner", self.tenant_of("North"), role=SUPER, all_sites=True)
        await self.world.application.refresh()

    async def add_tenant(self, tenant_id: str) -> None:
        request = TenantRequest(
            tenant_id=tenant_id,
            dialect="omada",
            issuer=f"https://id.example/t/{tenant_id}",
            identifier=self.tenants[tenant_id],
            is_msp=tenant_id == "msp",
            token_rules=RULES,
        )
        await create_tenant(self.administration, request)

    def tenant_of(self, customer: str) -> str:
        """The tenant id of a customer."""
        return next(one for one, identifier in self.tenants.items() if identifier == self.customers[customer])

    async def add_site(self, tenant_id: str, name: str) -> str:
        request = SiteRequest(name=name, region="Germany", time_zone="Europe/Berlin", scenario="Office")
        self.sites[name] = (await create_site(self.administration, tenant_id, request)).site_id
        return self.sites[name]

    async def add_app(self, name: str, tenant_id: str, **privileges: Any) -> App:
        request = ClientRequest(tenant_id=tenant_id, client_name=name, **privileges)
        made = await register_client(self.administration, request)
        app = App(tenant_id, self.tenants[tenant_id], made.client.client_id, made.client_secret.reveal())
        self.apps[name] = app
        return app

    async def token(self, name: str) -> str:
        """Ask for a token as an application does."""
        await self.world.application.refresh()
        return str((await self.tokens(self.apps[name]))["accessToken"])

    async def tokens(self, app: App) -> dict[str, Any]:
        body = {"omadacId": app.identifier, "client_id": app.client_id, "client_secret": app.client_secret}
        target = f"/t/{app.tenant_id}/openapi/authorize/token?grant_type=client_credentials"
        answer = await self.send("POST", target, body)
        assert answer.json["errorCode"] == 0, answer
        members: dict[str, Any] = answer.json["result"]
        return members

    async def send(
        self, method: str, target: str, body: object = None, token: str | None = None, **headers: str
    ) -> Answer:
        """Send a request; `body` is written as JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            named["authorization"] = f"AccessToken={token}"
        octets = b""
        if body is not None:
            octets = json.dumps(body).encode()
            named.setdefault("content-type", "application/json")
        return await drive(self.world.app, Sent(method, target, named, octets), "192.0.2.7")

    async def call(self, method: str, path: str, body: object = None, *, by: str = "owner", under: str = "") -> Any:
        """Call as an application with a fresh token, below its own id or another's, and return the envelope."""
        token = await self.token(by)
        return await self.call_with(token, method, path, body, under=under or self.apps[by].identifier)

    async def call_with(self, token: str, method: str, path: str, body: object = None, *, under: str) -> Any:
        """Call with a token; `under` is the id, or `msp/` and the id."""
        return (await self.send(method, f"/openapi/v1/{under}{path}", body, token)).json

    async def is_alive(self, token: str, under: str = OMADAC_ID) -> bool:
        """Tell whether a token is good for anything: a role may still forbid what is asked."""
        code = (await self.call_with(token, "GET", "/roles", under=under))["errorCode"]
        assert code in {0, -44113, -1007}, code
        return bool(code != -44113)
