"""Verbs on applications of Omada tenants: registered clients with a role, and a privilege that limits what they see.

A controller's application sees all its sites or some, an msp's all its customers or some. Only who sees all manages
applications: they are the tenant's as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from mintmark.admin.actor import Actor, name_token
from mintmark.admin.administration import Administration, Malformed, PermissionRefused
from mintmark.admin.client_secrets import reset_secret
from mintmark.admin.clients import (
    ClientChanges,
    ClientRequest,
    RegisteredClient,
    change_clients,
    register_clients,
    remove_clients,
    require_client,
)
from mintmark.admin.permissions import Permission
from mintmark.admin.roles import permissions_of, require_role
from mintmark.protocol.secret import Secret
from mintmark.store.interface import Store
from mintmark.store.records import ClientRecord, TenantRecord
from mintmark.tokens.verification import LiveToken


class Privilege(msgspec.Struct, frozen=True, kw_only=True):
    """What an application sees: all of its controller or msp, or what is named."""

    sees_all: bool = False
    sites: tuple[str, ...] = ()
    """Of a controller's application."""
    customers: tuple[str, ...] = ()
    """Tenant ids, of an msp's application."""


class ApplicationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An application to register."""

    name: str
    role: str
    privilege: Privilege


class ApplicationChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change of an application; None stays as it is."""

    name: str | None = None
    role: str | None = None
    privilege: Privilege | None = None


async def act_as_application(
    live: LiveToken, client: ClientRecord, *, tenant: TenantRecord, store: Store, source: str, correlation_id: str
) -> Actor:
    """Return the application of a live token as an actor: its role permits, its privilege limits.

    Raises: StoreUnavailable.
    """
    customers = await store.tenants.customers(tenant.tenant_id) if tenant.is_msp else ()
    seen = customers if client.all_customers else set(customers) & set(client.customers)
    return Actor(
        name=f"client:{live.tenant_id}/{live.client_id}",
        permissions=permissions_of(client.role),
        tenants=frozenset({tenant.tenant_id, *seen}),
        sites=None if tenant.is_msp or client.all_sites else frozenset(client.sites),
        is_limited=not (client.all_customers if tenant.is_msp else client.all_sites),
        source=source,
        token=name_token(live),
        correlation_id=correlation_id,
    )


async def list_applications(
    administration: Administration, tenant_id: str, *, offset: int, limit: int
) -> tuple[int, list[ClientRecord]]:
    """Return how many applications there are, and some of them, by id. Raises: AdministrationError."""
    await _permit(administration, tenant_id, "clients:read")
    return await administration.store.clients.grid(tenant_id, offset, limit)


async def require_application(administration: Administration, tenant_id: str, client_id: str) -> ClientRecord:
    """Return an application. Raises: AdministrationError."""
    await _permit(administration, tenant_id, "clients:read")
    return await require_client(administration, tenant_id, client_id)


async def create_application(
    administration: Administration, tenant_id: str, request: ApplicationRequest
) -> RegisteredClient:
    """Register an application; its secret is shown this once. Raises: AdministrationError."""
    return (await create_applications(administration, tenant_id, [request]))[0]


async def create_applications(
    administration: Administration, tenant_id: str, requests: Sequence[ApplicationRequest]
) -> list[RegisteredClient]:
    """Register applications, all or none; their secrets are shown this once. Raises: AdministrationError."""
    await _permit(administration, tenant_id, "clients:write")
    for request in requests:
        require_role(administration, tenant_id, request.role)
        _require_some(request.privilege)
    clients = [_client_of(tenant_id, request) for request in requests]
    return await register_clients(administration, tenant_id, clients)


async def change_applications(
    administration: Administration, tenant_id: str, changes: Mapping[str, ApplicationChanges]
) -> None:
    """Change applications, named by their ids, all or none; their tokens die at once. Raises: AdministrationError."""
    await _permit(administration, tenant_id, "clients:write")
    given = {client_id: _read_changes(administration, tenant_id, one) for client_id, one in changes.items()}
    await change_clients(administration, tenant_id, given)


def _read_changes(administration: Administration, tenant_id: str, changes: ApplicationChanges) -> ClientChanges:
    given: dict[str, object] = {}
    if changes.role is not None:
        require_role(administration, tenant_id, changes.role)
        given["role"] = changes.role
    if changes.name is not None:
        given["client_name"] = changes.name
    if changes.privilege is not None:
        _require_some(changes.privilege)
        given |= {"all_sites": changes.privilege.sees_all, "sites": changes.privilege.sites}
        given |= {"all_customers": changes.privilege.sees_all, "customers": changes.privilege.customers}
    return msgspec.convert(given, ClientChanges)


async def remove_applications(administration: Administration, tenant_id: str, client_ids: Collection[str]) -> None:
    """Remove applications, all or none; the tokens that they have die at once. Raises: AdministrationError."""
    await _permit(administration, tenant_id, "clients:write")
    await remove_clients(administration, tenant_id, client_ids)


async def reset_application_secret(administration: Administration, tenant_id: str, client_id: str) -> Secret:
    """Replace an application's secret; the tokens that it has die at once. Raises: AdministrationError."""
    await _permit(administration, tenant_id, "clients:write")
    return await reset_secret(administration, tenant_id, client_id)


def _client_of(tenant_id: str, request: ApplicationRequest) -> ClientRequest:
    return ClientRequest(
        tenant_id=tenant_id,
        client_name=request.name,
        role=request.role,
        all_sites=request.privilege.sees_all,
        sites=request.privilege.sites,
        all_customers=request.privilege.sees_all,
        customers=request.privilege.customers,
    )


async def _permit(administration: Administration, tenant_id: str, permission: Permission) -> None:
    administration.permit(permission, tenant_id)
    tenant, actor = await administration.require_tenant(tenant_id), administration.actor
    # Who is limited to some customers of an msp sees all of each of these.
    if actor.sites is not None or (actor.is_limited and tenant.is_msp):
        raise PermissionRefused("only who sees all sites, or all customers, manages applications")


def _require_some(privilege: Privilege) -> None:
    """Make sure that a privilege says something; what it says is judged with the client. Raises: Malformed."""
    if privilege == Privilege():
        raise Malformed("privilege: wanted are either all, or some sites of a controller, or customers of an msp")
