"""Clients that register themselves: RFC 7591 and 7592 at a tenant's registration endpoint, off unless it allows them.

The metadata of RFC 7591 that means something here is kept; what is not is neither kept nor said to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from mintmark.admin.actor import Actor
from mintmark.admin.administration import Administration, AdministrationError, PermissionRefused
from mintmark.admin.clients import ClientChanges, ClientRequest
from mintmark.admin.registration import (
    Registered,
    change_registration,
    find_registration,
    register_self,
    remove_registration,
)
from mintmark.api.callers import read_token
from mintmark.api.problems import Refusal
from mintmark.authentication.comparison import find_match
from mintmark.authentication.throttle import caller_of
from mintmark.endpoints.outcome import correlation_id_of
from mintmark.endpoints.route import Endpoint, Route, ServedTenant
from mintmark.protocol.errors import InvalidRequest, SettingsError
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.protocol.scope import format_scope, parse_scope
from mintmark.protocol.secret import Secret
from mintmark.store.events import AuditBuffer
from mintmark.store.records import ClientRecord

HEADERS: Final = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"pragma", b"no-cache"),
)
CHOSEN_BY_THE_SERVER: Final = ("client_id", "client_secret", "sub", "subject")
NOT_TO_BE_SENT: Final = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)
"""RFC: 7592 section 2.2."""


class ClientMetadata(msgspec.Struct, frozen=True):
    """What is read of a request; other members are passed over. RFC: 7591 section 2."""

    client_name: str = ""
    scope: str | None = None
    grant_types: tuple[str, ...] = ("client_credentials",)
    token_endpoint_auth_method: str = "client_secret_basic"
    response_types: tuple[str, ...] = ()


class Unregistrable(Exception):
    """The metadata is refused. The text goes on the wire. RFC: 7591 section 3.2.2."""


class RegistrationEndpoint:
    """Answers registration requests, and those of clients about their own registration."""

    def __init__(self, administration: Administration, vendors: Mapping[str, Endpoint], audit: AuditBuffer) -> None:
        """Take what answers instead in the dialects whose system has a registration of its own."""
        self._administration = administration
        self._audit = audit
        self._vendors = vendors

    async def handle(self, request: HttpRequest, route: Route) -> HttpResponse:
        """Answer. A tenant that does not allow registration has nothing at this path."""
        tenant = route.select_tenant(None)
        if not tenant.record.allows_registration:
            raise InvalidRequest("unknown_path")
        if (vendor := self._vendors.get(tenant.dialect.name)) is not None:
            return await vendor.handle(request, route)
        asked = Asked(self._on_behalf_of_nobody(request), request, tenant)
        try:
            return await asked.answer()
        except (Unregistrable, AdministrationError, SettingsError, Refusal) as error:
            if isinstance(error, PermissionRefused):
                caller = caller_of(request.source)
                now = self._administration.now()
                self._audit.refused((now, tenant.record.tenant_id, "", "invalid_registration_token", caller))
            return refuse(error)

    def _on_behalf_of_nobody(self, request: HttpRequest) -> Administration:
        """Return the verbs on behalf of who has shown nothing yet; those of registration give it its own rights."""
        nobody = Actor(
            name="unregistered",
            permissions=frozenset(),
            tenants=None,
            source=request.source,
            correlation_id=correlation_id_of(request.headers),
        )
        return self._administration.on_behalf_of(nobody)


class Asked(msgspec.Struct, frozen=True):
    """One request to a tenant's registration endpoint."""

    administration: Administration
    request: HttpRequest
    tenant: ServedTenant

    @property
    def path(self) -> str:
        """The path of the endpoint, without the tenant's prefix."""
        return self.tenant.dialect.endpoints["registration"]

    @property
    def tenant_id(self) -> str:
        """The tenant's id."""
        return self.tenant.record.tenant_id

    async def answer(self) -> HttpResponse:
        """Register, or show, change or remove a registration.

        Raises: Unregistrable, AdministrationError, SettingsError, Refusal, InvalidRequest.
        """
        _, _, client_id = self.request.path.partition(self.path)
        handle = {
            (False, "POST"): self.register,
            (True, "GET"): self.show,
            (True, "PUT"): self.change,
            (True, "DELETE"): self.remove,
        }.get((bool(client_id), self.request.method))
        if handle is None:
            raise InvalidRequest("method_not_allowed")
        token = read_token(self.request.headers.get(b"authorization", b""))
        return await handle(client_id.removeprefix("/"), token)

    async def register(self, client_id: str, token: Secret) -> HttpResponse:
        """Register a client. RFC: 7591 section 3."""
        members = read_members(self.request)
        if chosen := [name for name in CHOSEN_BY_THE_SERVER if name in members]:
            raise Unregistrable(f"{chosen[0]}: the server chooses it")
        metadata = read_metadata(members)
        request = ClientRequest(
            tenant_id=self.tenant_id,
            client_name=metadata.client_name,
            scope=read_scope(metadata.scope) or (),
            grant_types=metadata.grant_types,
            authentication_methods=(metadata.token_endpoint_auth_method,),
        )
        made = await register_self(self.administration, request, token)
        return self._write(201, made.client, made)

    async def show(self, client_id: str, token: Secret) -> HttpResponse:
        """Show a client its registration. RFC: 7592 section 2.1."""
        client, _ = await find_registration(self.administration, self.tenant_id, client_id, token)
        return self._write(200, client, Registered(client, token))

    async def change(self, client_id: str, token: Secret) -> HttpResponse:
        """Replace a client's metadata. RFC: 7592 section 2.2."""
        members = read_members(self.request)
        client, _ = await find_registration(self.administration, self.tenant_id, client_id, token)
        self._require_own(members, client)
        metadata = read_metadata(members)
        changes = ClientChanges(
            client_name=metadata.client_name,
            scope=read_scope(metadata.scope) or (),
            grant_types=metadata.grant_types,
            authentication_methods=(metadata.token_endpoint_auth_method,),
        )
        changed = await change_registration(self.administration, self.tenant_id, client_id, token, changes)
        return self._write(200, changed.client, changed)

    async def remove(self, client_id: str, token: Secret) -> HttpResponse:
        """Remove a client. RFC: 7592 section 2.3."""
        await remove_registration(self.administration, self.tenant_id, client_id, token)
        return HttpResponse(204, HEADERS[1:], b"")

    def _require_own(self, members: dict[str, Any], client: ClientRecord) -> None:
        if members.get("client_id") != client.client_id:
            raise Unregistrable("client_id: it must be the client's own")
        if sent := [name for name in NOT_TO_BE_SENT if name in members]:
            raise Unregistrable(f"{sent[0]}: the server chooses it")
        if "client_secret" in members and not self._is_own_secret(str(members["client_secret"]), client):
            raise Unregistrable("client_secret: it must be the client's present one")

    def _is_own_secret(self, secret: str, client: ClientRecord) -> bool:
        """Those that register themselves have secrets that were made, which are kept under the keyed hash."""
        hashed = self.administration.keyed_hash.hash_secret(Secret(secret).encoded())
        return find_match(hashed, [one.hash for one in client.secrets]) is not None

    def _write(self, status: int, client: ClientRecord, registered: Registered) -> HttpResponse:
        """Write the client information response. RFC: 7591 section 3.2.1, RFC: 7592 section 3."""
        issuer = self.tenant.record.issuer.rstrip("/")
        shown = {
            "client_id": client.client_id,
            "client_id_issued_at": client.created_at,
            "client_secret": registered.client_secret and registered.client_secret.reveal(),
            "client_secret_expires_at": client.secrets[0].expires_at or 0 if client.secrets else 0,
            "client_name": client.client_name or None,
            "grant_types": client.grant_types,
            "response_types": (),
            "token_endpoint_auth_method": client.authentication_methods[0],
            "scope": format_scope(client.scope) or None,
            "registration_access_token": registered.access_token.reveal(),
            "registration_client_uri": f"{issuer}{self.path}/{quote(client.client_id, safe='')}",
        }
        body = msgspec.json.encode({name: value for name, value in shown.items() if value is not None})
        return HttpResponse(status, HEADERS, body)


def read_members(request: HttpRequest) -> dict[str, Any]:
    """Return a request's members. RFC: 7591 section 3.1. Raises: Unregistrable."""
    media = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    try:
        if media == b"application/json":
            return msgspec.json.decode(request.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    raise Unregistrable("the body is no JSON object")


def read_metadata(members: dict[str, Any]) -> ClientMetadata:
    """Return what is known here of a client's metadata. RFC: 7591 section 2. Raises: Unregistrable."""
    if "jwks" in members and "jwks_uri" in members:
        raise Unregistrable("jwks and jwks_uri: one of them")
    given = {name: value for name, value in members.items() if value is not None}
    try:
        metadata = msgspec.convert(given, ClientMetadata)
    except msgspec.ValidationError as error:
        raise Unregistrable(str(error)) from error
    if metadata.response_types:
        raise Unregistrable("response_types: there are none here")
    return metadata


def read_scope(text: str | None) -> tuple[str, ...] | None:
    """Return the scope-tokens of a request. Raises: Unregistrable."""
    if not text:
        return None
    scope = parse_scope(text)
    if scope is None:
        raise Unregistrable("scope: malformed (RFC 6749 section 3.3)")
    return scope


def refuse(error: Exception) -> HttpResponse:
    """Write a refusal. RFC: 7591 section 3.2.2, RFC: 6750 section 3."""
    if isinstance(error, Refusal | PermissionRefused):
        known = isinstance(error, PermissionRefused)
        challenge = b'Bearer error="invalid_token"' if known else b"Bearer"
        body = {"error": "invalid_token", "error_description": "The token shown is not good for this."}
        return HttpResponse(401, (*HEADERS, (b"www-authenticate", challenge)), msgspec.json.encode(body))
    body = {"error": "invalid_client_metadata", "error_description": describe(error)}
    return HttpResponse(400, HEADERS, msgspec.json.encode(body))


def describe(error: Exception) -> str:
    """Return the text in the characters of an `error_description`. RFC: 6749 section 5.2."""
    text = str(error).replace('"', "'").replace("\\", "/")
    return "".join(character if " " <= character <= "~" else "?" for character in text)[:500]
