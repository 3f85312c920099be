"""Verbs on an msp's customers: list, create, change, remove.

A customer is a tenant of its msp's dialect. Its sites and applications are its own; the msp's applications see it where
their privilege says so.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from mintmark.admin.administration import Administration, LimitReached, Malformed, Missing, PermissionRefused, Taken
from mintmark.admin.tenants import TenantRequest, create_tenants, prefix_issuer, remove_tenants
from mintmark.protocol.errors import AlreadyExists, NotFound
from mintmark.store.records import Rewrite, TenantRecord

MAX_NAME_LENGTH: Final = 31
MAX_DESCRIPTION_LENGTH: Final = 128
TENANT_ID_OCTETS: Final = 8
CUSTOMER_RULES: Final = {"alg": "ES256"}
"""Its tokens are opaque. The key is for documents alone, and an RSA key would hold up the process while it is made."""


class CustomerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A customer to make."""

    name: str
    """1 to 31 characters, unlike those of the msp's other customers."""
    description: str = ""
    """Up to 128 characters."""


class CustomerChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change of a customer; None stays as it is."""

    name: str | None = None
    description: str | None = None


async def list_customers(
    administration: Administration, msp_id: str, *, containing: str = "", offset: int, limit: int
) -> tuple[int, list[TenantRecord]]:
    """Return how many customers the actor sees whose name contains a text, and some of them, by name.

    Raises: AdministrationError.
    """
    administration.permit("tenants:read", msp_id)
    seen = [one for one in await _customers(administration, msp_id) if containing.lower() in one.title.lower()]
    return len(seen), sorted(seen, key=lambda one: (one.title, one.tenant_id))[offset : offset + limit]


async def require_customer(administration: Administration, msp_id: str, customer_id: str) -> TenantRecord:
    """Return a customer by its identifier, as messages name it. Raises: AdministrationError."""
    administration.permit("tenants:read", msp_id)
    return await _require_customer(administration, msp_id, customer_id)


async def customer_identifiers(administration: Administration, msp_id: str) -> Mapping[str, str]:
    """Return the identifiers, as messages name them, of the customers that the actor sees, by tenant id.

    Raises: AdministrationError.
    """
    administration.permit("tenants:read", msp_id)
    return {one.tenant_id: one.identifier or "" for one in await _customers(administration, msp_id)}


async def create_customer(administration: Administration, msp_id: str, request: CustomerRequest) -> TenantRecord:
    """Make a customer. Raises: AdministrationError."""
    return (await create_customers(administration, msp_id, [request]))[0]


async def create_customers(
    administration: Administration, msp_id: str, requests: Sequence[CustomerRequest]
) -> list[TenantRecord]:
    """Make customers, all or none. Raises: AdministrationError."""
    msp = await _permit_change(administration, msp_id)
    if administration.actor.is_limited:
        raise PermissionRefused("who is limited to some customers makes no new ones")
    for request in requests:
        _check(request.name, request.description)
        await _require_free_name(administration, msp_id, request.name)
    return await create_tenants(administration, [_tenant_of(msp, request) for request in requests])


def _tenant_of(msp: TenantRecord, request: CustomerRequest) -> TenantRequest:
    tenant_id = f"customer-{secrets.token_hex(TENANT_ID_OCTETS)}"
    return TenantRequest(
        tenant_id=tenant_id,
        dialect=msp.dialect,
        issuer=prefix_issuer(msp, tenant_id),
        token_rules=CUSTOMER_RULES,
        msp_id=msp.tenant_id,
        title=request.name,
        description=request.description,
    )


async def change_customers(administration: Administration, msp_id: str, changes: Mapping[str, CustomerChanges]) -> None:
    """Change what customers are called, named by their identifiers, all or none. Raises: AdministrationError."""
    await _permit_change(administration, msp_id)
    rewrites = [await _judge_changes(administration, msp_id, *one) for one in changes.items()]
    try:
        await administration.acting("change_customer").tenants.change_some(rewrites)
    except AlreadyExists as error:
        raise _taken(*(rewrite.changes["title"] for rewrite in rewrites)) from error
    except NotFound as error:
        raise _no_customer(*changes) from error


async def _judge_changes(
    administration: Administration, msp_id: str, customer_id: str, changes: CustomerChanges
) -> Rewrite:
    customer = await _require_customer(administration, msp_id, customer_id)
    title = customer.title if changes.name is None else changes.name
    description = customer.description if changes.description is None else changes.description
    _check(title, description)
    if title != customer.title:
        await _require_free_name(administration, msp_id, title)
    return Rewrite(customer.tenant_id, {"title": title, "description": description})


async def remove_customers(administration: Administration, msp_id: str, customer_ids: Collection[str]) -> None:
    """Remove customers that have no sites any more, with their applications, all or none.

    Raises: AdministrationError.
    """
    await _permit_change(administration, msp_id)
    customers = [await _require_customer(administration, msp_id, one) for one in customer_ids]
    for customer in customers:
        if await administration.store.sites.count(customer.tenant_id):
            raise LimitReached(f"customer {customer.identifier!r} has sites; remove them first")
    await remove_tenants(administration, customers)


async def _permit_change(administration: Administration, msp_id: str) -> TenantRecord:
    administration.permit("tenants:write", msp_id)
    msp = await administration.require_tenant(msp_id)
    if not msp.is_msp:
        raise Missing(f"tenant {msp_id!r} is no msp")
    return msp


async def _customers(administration: Administration, msp_id: str) -> list[TenantRecord]:
    """Return the msp's customers that the actor reaches."""
    customers = await administration.store.tenants.list_customers(msp_id)
    return [one for one in customers if administration.actor.reaches(one.tenant_id)]


async def _require_customer(administration: Administration, msp_id: str, customer_id: str) -> TenantRecord:
    customer = await administration.store.tenants.find_identifier(customer_id)
    if customer is None or customer.msp_id != msp_id or not administration.actor.reaches(customer.tenant_id):
        raise _no_customer(customer_id)
    return customer


async def _require_free_name(administration: Administration, msp_id: str, name: str) -> None:
    """All customers' names count, also of those beyond the actor's reach."""
    if await administration.store.tenants.find_customer(msp_id, name) is not None:
        raise _taken(name)


def _check(name: str, description: str) -> None:
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise Malformed(f"name: wanted are 1 to {MAX_NAME_LENGTH} characters", "name")
    if len(description) > MAX_DESCRIPTION_LENGTH:
        raise Malformed(f"description: wanted are up to {MAX_DESCRIPTION_LENGTH} characters", "description")


def _taken(*names: str) -> Taken:
    return Taken(f"there is a customer with the name {', '.join(map(repr, names))} already")


def _no_customer(*customer_ids: str) -> Missing:
    return Missing(f"there is no customer {', '.join(map(repr, customer_ids))}")
