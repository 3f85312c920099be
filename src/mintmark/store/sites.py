"""Sites of Omada tenants. No process keeps them in memory, so a change of a site alone raises no revision."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

import msgspec
from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, select, update

from mintmark.protocol.errors import NotFound
from mintmark.store import clients as client_rows
from mintmark.store import tenants as tenant_rows
from mintmark.store.json_text import read_object, write_json
from mintmark.store.prepared import Prepared, change
from mintmark.store.reading import Reader
from mintmark.store.records import SiteRecord
from mintmark.store.tables import SITE
from mintmark.store.writing import Shown, Subject, Writing

IS_SITE: Final = (SITE.c.tenant_id == bindparam("of_tenant"), SITE.c.site_id == bindparam("of_site"))

FIND: Final = Prepared(select(SITE).where(*IS_SITE))
# Its fields are the statement's columns, which a type checker cannot know.
SiteRow: Final[Any] = namedtuple("SiteRow", [one.name for one in SITE.c])  # type: ignore[misc]
COUNT: Final = Prepared(select(func.count()).select_from(SITE).where(SITE.c.tenant_id == bindparam("of_tenant")))
ADD: Final = insert(SITE)
CHANGE: Final = update(SITE).where(*IS_SITE).values(version=SITE.c.version + 1)
REMOVE: Final = delete(SITE).where(*IS_SITE)

CHANGEABLE: Final[Mapping[str, Callable[[Any], object]]] = {
    "name": str,
    "region": str,
    "time_zone": str,
    "scenario": str,
    "site_type": int,
    "details": write_json,
}
"""The columns that a change may name, and how each is written."""


class SqlSites:
    """Implements `interface.SiteStore`."""

    def __init__(self, reader: Reader, writing: Writing) -> None:
        self._reader = reader
        self._writing = writing

    async def add(self, sites: Sequence[SiteRecord]) -> None:
        """Add sites, all or none. Raises: AlreadyExists (an id or name), NotFound (the tenant), StoreUnavailable."""
        await self._writing.record(partial(write_sites, sites=sites), [new(site) for site in sites])

    async def add_ending_tokens(self, sites: Sequence[SiteRecord], clients: Collection[tuple[str, str]]) -> None:
        """Add sites of one tenant and end the tokens of all its clients, and of some of its msp's, at once.

        Raises: AlreadyExists (an id or name), NotFound (the tenant, a client), StoreUnavailable.
        """
        tenant_id = sites[0].tenant_id
        subjects = [new(site) for site in sites] + [tenant_rows.about(tenant_id)]
        subjects += [client_rows.about(*client) for client in clients]
        work = partial(write_ending_tokens, sites=sites, tenant_id=tenant_id, clients=clients)
        await self._writing.change(work, *subjects)

    async def find(self, tenant_id: str, site_id: str) -> SiteRecord | None:
        """Return the site, or None. Raises: StoreUnavailable."""
        return await self._reader.run(read_site, tenant_id, site_id)

    async def count(self, tenant_id: str) -> int:
        """Return how many sites a tenant has. Raises: StoreUnavailable."""
        return cast(int, (await self._reader.run(COUNT.rows, tenant_id))[0][0])

    async def page(
        self,
        tenant_id: str,
        *,
        only: Collection[str] | None,
        containing: str,
        offset: int,
        limit: int,
    ) -> tuple[int, list[SiteRecord]]:
        """Return how many sites there are, and `limit` of them by name from an offset on. Raises: StoreUnavailable."""
        chosen = [SITE.c.tenant_id == tenant_id]
        if only is not None:
            chosen.append(SITE.c.site_id.in_(list(only)))
        if containing:
            chosen.append(SITE.c.name.icontains(containing, autoescape=True))
        return await self._reader.run(read_page, chosen, offset, limit)

    async def change(self, tenant_id: str, site_id: str, changes: Mapping[str, Any]) -> None:
        """Write the named fields; `details` adds to those that are there.

        Raises: NotFound, AlreadyExists (a name), StoreUnavailable.
        """
        work = partial(change_site, tenant_id=tenant_id, site_id=site_id, changes=changes)
        await self._writing.record(work, [about(tenant_id, site_id)._replace(show_result=msgspec.structs.asdict)])

    async def remove(self, tenant_id: str, site_id: str) -> None:
        """Remove the site. Raises: NotFound, StoreUnavailable."""
        work = partial(erase_site, tenant_id=tenant_id, site_id=site_id)
        await self._writing.record(work, [about(tenant_id, site_id)])


def read_site(connection: Connection, tenant_id: str, site_id: str) -> SiteRecord | None:
    """Return the site, or None. Raises: DBAPIError."""
    rows = FIND.rows(connection, tenant_id, site_id)
    return site_from_row(SiteRow._make(rows[0])) if rows else None


def read_page(
    connection: Connection, chosen: Sequence[ColumnElement[bool]], offset: int, limit: int
) -> tuple[int, list[SiteRecord]]:
    """Count the sites of these conditions, and return a page of them by name. Raises: DBAPIError."""
    total = connection.execute(select(func.count()).select_from(SITE).where(*chosen)).scalar_one()
    page = select(SITE).where(*chosen).order_by(SITE.c.name, SITE.c.site_id).offset(offset).limit(limit)
    return total, [site_from_row(row) for row in connection.execute(page)]


def write_sites(connection: Connection, *, sites: Sequence[SiteRecord]) -> None:
    """Insert the sites. Raises: DBAPIError."""
    change(connection, ADD, *map(site_values, sites))


def write_ending_tokens(
    connection: Connection, *, sites: Sequence[SiteRecord], tenant_id: str, clients: Collection[tuple[str, str]]
) -> None:
    """Insert the sites, and give the tenant and these clients new generations. Raises: NotFound, DBAPIError."""
    write_sites(connection, sites=sites)
    tenant_rows.change_tenant(connection, tenant_id=tenant_id, changes={}, bump=True, if_version=None)
    for client in clients:
        client_rows.change_client(connection, named=client_rows.Named(*client, None), changes={}, bump=True)


def change_site(connection: Connection, *, tenant_id: str, site_id: str, changes: Mapping[str, Any]) -> SiteRecord:
    """Update the named columns, and return the site as it is then. Raises: NotFound, DBAPIError."""
    before = require_site(connection, tenant_id, site_id)
    details = {**before.details, **changes.get("details", {})}
    after = msgspec.structs.replace(before, **{**changes, "details": details, "version": before.version + 1})
    values = {name: write(getattr(after, name)) for name, write in CHANGEABLE.items()}
    change(connection, CHANGE, {**values, "of_tenant": tenant_id, "of_site": site_id})
    return after


def erase_site(connection: Connection, *, tenant_id: str, site_id: str) -> None:
    """Delete the site. Raises: NotFound, DBAPIError."""
    if change(connection, REMOVE, {"of_tenant": tenant_id, "of_site": site_id}) == 0:
        raise no_site(tenant_id, site_id)


def require_site(connection: Connection, tenant_id: str, site_id: str) -> SiteRecord:
    """Return the site. Raises: NotFound, DBAPIError."""
    found = read_site(connection, tenant_id, site_id)
    if found is None:
        raise no_site(tenant_id, site_id)
    return found


def no_site(tenant_id: str, site_id: str) -> NotFound:
    """Return the error of a site that is not there."""
    return NotFound(f"no site {site_id} in tenant {tenant_id}")


def about(tenant_id: str, site_id: str) -> Subject:
    """Return the site as what a change is about."""
    return Subject("site", tenant_id, site_id, partial(show_site, tenant_id=tenant_id, site_id=site_id))


def show_site(connection: Connection, *, tenant_id: str, site_id: str) -> Shown | None:
    """Return what the audit log says of a site, or None. Raises: DBAPIError."""
    found = read_site(connection, tenant_id, site_id)
    return None if found is None else msgspec.structs.asdict(found)


def new(site: SiteRecord) -> Subject:
    """Return a site that is about to be added as what a change is about: what is added is what will be there."""
    return Subject("site", site.tenant_id, site.site_id, lambda _: msgspec.structs.asdict(site), is_new=True)


def site_values(site: SiteRecord) -> dict[str, object]:
    """Return the values of a new site's columns."""
    return {
        "tenant_id": site.tenant_id,
        "site_id": site.site_id,
        "created_at": site.created_at,
        "version": 1,
        **{name: write(getattr(site, name)) for name, write in CHANGEABLE.items()},
    }


def site_from_row(row: Any) -> SiteRecord:
    """Return the site of a row."""
    return SiteRecord(
        tenant_id=row.tenant_id,
        site_id=row.site_id,
        name=row.name,
        region=row.region,
        time_zone=row.time_zone,
        scenario=row.scenario,
        site_type=row.site_type,
        details=read_object(row.details),
        created_at=row.created_at,
        version=row.version,
    )
