"""What an application of an Omada tenant may do and see: a client's role, and the sites or customers that it names.

A client may have neither. A controller's sees sites, an msp's customers: all of them, or those that it names.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from mintmark.admin.administration import Administration, Malformed
from mintmark.admin.roles import find_role
from mintmark.store.records import ClientRecord, TenantRecord

PRIVILEGES: Final = frozenset({"role", "all_sites", "sites", "all_customers", "customers"})
"""The members of a client that say it."""
MAX_NAMED: Final = 1000
"""Sites or customers that a client may name."""


async def check_privileges(
    administration: Administration, tenant: TenantRecord, client: ClientRecord, given: Collection[str] = PRIVILEGES
) -> None:
    """Check the privileges of a client as it is to be.

    Args:
        given: the members that are said anew. What another names may be gone since, and counts for nothing.

    Raises: Malformed.
    """
    if client.role:
        find_role(client.role)
    key, foreign = ("customers", "sites") if tenant.is_msp else ("sites", "customers")
    if foreign in given and getattr(client, foreign):
        raise Malformed(f"{foreign}: what this tenant's clients name are {key}", foreign)
    named = frozenset(getattr(client, key))
    if named and (getattr(client, f"all_{key}") or len(named) > MAX_NAMED):
        raise Malformed(f"{key}: wanted are either all_{key}, or up to {MAX_NAMED} that are named", key)
    if named and key in given and not await _are_there(administration, tenant, named):
        raise Malformed(f"{key}: it names what is not there", key)


async def _are_there(administration: Administration, tenant: TenantRecord, named: frozenset[str]) -> bool:
    if tenant.is_msp:
        customers = await administration.store.tenants.customers(tenant.tenant_id)
        return named <= set(filter(administration.actor.reaches, customers))
    sites = administration.store.sites
    found, _ = await sites.page(tenant.tenant_id, only=named, containing="", offset=0, limit=1)
    return found == len(named)
