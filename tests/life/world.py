"""A whole deployment in this process, its clock in the test's hand: tenants, clients, and the requests they send."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from mintmark.admin.administration import Administration
from mintmark.admin.clients import ClientRequest, register_client
from mintmark.admin.deployment import open_deployment
from mintmark.admin.tenants import TenantRequest, create_tenant
from mintmark.app import Application, build_application
from mintmark.http.asgi import AsgiApp
from mintmark.protocol.secret import Secret
from mintmark.settings import load_settings
from mintmark.store.sql_store import SqlStore

FORM = "application/x-www-form-urlencoded"
START = 1_800_000_000.0
ISSUER = "https://id.example/t/"
INACTIVE = b'{"active":false}'


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Answer(NamedTuple):
    """One HTTP answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller(NamedTuple):
    """A registered client, and the secret that it was given."""

    tenant: str
    client_id: str
    client_secret: str

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()

    @property
    def fields(self) -> dict[str, str]:
        return {"client_id": self.client_id, "client_secret": self.client_secret}


class Sent(NamedTuple):
    """A request, as bytes on any wire would have it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


def post(target: str, fields: Mapping[str, str], **headers: str) -> Sent:
    """A POST of form parameters; header names are written with _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Sent("POST", target, {"content-type": FORM, **named}, urlencode(fields).encode())


def post_json(target: str, members: object) -> Sent:
    return Sent("POST", target, {"content-type": "application/json"}, json.dumps(members).encode())


def token_request(caller: Caller, dialect: str = "oauth2", scope: str | None = None, identifier: str = "") -> Sent:
    """A client credentials request, spelt as the system does."""
    if dialect == "omada":
        target = f"/t/{caller.tenant}/openapi/authorize/token?grant_type=client_credentials"
        return post_json(target, {"omadacId": identifier or IDENTIFIERS[caller.tenant], **caller.fields})
    path = "/api/v2/tenant/token" if dialect == "oneaccess" else "/oauth2/token"
    fields = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
    return post(f"/t/{caller.tenant}{path}", fields, authorization=caller.basic)


def inquiry(caller: Caller, endpoint: str, token: str | None, **more: str) -> Sent:
    """A request about a token; `more` are other form parameters."""
    fields = ({"token": token} if token is not None else {}) | more
    return post(f"/t/{caller.tenant}/oauth2/{endpoint}", fields, authorization=caller.basic)


def show(tenant: str, authorization: str | None, query: str = "") -> Sent:
    """A request that shows a token to the tenant's own resource."""
    headers = {} if authorization is None else {"authorization": authorization}
    return Sent("GET", f"/t/{tenant}/oauth2/check{query}", headers)


def refresh_request(caller: Caller, refresh_token: str, tenant_prefix: bool = True) -> Sent:
    prefix = f"/t/{caller.tenant}" if tenant_prefix else ""
    query = urlencode({"grant_type": "refresh_token", "refresh_token": refresh_token})
    return post_json(f"{prefix}/openapi/authorize/token?{query}", caller.fields)


IDENTIFIERS = {"omada": "1" * 32, "omada2": "2" * 32, "omada3": "3" * 32}


class World:
    """One serving process over a deployment, and the administrator's verbs on it."""

    def __init__(self, administration: Administration, application: Application, clock: Clock) -> None:
        self.administration = administration
        self.application = application
        self.clock = clock
        self.app: AsgiApp = application.asgi_app(needs_tls=False)
        self.dialects: dict[str, str] = {}

    async def add_tenant(self, tenant_id: str, dialect: str = "oauth2", *, default: bool = False, **rules: Any) -> str:
        """Create a tenant; its key is of ES256, which takes no time to make, unless `alg` says otherwise."""
        request = TenantRequest(
            tenant_id=tenant_id,
            dialect=dialect,
            issuer=ISSUER + tenant_id,
            identifier=IDENTIFIERS.get(tenant_id),
            is_default=default,
            token_rules={"alg": "ES256", **rules},
        )
        await create_tenant(self.administration, request)
        await self.application.refresh()
        self.dialects[tenant_id] = dialect
        return tenant_id

    async def add_client(self, tenant_id: str, client_id: str | None = None, **metadata: Any) -> Caller:
        """Register a client; a `client_secret` may be given."""
        if "client_secret" in metadata:
            metadata["client_secret"] = Secret(metadata["client_secret"])
        metadata = {"scope": ("read", "write"), **metadata}
        made = await register_client(
            self.administration, ClientRequest(tenant_id=tenant_id, client_id=client_id, **metadata)
        )
        await self.application.refresh()
        return Caller(tenant_id, made.client.client_id, made.client_secret.reveal())

    async def add_resource(self, tenant_id: str, *audience: str) -> Caller:
        """Register a resource server that is these audiences (the tenant's issuer, if none is named)."""
        return await self.add_client(tenant_id, scope=(), resources=audience or (ISSUER + tenant_id,))

    async def issue(self, caller: Caller, scope: str | None = None) -> dict[str, Any]:
        """Ask for a token and return the members of the answer."""
        answer = await self.send(token_request(caller, self.dialects[caller.tenant], scope))
        assert answer.status == 200, answer
        members: dict[str, Any] = answer.json.get("result", answer.json)
        return members

    async def token(self, caller: Caller, scope: str | None = None) -> str:
        members = await self.issue(caller, scope)
        token: str = members.get("access_token") or members["accessToken"]
        return token

    async def introspect(self, caller: Caller, token: str, **more: str) -> dict[str, Any]:
        answer = await self.send(inquiry(caller, "introspect", token, **more))
        assert answer.status == 200, answer
        assert answer.json["active"] or answer.body == INACTIVE
        members: dict[str, Any] = answer.json
        return members

    async def is_active(self, caller: Caller, token: str) -> bool:
        active: bool = (await self.introspect(caller, token))["active"]
        return active

    async def revoke(self, caller: Caller, token: str, **more: str) -> Answer:
        return await self.send(inquiry(caller, "revoke", token, **more))

    async def refresh(self, caller: Caller, refresh_token: str) -> Any:
        """Use a refresh token of Omada and return the envelope."""
        return (await self.send(refresh_request(caller, refresh_token))).json

    async def send(self, sent: Sent, source: str = "192.0.2.7") -> Answer:
        return await drive(self.app, sent, source)

    async def close(self) -> None:
        await self.application.close()


async def drive(app: AsgiApp, sent: Sent, source: str) -> Answer:
    """Give one request to an ASGI application and return the answer."""
    path, _, query = sent.target.partition("?")
    messages: list[Mapping[str, Any]] = []
    parts = iter([{"type": "http.request", "body": sent.body, "more_body": False}])

    async def receive() -> Mapping[str, Any]:
        return next(parts)

    async def send(message: Mapping[str, Any]) -> None:
        messages.append(message)

    headers = {"host": "id.example", **sent.headers}
    scope = {
        "type": "http",
        "method": sent.method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": (source, 50_000),
    }
    await app(scope, receive, send)
    got = [(name.decode().lower(), value.decode()) for name, value in messages[0]["headers"]]
    assert len({name for name, _ in got}) == len(got), f"a header stands twice: {got}"
    return Answer(messages[0]["status"], dict(got), messages[1]["body"])


def copy_state(template: Path, folder: Path) -> Path:
    """Copy a deployment that nobody writes to."""
    target = folder / "var"
    shutil.copytree(template, target)
    return target


async def open_administration(state_dir: Path) -> Administration:
    return await open_deployment(load_settings(None, {"state_dir": state_dir}, {}))


async def open_world(state_dir: Path, clock: Clock, like: Administration | None = None, **named: Any) -> World:
    """Open a deployment. `like`: another copy of it, opened before, whose dialects and keys need no second reading."""
    settings = load_settings(None, {"state_dir": state_dir, "failures_per_client": 10_000, **named}, {})
    if like is None:
        like = await open_deployment(settings)
    else:
        like = msgspec.structs.replace(like, store=SqlStore.open(settings.database))
    administration = msgspec.structs.replace(like, clock=clock)
    return World(administration, await build_application(settings, administration), clock)
