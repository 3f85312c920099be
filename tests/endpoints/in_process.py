"""The whole application in this process, behind its ASGI interface: for tests that need no socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from mintmark.admin.administration import Administration
from mintmark.admin.clients import ClientRequest, register_client
from mintmark.admin.deployment import open_deployment
from mintmark.admin.tenants import TenantRequest, create_tenant
from mintmark.app import Application, build_application
from mintmark.authentication.secrets import generate_secret
from mintmark.http.asgi import AsgiApp
from mintmark.protocol.secret import Secret
from mintmark.settings import load_settings
from tests.endpoints.servers import Answer, Request

SECRET = generate_secret().reveal()
"""Of generated form, and so are wrong ones: a chosen secret costs a slow hash, which few tests are about."""


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class InProcess(NamedTuple):
    """An application, what it stands on, and a caller."""

    application: Application
    administration: Administration
    clock: Clock
    app: AsgiApp

    async def send(self, request: Request, source: str = "192.0.2.7") -> Answer:
        """Send a request as if from an address."""
        return await send_to(self.app, request, source)

    async def add_tenant(
        self, tenant_id: str, dialect: str = "oauth2", *, token_rules: Mapping[str, Any] | None = None, **named: Any
    ) -> None:
        """Create a tenant with one client, `meter` with `SECRET`, and take it in."""
        named = {"issuer": f"https://id.example/t/{tenant_id}", **named}
        # An RSA key takes a second of a slow machine; what is signed here is not the point.
        rules = {"alg": "ES256", **(token_rules or {})}
        request = TenantRequest(tenant_id=tenant_id, dialect=dialect, token_rules=rules, **named)
        await create_tenant(self.administration, request)
        await self.add_client(tenant_id)

    async def add_client(self, tenant_id: str, client_id: str = "meter", secret: str = SECRET) -> None:
        request = ClientRequest(
            tenant_id=tenant_id, client_id=client_id, client_secret=Secret(secret), scope=("read", "write")
        )
        await register_client(self.administration, request)
        await self.application.refresh()


async def open_in_process(state_dir: Path, clock: Clock, **settings: Any) -> InProcess:
    read = load_settings(None, {"state_dir": state_dir, **settings}, {})
    administration = msgspec.structs.replace(await open_deployment(read), clock=clock)
    application = await build_application(read, administration)
    return InProcess(application, administration, clock, application.asgi_app(needs_tls=False))


async def send_to(
    app: AsgiApp, request: Request, source: str = "192.0.2.7", more: Sequence[tuple[str, str]] = ()
) -> Answer:
    """Drive an ASGI application with one request. `more`: headers that may repeat."""
    path, _, query = request.target.partition("?")
    sent: list[Mapping[str, Any]] = []
    parts = iter([{"type": "http.request", "body": request.body, "more_body": False}])

    async def receive() -> Mapping[str, Any]:
        return next(parts)

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": request.method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in (*request.headers.items(), *more)],
        "client": (source, 50_000),
    }
    await app(scope, receive, send)
    headers = tuple((name.decode(), value.decode()) for name, value in sent[0]["headers"])
    return Answer(sent[0]["status"], headers, sent[1]["body"])
