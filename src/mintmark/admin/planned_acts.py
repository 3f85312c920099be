"""What the steps of a plan do: each calls the verbs that everybody calls, with the members that a record is to have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

from mintmark.admin.administration import Administration, Malformed
from mintmark.admin.clients import (
    ClientChanges,
    ClientRequest,
    change_client,
    disable_client,
    register_client,
    remove_client,
)
from mintmark.admin.declared_secrets import MadeForClient
from mintmark.admin.secret_planning import ONE_SECRET, Wanted, give_wanted
from mintmark.admin.sites import SiteChanges, SiteRequest, change_sites, create_site, list_sites, remove_sites
from mintmark.admin.tenants import TenantChanges, TenantRequest, change_tenant, create_tenant, suspend_tenant

SECRETS: Final = "secrets"
"""The member of a new client's step that tells whence its secrets come."""
MAX_SITES: Final = 1_000_000


async def make_tenant(
    administration: Administration, members: Mapping[str, Any], *, tenant_id: str
) -> list[MadeForClient]:
    """Create a tenant. Raises: AdministrationError, SettingsError."""
    given = dict(members)
    is_suspended = given.pop("is_suspended", False)
    await create_tenant(administration, TenantRequest(tenant_id=tenant_id, **given))
    if is_suspended:
        await suspend_tenant(administration, tenant_id, suspended=True)
    return []


async def alter_tenant(
    administration: Administration, members: Mapping[str, Any], *, tenant_id: str
) -> list[MadeForClient]:
    """Change a tenant. Raises: AdministrationError, SettingsError."""
    await change_tenant(administration, tenant_id, TenantChanges(**members))
    return []


async def make_site(
    administration: Administration, members: Mapping[str, Any], *, tenant_id: str, name: str
) -> list[MadeForClient]:
    """Make a site. Raises: AdministrationError, SettingsError."""
    await create_site(administration, tenant_id, SiteRequest(name=name, **members))
    return []


async def alter_site(
    administration: Administration, members: Mapping[str, Any], *, tenant_id: str, site_id: str
) -> list[MadeForClient]:
    """Change a site. Raises: AdministrationError, SettingsError."""
    await change_sites(administration, tenant_id, {site_id: SiteChanges(**members)})
    return []


async def drop_site(
    administration: Administration, _: Mapping[str, Any], *, tenant_id: str, site_id: str
) -> list[MadeForClient]:
    """Remove a site. Raises: AdministrationError, SettingsError."""
    await remove_sites(administration, tenant_id, [site_id])
    return []


async def make_client(
    administration: Administration,
    members: Mapping[str, Any],
    *,
    tenant_id: str,
    client_id: str,
    wanted: Sequence[Wanted],
) -> list[MadeForClient]:
    """Register a client with its secrets. Raises: AdministrationError, SettingsError."""
    given = await _with_site_ids(administration, tenant_id, members)
    is_disabled = given.pop("is_disabled", False)
    del given[SECRETS]
    first, *others = wanted
    if others and not (await administration.require_rules(tenant_id)).secrets.overlap:
        raise Malformed(ONE_SECRET)
    request = ClientRequest(
        tenant_id=tenant_id,
        client_id=client_id,
        client_secret=first.client_secret,
        secret_label=first.secret.label,
        secret_expires_at=first.secret.expires_at,
        **given,
    )
    made = await register_client(administration, request)
    told = [first.tell(made.client, made.client_secret)]
    told += [await give_wanted(administration, made.client, one) for one in others]
    if is_disabled:
        await disable_client(administration, tenant_id, client_id, disabled=True)
    return list(chain.from_iterable(told))


async def alter_client(
    administration: Administration, members: Mapping[str, Any], *, tenant_id: str, client_id: str
) -> list[MadeForClient]:
    """Change a client. Raises: AdministrationError, SettingsError."""
    given = await _with_site_ids(administration, tenant_id, members)
    is_disabled = given.pop("is_disabled", None)
    if given:
        await change_client(administration, tenant_id, client_id, ClientChanges(**given))
    if is_disabled is not None:
        await disable_client(administration, tenant_id, client_id, disabled=is_disabled)
    return []


async def drop_client(
    administration: Administration, _: Mapping[str, Any], *, tenant_id: str, client_id: str
) -> list[MadeForClient]:
    """Remove a client. Raises: AdministrationError, SettingsError."""
    await remove_client(administration, tenant_id, client_id)
    return []


async def _with_site_ids(administration: Administration, tenant_id: str, members: Mapping[str, Any]) -> dict[str, Any]:
    """Return a client's members with the ids of the sites that the file names. Raises: Malformed."""
    given = dict(members)
    if "sites" in given:
        given["sites"] = tuple([await _site_id(administration, tenant_id, name) for name in given["sites"]])
    return given


async def _site_id(administration: Administration, tenant_id: str, name: str) -> str:
    _, sites = await list_sites(administration, tenant_id, containing=name, offset=0, limit=MAX_SITES)
    found = next((site.site_id for site in sites if site.name == name), None)
    if found is None:
        raise Malformed(f"sites: there is no site {name!r}", "sites")
    return found
