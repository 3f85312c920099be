"""Tenants and their hosts."""

from __future__ import annotations

import builtins
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, cast

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mintmark.protocol.errors import NotFound, StaleVersion
from mintmark.store.deployment import new_generation
from mintmark.store.json_text import read_object, write_json
from mintmark.store.keys import write_keys
from mintmark.store.prepared import Prepared, change
from mintmark.store.reading import Reader
from mintmark.store.records import KeyRecord, Rewrite, TenantRecord
from mintmark.store.tables import REUSE_SLOT, TENANT, TENANT_HOST
from mintmark.store.writing import Change, Noun, Shown, Subject, Writing

ADD: Final = insert(TENANT)
ADD_HOSTS: Final = insert(TENANT_HOST)
REMOVE_HOSTS: Final = delete(TENANT_HOST).where(TENANT_HOST.c.tenant_id == bindparam("of_tenant"))
IS_TENANT: Final = TENANT.c.tenant_id == bindparam("of_tenant")
CHANGE: Final = update(TENANT).where(IS_TENANT).values(version=TENANT.c.version + 1)
REMOVE: Final = delete(TENANT).where(IS_TENANT)
REMOVE_SLOTS: Final = delete(REUSE_SLOT).where(REUSE_SLOT.c.tenant_id == bindparam("of_tenant"))
# One statement, so that a tenant is never read between its row and its hosts.
LIST: Final = (
    select(TENANT, TENANT_HOST.c.host)
    .outerjoin(TENANT_HOST, TENANT_HOST.c.tenant_id == TENANT.c.tenant_id)
    .order_by(TENANT.c.tenant_id, TENANT_HOST.c.position)
)
LIST_ALL: Final = Prepared(LIST)
FIND: Final = Prepared(LIST.where(IS_TENANT))
FIND_IDENTIFIER: Final = Prepared(LIST.where(TENANT.c.identifier == bindparam("of_identifier")))
FIND_NAMED: Final = Prepared(
    LIST.where(
        IS_TENANT | (TENANT.c.issuer == bindparam("of_issuer")) | (TENANT.c.identifier == bindparam("of_identifier"))
    )
)
FIND_HOST: Final = Prepared(
    LIST.where(
        TENANT.c.tenant_id.in_(select(TENANT_HOST.c.tenant_id).where(TENANT_HOST.c.host == bindparam("of_host")))
    )
)
FIND_DEFAULT: Final = Prepared(LIST.where(TENANT.c.is_default))
FIND_ADMINISTRATIVE: Final = Prepared(LIST.where(TENANT.c.is_administrative))
FIND_CUSTOMER: Final = Prepared(
    LIST.where(TENANT.c.msp_id == bindparam("of_msp"), TENANT.c.title == bindparam("of_title"))
)
LIST_CUSTOMERS: Final = Prepared(LIST.where(TENANT.c.msp_id == bindparam("of_msp")))
# Its fields are the statements' columns, which a type checker cannot know.
TenantRow: Final[Any] = namedtuple("TenantRow", [one.name for one in LIST.selected_columns])  # type: ignore[misc]
ON_PAGE: Final = (
    select(TENANT)
    .where(TENANT.c.tenant_id > bindparam("after"))
    .order_by(TENANT.c.tenant_id)
    .limit(bindparam("at_most"))
    .subquery()
)
PAGE: Final = (
    select(ON_PAGE, TENANT_HOST.c.host)
    .outerjoin(TENANT_HOST, TENANT_HOST.c.tenant_id == ON_PAGE.c.tenant_id)
    .order_by(ON_PAGE.c.tenant_id, TENANT_HOST.c.position)
)
CUSTOMER_IDS: Final = Prepared(
    select(TENANT.c.tenant_id).where(TENANT.c.msp_id == bindparam("of_msp")).order_by(TENANT.c.tenant_id)
)

CHANGEABLE: Final[Mapping[str, Callable[[Any], object]]] = {
    "dialect": str,
    "issuer": str,
    "identifier": lambda name: name,
    "is_default": bool,
    "is_suspended": bool,
    "token_rules": write_json,
    "title": str,
    "description": str,
    "is_administrative": bool,
    "is_msp": bool,
    "msp_id": lambda name: name,
    "allows_registration": bool,
}
"""The columns that a change may name, and how each is written. It may name `hosts`, too, which are rows."""


class SqlTenants:
    """Implements `interface.TenantStore`."""

    def __init__(self, reader: Reader, writing: Writing) -> None:
        self._reader = reader
        self._writing = writing

    async def add(self, tenant: TenantRecord, keys: Sequence[KeyRecord]) -> None:
        """Add a tenant and its first keys in one transaction.

        Raises: AlreadyExists (id, host, identifier, default, a key), NotFound (the msp), StoreUnavailable.
        """
        await self.add_some([(tenant, keys)])

    async def add_some(self, made: Sequence[tuple[TenantRecord, Sequence[KeyRecord]]]) -> None:
        """Add tenants, each with its first keys, all or none. Raises: as `add`."""
        await self._writing.change_rows(TENANTS, partial(write_tenants, made=made))

    async def find(self, tenant_id: str) -> TenantRecord | None:
        """Return the tenant, or None. Raises: StoreUnavailable."""
        return await self._reader.run(read_tenant, tenant_id)

    async def find_identifier(self, identifier: str) -> TenantRecord | None:
        """Return the tenant that messages name so, or None. Raises: StoreUnavailable."""
        found = await self._reader.run(read_tenants, FIND_IDENTIFIER, identifier)
        return found[0] if found else None

    async def list(self) -> list[TenantRecord]:
        """Return all tenants, by id. Raises: StoreUnavailable."""
        return await self._reader.run(read_tenants, LIST_ALL)

    async def page(self, after: str, limit: int) -> builtins.list[TenantRecord]:
        """Return up to `limit` tenants whose id sorts after `after`, by id. Raises: StoreUnavailable."""
        return await self._reader.run(read_page, after, limit)

    async def customers(self, msp_id: str) -> tuple[str, ...]:
        """Return the ids of an msp's customers, in order. Raises: StoreUnavailable."""
        return await self._reader.run(read_customers, msp_id)

    async def rivals(self, tenant: TenantRecord) -> builtins.list[TenantRecord]:
        """Return the tenants that have a name or place of this one; also it. Raises: StoreUnavailable."""
        return await self._reader.run(read_rivals, tenant)

    async def find_customer(self, msp_id: str, title: str) -> TenantRecord | None:
        """Return the msp's customer of this name, or None. Raises: StoreUnavailable."""
        found = await self._reader.run(read_tenants, FIND_CUSTOMER, msp_id, title)
        return found[0] if found else None

    async def list_customers(self, msp_id: str) -> builtins.list[TenantRecord]:
        """Return an msp's customers, by id. Raises: StoreUnavailable."""
        return await self._reader.run(read_tenants, LIST_CUSTOMERS, msp_id)

    async def change(
        self, tenant_id: str, changes: Mapping[str, Any], *, bump: bool = False, if_version: int | None = None
    ) -> TenantRecord:
        """Write the named fields, and with `bump` a new generation; return the tenant as it is then.

        Raises: NotFound, StaleVersion, AlreadyExists (a host, identifier or default of another), StoreUnavailable.
        """
        return (await self.change_some([Rewrite(tenant_id, changes, bump, if_version)]))[0]

    async def change_some(self, rewrites: Sequence[Rewrite]) -> builtins.list[TenantRecord]:
        """Do what as many calls of `change` do one after the other, all or none. Raises: as `change`."""
        changes = await self._writing.change_rows(TENANTS, partial(change_tenants, rewrites=rewrites))
        return [cast(TenantRecord, change.after) for change in changes]

    async def remove(self, tenant_id: str, *, if_version: int | None = None) -> None:
        """Remove the tenant with its clients, secrets and keys. Raises: NotFound, StaleVersion, StoreUnavailable."""
        await self.remove_these({tenant_id: if_version})

    async def remove_these(self, versions: Mapping[str, int | None]) -> None:
        """Remove tenants, named with the version that each must be of, all or none. Raises: as `remove`."""
        await self._writing.change_rows(TENANTS, partial(erase_tenants, versions=versions))

    async def bump_generation(self, tenant_id: str) -> None:
        """Give the tenant a new generation. Raises: NotFound, StoreUnavailable."""
        await self.change(tenant_id, {}, bump=True)


def read_tenant(connection: Connection, tenant_id: str) -> TenantRecord | None:
    """Return the tenant, or None: every verb begins with this look. Raises: DBAPIError."""
    found = read_tenants(connection, FIND, tenant_id)
    return found[0] if found else None


def read_tenants(connection: Connection, statement: Prepared, *values: object) -> list[TenantRecord]:
    """Return the tenants that the statement finds, whose rows repeat for each host. Raises: DBAPIError."""
    return group_rows(map(TenantRow._make, statement.rows(connection, *values)))


def read_rivals(connection: Connection, tenant: TenantRecord) -> list[TenantRecord]:
    """Return the tenants that have a name or place of this one, each perhaps more than once. Raises: DBAPIError."""
    found = read_tenants(connection, FIND_NAMED, tenant.tenant_id, tenant.issuer, tenant.identifier)
    for host in tenant.hosts:
        found += read_tenants(connection, FIND_HOST, host)
    for is_taken, statement in ((tenant.is_default, FIND_DEFAULT), (tenant.is_administrative, FIND_ADMINISTRATIVE)):
        found += read_tenants(connection, statement) if is_taken else []
    return found


def read_page(connection: Connection, after: str, limit: int) -> list[TenantRecord]:
    """Return a page of tenants. Raises: DBAPIError."""
    return group_rows(connection.execute(PAGE, {"after": after, "at_most": limit}).all())


def group_rows(rows: Iterable[Any]) -> list[TenantRecord]:
    """Return the tenants of these rows, which repeat for each host."""
    return [tenant_from_rows(list(group)) for _, group in groupby(rows, attrgetter("tenant_id"))]


def write_tenants(
    connection: Connection, *, made: Sequence[tuple[TenantRecord, Sequence[KeyRecord]]]
) -> list[Change[TenantRecord]]:
    """Insert tenants, each in a new generation, their hosts and keys. Raises: DBAPIError."""
    tenants = [msgspec.structs.replace(one, generation=new_generation(), version=1) for one, _ in made]
    change(connection, ADD, *map(tenant_values, tenants))
    for tenant in tenants:
        write_hosts(connection, tenant.tenant_id, tenant.hosts)
    write_keys(connection, keys=[key for _, keys in made for key in keys])
    return [Change(None, tenant) for tenant in tenants]


def change_tenants(connection: Connection, *, rewrites: Sequence[Rewrite]) -> list[Change[TenantRecord]]:
    """Update tenants one after the other. Raises: NotFound, StaleVersion, DBAPIError."""
    return [change_tenant(connection, one) for one in rewrites]


def change_tenant(connection: Connection, rewrite: Rewrite) -> Change[TenantRecord]:
    """Update the named columns and hosts. Raises: NotFound, StaleVersion, DBAPIError."""
    tenant_id, changes = rewrite.name, rewrite.changes
    before = require_tenant(connection, tenant_id, rewrite.if_version)
    drawn = {"generation": new_generation()} if rewrite.bump else {}
    written = {name: CHANGEABLE[name](value) for name, value in changes.items() if name != "hosts"}
    change(connection, CHANGE, {**written, **drawn, "of_tenant": tenant_id})
    if "hosts" in changes:
        change(connection, REMOVE_HOSTS, {"of_tenant": tenant_id})
        write_hosts(connection, tenant_id, changes["hosts"])
    return Change(before, msgspec.structs.replace(before, **changes, **drawn, version=before.version + 1))


def erase_tenants(connection: Connection, *, versions: Mapping[str, int | None]) -> list[Change[TenantRecord]]:
    """Delete tenants; what is their own goes with them. Raises: NotFound, StaleVersion, DBAPIError."""
    changes: list[Change[TenantRecord]] = [Change(require_tenant(connection, *one), None) for one in versions.items()]
    for statement in (REMOVE_SLOTS, REMOVE):
        change(connection, statement, *({"of_tenant": tenant_id} for tenant_id in versions))
    return changes


def require_tenant(connection: Connection, tenant_id: str, if_version: int | None) -> TenantRecord:
    """Return the tenant, which is of that version where one is named. Raises: NotFound, StaleVersion, DBAPIError."""
    found = read_tenant(connection, tenant_id)
    if found is None:
        raise NotFound(f"no tenant {tenant_id}")
    if if_version is not None and found.version != if_version:
        raise StaleVersion(f"tenant {tenant_id} is of version {found.version}")
    return found


def read_customers(connection: Connection, msp_id: str) -> tuple[str, ...]:
    """Return the ids of an msp's customers. Raises: DBAPIError."""
    return tuple(name for (name,) in CUSTOMER_IDS.rows(connection, msp_id))


def about(tenant_id: str) -> Subject:
    """Return the tenant as what a change is about."""
    return Subject("tenant", tenant_id, "", partial(show_tenant, tenant_id=tenant_id))


def show_tenant(connection: Connection, *, tenant_id: str) -> Shown | None:
    """Return what the audit log says of a tenant, or None. Raises: DBAPIError."""
    found = read_tenant(connection, tenant_id)
    return None if found is None else show(found)


def show(tenant: TenantRecord) -> Shown:
    """Return what the audit log says of a tenant."""
    return msgspec.structs.asdict(tenant)


TENANTS: Final = Noun("tenant", lambda _: "", show)


def write_hosts(connection: Connection, tenant_id: str, hosts: Iterable[str]) -> None:
    """Insert a tenant's hosts in their order. Raises: DBAPIError."""
    for position, host in enumerate(hosts):
        change(connection, ADD_HOSTS, {"host": host, "tenant_id": tenant_id, "position": position})


def tenant_values(tenant: TenantRecord) -> dict[str, object]:
    """Return the values of the columns of a tenant; its hosts have a table of their own."""
    return {
        "tenant_id": tenant.tenant_id,
        "created_at": tenant.created_at,
        "generation": tenant.generation,
        "version": tenant.version,
        **{name: write(getattr(tenant, name)) for name, write in CHANGEABLE.items()},
    }


def tenant_from_rows(rows: Sequence[Any]) -> TenantRecord:
    """Return the tenant of these rows: one for each host, or a single one with none."""
    row = rows[0]
    return TenantRecord(
        tenant_id=row.tenant_id,
        dialect=row.dialect,
        issuer=row.issuer,
        hosts=tuple(each.host for each in rows if each.host is not None),
        identifier=row.identifier,
        is_default=bool(row.is_default),
        is_suspended=bool(row.is_suspended),
        token_rules=read_object(row.token_rules),
        created_at=row.created_at,
        generation=row.generation,
        title=row.title,
        description=row.description,
        is_administrative=bool(row.is_administrative),
        is_msp=bool(row.is_msp),
        msp_id=row.msp_id,
        allows_registration=bool(row.allows_registration),
        version=row.version,
    )
