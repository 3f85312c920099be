"""Sites of Omada tenants. No process keeps them in memory, so a change of a site alone raises no revision."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, func, insert, select, update

from mintmark.protocol.errors import NotFound
from mintmark.store import clients as client_rows
from mintmark.store import tenants as tenant_rows
from mintmark.store.json_text import read_object, write_json
from mintmark.store.prepared import Prepared, change
from mintmark.store.reading import Reader
from mintmark.store.records import Rewrite, SiteRecord
from mintmark.store.tables import SITE
from mintmark.store.writing import Shown, Subject, Writing

IS_SITE: Final = (SITE.c.tenant_id == bindparam("of_tenant"), SITE.c.site_id == bindparam("of_site"))

FIND: Final = select(SITE).where(*IS_SITE)
COUNT: Final = Prepared(select(func.count()).select_from(SITE).where(SITE.c.tenant_id == bindparam("of_tenant")))
FIND_SOME: Final = select(SITE).where(
    SITE.c.tenant_id == bindparam("of_tenant"), SITE.c.site_id.in_(bindparam("of_sites", expanding=True))
)
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

    async def change(self, tenant_id: str, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the fields named for each site, all or none; `details` adds to those that are there.

        Raises: NotFound, AlreadyExists (a name), StoreUnavailable.
        """
        work = partial(change_sites, tenant_id=tenant_id, changes=changes)
        await self._writing.record(work, about(tenant_id, changes))

    async def remove(self, tenant_id: str, site_ids: Collection[str]) -> None:
        """Remove sites, all or none. Raises: NotFound, StoreUnavailable."""
        work = partial(erase_sites, tenant_id=tenant_id, site_ids=site_ids)
        await self._writing.record(work, about(tenant_id, site_ids))


def read_site(connection: Connection, tenant_id: str, site_id: str) -> SiteRecord | None:
    """Return the site, or None. Raises: DBAPIError."""
    row = connection.execute(FIND, {"of_tenant": tenant_id, "of_site": site_id}).one_or_none()
    return site_from_row(row) if row else None


def read_sites(connection: Connection, tenant_id: str, site_ids: Collection[str]) -> dict[str, SiteRecord]:
    """Return those of the sites that are there, by id. Raises: DBAPIError."""
    rows = connection.execute(FIND_SOME, {"of_tenant": tenant_id, "of_sites": list(site_ids)})
    return {row.site_id: site_from_row(row) for row in rows}


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
    tenant_rows.change_tenant(connection, Rewrite(tenant_id, bump=True))
    for client in clients:
        client_rows.change_client(connection, named=client_rows.Named(*client, None), changes={}, bump=True)


def change_sites(connection: Connection, *, tenant_id: str, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Update the named columns. Raises: NotFound, DBAPIError."""
    found = require_sites(connection, tenant_id, changes)
    rows = []
    for site_id, named in changes.items():
        details = {**found[site_id].details, **named.get("details", {})}
        after = msgspec.structs.replace(found[site_id], **{**named, "details": details})
        values = {name: write(getattr(after, name)) for name, write in CHANGEABLE.items()}
        rows.append({**values, "of_tenant": tenant_id, "of_site": site_id})
    change(connection, CHANGE, *rows)


def erase_sites(connection: Connection, *, tenant_id: str, site_ids: Collection[str]) -> None:
    """Delete the sites. Raises: NotFound, DBAPIError."""
    require_sites(connection, tenant_id, site_ids)
    change(connection, REMOVE, *({"of_tenant": tenant_id, "of_site": site_id} for site_id in site_ids))


def require_sites(connection: Connection, tenant_id: str, site_ids: Collection[str]) -> dict[str, SiteRecord]:
    """Return the sites, by id. Raises: NotFound, DBAPIError."""
    found = read_sites(connection, tenant_id, site_ids)
    if missing := set(site_ids) - set(found):
        raise NotFound(f"no sites {sorted(missing)} in tenant {tenant_id}")
    return found


class Look:
    """What is to be recorded of several sites, read at one look: when the first of them is asked for."""

    def __init__(self, tenant_id: str, site_ids: Collection[str]) -> None:
        self._tenant_id = tenant_id
        self._site_ids = list(site_ids)
        self._found: dict[str, SiteRecord] = {}

    def show(self, connection: Connection, *, site_id: str) -> Shown | None:
        """Return what the audit log says of a site, or None. Raises: DBAPIError."""
        if site_id == self._site_ids[0]:
            self._found = read_sites(connection, self._tenant_id, self._site_ids)
        found = self._found.get(site_id)
        return msgspec.structs.asdict(found) if found else None


def about(tenant_id: str, site_ids: Collection[str]) -> list[Subject]:
    """Return sites as what a change is about."""
    look = Look(tenant_id, site_ids)
    return [Subject("site", tenant_id, site_id, partial(look.show, site_id=site_id)) for site_id in site_ids]


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


def site_from_row(row: Row[*tuple[Any, ...]]) -> SiteRecord:
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
