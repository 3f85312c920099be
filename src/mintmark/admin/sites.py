"""Verbs on the sites of Omada tenants: list, create, change, remove, copy, import.

An application that is limited to some sites sees and touches these alone. Whoever is so limited makes no new ones: they
would be beyond its reach.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from mintmark.admin.administration import (
    Administration,
    LimitReached,
    Malformed,
    Missing,
    PermissionRefused,
    Taken,
)
from mintmark.admin.permissions import Permission
from mintmark.protocol.errors import AlreadyExists, NotFound
from mintmark.store.records import ClientRecord, SiteRecord

SITE_ID_OCTETS: Final = 12
MAX_NAME_LENGTH: Final = 64
MAX_DETAILS_OCTETS: Final = 16 * 1024
MAX_DETAILS_DEPTH: Final = 16
"""Levels of objects and arrays in each other. Whoever reads details later may recurse."""
MAX_NEW_OCTETS: Final = 1024 * 1024
"""Details of all the sites together that one act makes: a copy multiplies them, and the audit log holds them again."""
CLIENTS_A_PAGE: Final = 1000
NAMES_SHOWN: Final = 5


class SiteOutOfReach(PermissionRefused):
    """The site is not among those that the actor is limited to, whether it is there or not."""


class SiteRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A site to make."""

    name: str
    """1 to 64 characters, unlike those of the tenant's other sites."""
    region: str
    time_zone: str
    scenario: str
    site_type: int = 0
    details: Mapping[str, Any] = {}
    """What else the vendor's system knows of a site: kept and given back as it is."""


class SiteChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change of a site; None stays as it is, and so do details that are not named."""

    name: str | None = None
    region: str | None = None
    time_zone: str | None = None
    scenario: str | None = None
    details: Mapping[str, Any] = {}


async def list_sites(
    administration: Administration, tenant_id: str, *, containing: str = "", offset: int, limit: int
) -> tuple[int, list[SiteRecord]]:
    """Return how many sites the actor may see whose name contains a text, and some of them, by name.

    Raises: AdministrationError.
    """
    administration.permit("sites:read", tenant_id)
    return await administration.store.sites.page(
        tenant_id, only=administration.actor.sites, containing=containing, offset=offset, limit=limit
    )


async def require_site(administration: Administration, tenant_id: str, site_id: str) -> SiteRecord:
    """Return a site. Raises: AdministrationError."""
    return await _require_site(administration, tenant_id, site_id, permission="sites:read")


async def create_site(administration: Administration, tenant_id: str, request: SiteRequest) -> SiteRecord:
    """Make a site. Raises: AdministrationError."""
    return (await create_sites(administration, tenant_id, [request]))[0]


async def create_sites(
    administration: Administration, tenant_id: str, requests: Sequence[SiteRequest]
) -> list[SiteRecord]:
    """Make sites, all or none. Raises: AdministrationError."""
    _permit_new(administration, tenant_id)
    sites = _new_sites(administration, tenant_id, requests)
    try:
        await administration.acting("create_site").sites.add(sites)
    except AlreadyExists as error:
        raise _taken(requests) from error
    except NotFound as error:
        raise Missing(f"there is no tenant {tenant_id!r}") from error
    return sites


async def change_sites(administration: Administration, tenant_id: str, changes: Mapping[str, SiteChanges]) -> None:
    """Change sites, named by their ids, all or none. Raises: AdministrationError."""
    _permit_some(administration, tenant_id, changes, permission="sites:write")
    given = {site_id: _given(one) for site_id, one in changes.items()}
    try:
        await administration.acting("change_site").sites.change(tenant_id, given)
    except AlreadyExists as error:
        raise _taken(list(changes.values())) from error
    except NotFound as error:
        raise _no_site(changes) from error


async def remove_sites(administration: Administration, tenant_id: str, site_ids: Collection[str]) -> None:
    """Remove sites, all or none. Raises: AdministrationError."""
    _permit_some(administration, tenant_id, site_ids, permission="sites:write")
    try:
        await administration.acting("remove_site").sites.remove(tenant_id, site_ids)
    except NotFound as error:
        raise _no_site(site_ids) from error


async def copy_site(
    administration: Administration, tenant_id: str, site_id: str, *, names: Sequence[str]
) -> list[SiteRecord]:
    """Make sites like one that is there, all or none; the tokens of the applications concerned die at once.

    Raises: AdministrationError.
    """
    _permit_new(administration, tenant_id)
    site = await _require_site(administration, tenant_id, site_id, permission="sites:write")
    copied = ("region", "time_zone", "scenario", "site_type", "details")
    common = {name: getattr(site, name) for name in copied}
    requests = [SiteRequest(name=name, **common) for name in names]
    return await _add_ending_tokens(administration, tenant_id, requests, verb="copy_site")


async def import_sites(
    administration: Administration, tenant_id: str, requests: Sequence[SiteRequest]
) -> list[SiteRecord]:
    """Make sites that were exported elsewhere, all or none; the tokens of the applications concerned die at once.

    Raises: AdministrationError.
    """
    _permit_new(administration, tenant_id)
    return await _add_ending_tokens(administration, tenant_id, requests, verb="import_sites")


def _permit_new(administration: Administration, tenant_id: str) -> None:
    administration.permit("sites:write", tenant_id)
    if administration.actor.sites is not None:
        raise SiteOutOfReach("who is limited to some sites makes no new ones")


def _permit_some(
    administration: Administration, tenant_id: str, site_ids: Collection[str], *, permission: Permission
) -> None:
    administration.permit(permission, tenant_id)
    own = administration.actor.sites
    if own is not None and not own >= set(site_ids):
        raise SiteOutOfReach(f"beyond reach: {_named(site_ids)}")


def _given(changes: SiteChanges) -> dict[str, Any]:
    if changes.name is not None:
        _check_name(changes.name)
    _check_details(changes.details)
    return {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not None}


async def _require_site(
    administration: Administration, tenant_id: str, site_id: str, *, permission: Permission
) -> SiteRecord:
    _permit_some(administration, tenant_id, [site_id], permission=permission)
    site = await administration.store.sites.find(tenant_id, site_id)
    if site is None:
        raise _no_site([site_id])
    return site


async def _add_ending_tokens(
    administration: Administration, tenant_id: str, requests: Sequence[SiteRequest], *, verb: str
) -> list[SiteRecord]:
    sites = _new_sites(administration, tenant_id, requests)
    concerned = await _msp_clients_of(administration, tenant_id)
    try:
        await administration.acting(verb).sites.add_ending_tokens(sites, concerned)
    except AlreadyExists as error:
        raise _taken(requests) from error
    except NotFound as error:
        raise Missing(f"tenant {tenant_id!r} or an application was removed meanwhile") from error
    return sites


async def _msp_clients_of(administration: Administration, tenant_id: str) -> list[tuple[str, str]]:
    """Return the msp's applications that may see this customer: its sites are theirs, too."""
    tenant = await administration.require_tenant(tenant_id)
    if tenant.msp_id is None:
        return []
    concerned: list[tuple[str, str]] = []
    after = ""
    while page := await administration.store.clients.page(tenant.msp_id, after, CLIENTS_A_PAGE):
        concerned += [(one.tenant_id, one.client_id) for one in page if sees_customer(one, tenant_id)]
        after = page[-1].client_id
    return concerned


def sees_customer(client: ClientRecord, tenant_id: str) -> bool:
    """Tell whether an msp's application may see a customer."""
    return client.all_customers or tenant_id in client.customers


def _new_sites(administration: Administration, tenant_id: str, requests: Sequence[SiteRequest]) -> list[SiteRecord]:
    sites, octets = [], 0
    for request in requests:
        _check_name(request.name)
        octets += _check_details(request.details)
        if octets > MAX_NEW_OCTETS:
            raise LimitReached(f"details: those of all sites that one call makes may have {MAX_NEW_OCTETS} octets")
        site_id = secrets.token_hex(SITE_ID_OCTETS)
        members = msgspec.structs.asdict(request)
        sites.append(SiteRecord(tenant_id=tenant_id, site_id=site_id, created_at=administration.now(), **members))
    return sites


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise Malformed(f"name {name[:MAX_NAME_LENGTH]!r}: wanted are 1 to {MAX_NAME_LENGTH} characters", "name")


def _check_details(details: Mapping[str, Any]) -> int:
    """Return how many octets the details are as JSON. Raises: Malformed."""
    if not is_within(details, MAX_DETAILS_DEPTH):
        raise Malformed(f"details: wanted are at most {MAX_DETAILS_DEPTH} levels in each other", "details")
    octets = len(msgspec.json.encode(details))
    if octets > MAX_DETAILS_OCTETS:
        raise Malformed(f"details: wanted are up to {MAX_DETAILS_OCTETS} octets of JSON", "details")
    return octets


def is_within(value: object, levels: int) -> bool:
    """Tell whether a JSON value has at most so many levels of objects and arrays in each other."""
    if not isinstance(value, Mapping | list | tuple):
        return True
    inner = value.values() if isinstance(value, Mapping) else value
    return levels > 0 and all(is_within(one, levels - 1) for one in inner)


def _taken(sites: Sequence[SiteRequest | SiteChanges]) -> Taken:
    names = ", ".join(repr(site.name) for site in sites[:NAMES_SHOWN])
    return Taken(f"there is a site with such a name already: {names}")


def _no_site(site_ids: Collection[str]) -> Missing:
    return Missing(f"there is no such site: {_named(site_ids)}")


def _named(site_ids: Collection[str]) -> str:
    return ", ".join(map(repr, islice(site_ids, NAMES_SHOWN)))
