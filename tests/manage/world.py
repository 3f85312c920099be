"""Tenants of every relation with a manager each, in an application of this process, and calls of the management API."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from urllib.parse import urlencode

from mintmark.admin.clients import ClientRequest, register_client
from mintmark.admin.permissions import MANAGEMENT_AUDIENCE, PERMISSIONS
from mintmark.admin.tenants import TenantRequest, create_tenant
from mintmark.protocol.secret import Secret
from tests.endpoints.in_process import SECRET, InProcess
from tests.endpoints.servers import Answer, Request

ORIGIN = "https://id.example"
TENANTS = ("admin", "hub", "spoke", "own", "foreign")
"""The administrative one, there from the start, an msp and its customer, and two unrelated ones."""
EVERYTHING = " ".join(sorted(PERMISSIONS))


class World(NamedTuple):
    """The application, and how its management API is called."""

    process: InProcess

    async def token(self, tenant_id: str, scope: str | None = None, client_id: str = "manager") -> str:
        """Ask the token endpoint, as anybody does."""
        fields = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": SECRET}
        body = urlencode(fields | ({} if scope is None else {"scope": scope})).encode()
        headers = {"host": "id.example", "content-type": "application/x-www-form-urlencoded"}
        answer = await self.process.send(Request("POST", f"/t/{tenant_id}/oauth2/token", headers, body))
        assert answer.status == 200, answer.body
        token: str = answer.json["access_token"]
        return token

    async def call(self, method: str, path: str, token: str | None, body: Any = None, **headers: str) -> Answer:
        """Call the API. Headers are named with underscores."""
        sent = {"host": "id.example", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        if body is not None:
            sent.setdefault("content-type", "application/json")
        octets = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return await self.process.send(Request(method, f"/api/v1{path}", sent, octets))


async def make_world(process: InProcess) -> World:
    """Create the tenants and their managers."""
    for tenant_id in TENANTS[1:]:
        request = TenantRequest(
            tenant_id=tenant_id,
            dialect="oauth2",
            issuer=f"{ORIGIN}/t/{tenant_id}",
            is_msp=tenant_id == "hub",
            msp_id="hub" if tenant_id == "spoke" else None,
            token_rules={"alg": "ES256"},
        )
        await create_tenant(process.administration, request)
    for tenant_id in TENANTS:
        await add_manager(process, tenant_id)
    await process.application.refresh()
    return World(process)


async def add_manager(process: InProcess, tenant_id: str, client_id: str = "manager", scope: str = EVERYTHING) -> None:
    """Register a client that may ask for management tokens."""
    request = ClientRequest(
        tenant_id=tenant_id,
        client_id=client_id,
        client_secret=Secret(SECRET),
        scope=tuple(scope.split()),
        audience=(MANAGEMENT_AUDIENCE,),
    )
    await register_client(process.administration, request)
