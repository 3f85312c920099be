"""WSO2 Identity Server's dynamic client registration: its path, members and errors, for an administrator's programs.

Who calls is an administrator, by Basic as there (a client of this API in the tenant), or by a management token.
What of its members is the vendor's and what our own choice, docs/registration.md says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from mintmark.admin.actor import Actor, reach_of
from mintmark.admin.administration import Administration, AdministrationError, Missing, PermissionRefused
from mintmark.admin.clients import (
    MAX_MOMENT,
    ClientChanges,
    ClientRequest,
    change_client,
    is_for_management,
    register_client,
    remove_client,
    require_client,
)
from mintmark.admin.permissions import PERMISSIONS
from mintmark.api.callers import Callers, read_token
from mintmark.api.problems import Exchange, Refusal
from mintmark.api.registration import HEADERS, Unregistrable, describe, read_members
from mintmark.authentication.authenticate import Authenticator
from mintmark.dialects.parameters import read_basic
from mintmark.endpoints.outcome import correlation_id_of
from mintmark.endpoints.route import Route, ServedTenant
from mintmark.grants.client_credentials import allowed_scope
from mintmark.grants.rules import MAX_LIFETIME_S, client_rules
from mintmark.protocol.errors import InvalidClient, InvalidRequest, SettingsError
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.protocol.secret import Secret
from mintmark.store.records import ClientRecord

JWT_RULES: Final[Mapping[str, Any]] = {"form": "jwt", "reuse": False}
METHODS: Final = ("client_secret_basic", "client_secret_post")


class Wso2Metadata(msgspec.Struct, frozen=True):
    """What is read of a request; other members are passed over."""

    client_name: str
    grant_types: tuple[str, ...] = ("client_credentials",)
    token_endpoint_auth_method: str | None = None
    ext_param_client_id: str | None = None
    ext_param_client_secret: str | None = None
    ext_param_client_secret_expires_at: Annotated[int, msgspec.Meta(ge=0, le=MAX_MOMENT)] = 0
    """Seconds since 1970-01-01T00:00:00Z; 0: never."""
    ext_application_token_lifetime: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIFETIME_S)] | None = None
    ext_token_type: Literal["JWT", "Default", "Opaque"] | None = None
    token_type_extension: Literal["JWT", "Default", "Opaque"] | None = None

    def __repr__(self) -> str:
        """Leave out the secret."""
        return f"Wso2Metadata({self.client_name!r})"

    @property
    def token_rules(self) -> dict[str, Any]:
        """The token rules that it asks for."""
        is_jwt = "JWT" in (self.ext_token_type, self.token_type_extension)
        lifetime_s = self.ext_application_token_lifetime
        return {**(JWT_RULES if is_jwt else {}), **({} if lifetime_s is None else {"lifetime_s": lifetime_s})}

    @property
    def methods(self) -> tuple[str, ...]:
        """How the client may authenticate."""
        return METHODS if self.token_endpoint_auth_method is None else (self.token_endpoint_auth_method,)


class Wso2Registration:
    """Answers below the vendor's registration path."""

    def __init__(self, administration: Administration, callers: Callers, authenticator: Authenticator) -> None:
        self._administration = administration
        self._callers = callers
        self._authenticator = authenticator

    async def handle(self, request: HttpRequest, route: Route) -> HttpResponse:
        """Answer."""
        tenant = route.select_tenant(None)
        _, _, client_id = request.path.partition(tenant.dialect.endpoints["registration"])
        correlation_id = correlation_id_of(request.headers)
        try:
            administration = await self._admit(request, tenant, correlation_id)
            where = (administration, tenant.record.tenant_id, client_id.removeprefix("/"))
            return await answer(request, *where)
        except (Unregistrable, AdministrationError, SettingsError, Refusal, InvalidClient) as error:
            return refuse(error, correlation_id)

    async def _admit(self, request: HttpRequest, tenant: ServedTenant, correlation_id: str) -> Administration:
        """Return the verbs on behalf of who calls. Raises: Refusal, InvalidClient."""
        authorization = request.headers.get(b"authorization", b"")
        if authorization[:6].lower() != b"basic ":
            desk = await self._callers.admit(read_token(authorization), request.source, Exchange(correlation_id, ""))
            return desk.administration
        record = tenant.record
        caller = await self._authenticator.authenticate_client(
            (read_basic(authorization),), record, source=request.source, secret_form=tenant.rules.client_secret_form
        )
        actor = Actor(
            name=f"client:{record.tenant_id}/{caller.client.client_id}",
            permissions=read_permissions(caller.client, tenant),
            tenants=await reach_of(record.tenant_id, self._administration.store.tenants),
            source=request.source,
            correlation_id=correlation_id,
        )
        return self._administration.on_behalf_of(actor)


def read_permissions(client: ClientRecord, tenant: ServedTenant) -> frozenset[str]:
    """Return what a client may that shows its secret: as much as with a token of its whole scope, and no more."""
    if not is_for_management(client, tenant.record, tenant.rules):
        return frozenset()
    own = client_rules(tenant.rules, client.token_rules, client.client_id).token
    return PERMISSIONS & set(allowed_scope(client.scope, tenant.rules, own))


async def answer(request: HttpRequest, administration: Administration, tenant_id: str, client_id: str) -> HttpResponse:
    """Register, or show, change or remove a client.

    Raises: Unregistrable, AdministrationError, SettingsError, InvalidRequest.
    """
    match (bool(client_id), request.method):
        case (False, "POST"):
            return await register(administration, tenant_id, read_metadata(request))
        case (True, "GET"):
            return write(200, await require_client(administration, tenant_id, client_id))
        case (True, "PUT"):
            return await change(administration, tenant_id, client_id, read_metadata(request))
        case (True, "DELETE"):
            await remove_client(administration, tenant_id, client_id)
            return HttpResponse(204, HEADERS[1:], b"")
        case _:
            raise InvalidRequest("method_not_allowed")


async def register(administration: Administration, tenant_id: str, metadata: Wso2Metadata) -> HttpResponse:
    """Register a client, under its own id and secret if it brought them."""
    chosen = metadata.ext_param_client_secret
    request = ClientRequest(
        tenant_id=tenant_id,
        client_id=metadata.ext_param_client_id,
        client_secret=None if chosen is None else Secret(chosen),
        secret_expires_at=metadata.ext_param_client_secret_expires_at or None,
        client_name=metadata.client_name,
        grant_types=metadata.grant_types,
        authentication_methods=metadata.methods,
        token_rules=metadata.token_rules,
    )
    made = await register_client(administration, request)
    return write(201, made.client, made.client_secret)


async def change(
    administration: Administration, tenant_id: str, client_id: str, metadata: Wso2Metadata
) -> HttpResponse:
    """Replace what can be said of a client here."""
    if metadata.ext_param_client_secret is not None or metadata.ext_param_client_id not in {None, client_id}:
        raise Unregistrable("ext_param_client_id, ext_param_client_secret: these stay")
    changes = ClientChanges(
        client_name=metadata.client_name,
        grant_types=metadata.grant_types,
        authentication_methods=metadata.methods,
        token_rules=metadata.token_rules,
    )
    return write(200, await change_client(administration, tenant_id, client_id, changes))


def read_metadata(request: HttpRequest) -> Wso2Metadata:
    """Return a client's metadata. Raises: Unregistrable."""
    given = {name: value for name, value in read_members(request).items() if value is not None}
    try:
        return msgspec.convert(given, Wso2Metadata)
    except msgspec.ValidationError as error:
        raise Unregistrable(str(error)) from error


def write(status: int, client: ClientRecord, secret: Secret | None = None) -> HttpResponse:
    """Write a client as the vendor does; without the secret, which is known only when it is made."""
    newest = client.secrets[0] if client.secrets else None
    shown = {
        "client_id": client.client_id,
        "client_secret": secret and secret.reveal(),
        "client_secret_expires_at": (newest.expires_at if newest else None) or 0,
        "redirect_uris": (),
        "grant_types": client.grant_types,
        "client_name": client.client_name,
        "ext_application_token_lifetime": client.token_rules.get("lifetime_s"),
        "ext_token_type": "JWT" if client.token_rules.get("form") == "jwt" else "Default",
    }
    return HttpResponse(status, HEADERS, msgspec.json.encode({k: v for k, v in shown.items() if v is not None}))


def refuse(error: Exception, correlation_id: str) -> HttpResponse:
    """Write a refusal: `error`, `error_description` and `traceId`."""
    status, code = next((row[1:] for row in READINGS if isinstance(error, row[0])), (400, "invalid_client_metadata"))
    text = "The caller is not authenticated." if status == 401 else describe(error)
    body = {"error": code, "error_description": text, "traceId": correlation_id}
    challenge = ((b"www-authenticate", b'Basic realm="mintmark"'),) if status == 401 else ()
    return HttpResponse(status, (*HEADERS, *challenge), msgspec.json.encode(body))


READINGS: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (Refusal, 401, "invalid_client"),
    (InvalidClient, 401, "invalid_client"),
    (PermissionRefused, 403, "access_denied"),
    (Missing, 404, "not_found"),
)
"""Errors that are no fault of the metadata."""
