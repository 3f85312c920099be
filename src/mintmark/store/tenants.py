"""Tenants and their hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, delete, insert, select, update

from mintmark.protocol.errors import NotFound
from mintmark.store.batching import GroupCommit
from mintmark.store.deployment import new_generation, revised
from mintmark.store.json_text import read_object, write_json
from mintmark.store.keys import write_key
from mintmark.store.reading import Reader
from mintmark.store.records import KeyRecord, TenantRecord
from mintmark.store.tables import TENANT, TENANT_HOST

ADD: Final = insert(TENANT)
ADD_HOSTS: Final = insert(TENANT_HOST)
REMOVE_HOSTS: Final = delete(TENANT_HOST).where(TENANT_HOST.c.tenant_id == bindparam("of_tenant"))
CHANGE: Final = update(TENANT).where(TENANT.c.tenant_id == bindparam("of_tenant"))
# One statement, so that a tenant is never read between its row and its hosts.
LIST: Final = (
    select(TENANT, TENANT_HOST.c.host)
    .outerjoin(TENANT_HOST, TENANT_HOST.c.tenant_id == TENANT.c.tenant_id)
    .order_by(TENANT.c.tenant_id, TENANT_HOST.c.position)
)
FIND: Final = LIST.where(TENANT.c.tenant_id == bindparam("of_tenant"))

CHANGEABLE: Final[Mapping[str, Callable[[Any], object]]] = {
    "dialect": str,
    "issuer": str,
    "identifier": lambda name: name,
    "is_default": bool,
    "is_suspended": bool,
    "token_rules": write_json,
}
"""The columns that a change may name, and how each is written. It may name `hosts`, too, which are rows."""


class SqlTenants:
    """Implements `interface.TenantStore`."""

    def __init__(self, reader: Reader, writer: GroupCommit) -> None:
        self._reader = reader
        self._writer = writer

    async def add(self, tenant: TenantRecord, keys: Sequence[KeyRecord]) -> None:
        """Add a tenant and its first keys in one transaction.

        Raises: AlreadyExists (id, host, identifier, default, a key), StoreUnavailable.
        """
        await self._writer.run(revised(partial(write_tenant, tenant=tenant, keys=keys)))

    async def find(self, tenant_id: str) -> TenantRecord | None:
        """Return the tenant, or None. Raises: StoreUnavailable."""
        found = await self._reader.run(read_tenants, FIND, {"of_tenant": tenant_id})
        return found[0] if found else None

    async def list(self) -> list[TenantRecord]:
        """Return all tenants, by id. Raises: StoreUnavailable."""
        return await self._reader.run(read_tenants, LIST, {})

    async def change(self, tenant_id: str, changes: Mapping[str, Any], *, bump: bool = False) -> TenantRecord:
        """Write the named fields, and with `bump` a new generation; return the tenant as it is then.

        Raises: NotFound, AlreadyExists (a host, identifier or default of another), StoreUnavailable.
        """
        return await self._writer.run(revised(partial(change_tenant, tenant_id=tenant_id, changes=changes, bump=bump)))

    async def bump_generation(self, tenant_id: str) -> None:
        """Give the tenant a new generation. Raises: NotFound, StoreUnavailable."""
        await self.change(tenant_id, {}, bump=True)


def read_tenants(
    connection: Connection, statement: Select[*tuple[Any, ...]], parameters: dict[str, str]
) -> list[TenantRecord]:
    """Return the tenants that the statement finds, whose rows repeat for each host. Raises: DBAPIError."""
    rows = connection.execute(statement, parameters).all()
    return [tenant_from_rows(list(group)) for _, group in groupby(rows, attrgetter("tenant_id"))]


def write_tenant(connection: Connection, *, tenant: TenantRecord, keys: Iterable[KeyRecord]) -> None:
    """Insert the tenant, its hosts and keys. Raises: DBAPIError."""
    connection.execute(ADD, tenant_values(tenant))
    write_hosts(connection, tenant.tenant_id, tenant.hosts)
    for key in keys:
        write_key(connection, key=key)


def change_tenant(connection: Connection, *, tenant_id: str, changes: Mapping[str, Any], bump: bool) -> TenantRecord:
    """Update the named columns and hosts, and read the tenant back. Raises: NotFound, DBAPIError."""
    values = {name: CHANGEABLE[name](value) for name, value in changes.items() if name != "hosts"}
    if bump:
        values["generation"] = new_generation()
    if values:
        connection.execute(CHANGE, {**values, "of_tenant": tenant_id})
    if "hosts" in changes:
        connection.execute(REMOVE_HOSTS, {"of_tenant": tenant_id})
        write_hosts(connection, tenant_id, changes["hosts"])
    changed = read_tenants(connection, FIND, {"of_tenant": tenant_id})
    if not changed:
        raise NotFound(f"no tenant {tenant_id}")
    return changed[0]


def write_hosts(connection: Connection, tenant_id: str, hosts: Iterable[str]) -> None:
    """Insert a tenant's hosts in their order. Raises: DBAPIError."""
    for position, host in enumerate(hosts):
        connection.execute(ADD_HOSTS, {"host": host, "tenant_id": tenant_id, "position": position})


def tenant_values(tenant: TenantRecord) -> dict[str, object]:
    """Return the values of the columns of a tenant in a new generation; its hosts have a table of their own."""
    return {
        "tenant_id": tenant.tenant_id,
        "created_at": tenant.created_at,
        "generation": new_generation(),
        **{name: write(getattr(tenant, name)) for name, write in CHANGEABLE.items()},
    }


def tenant_from_rows(rows: Sequence[Row[*tuple[Any, ...]]]) -> TenantRecord:
    """Return the tenant of these rows: one for each host, or a single one with none."""
    row = rows[0]
    return TenantRecord(
        tenant_id=row.tenant_id,
        dialect=row.dialect,
        issuer=row.issuer,
        hosts=tuple(each.host for each in rows if each.host is not None),
        identifier=row.identifier,
        is_default=row.is_default,
        is_suspended=row.is_suspended,
        token_rules=read_object(row.token_rules),
        created_at=row.created_at,
        generation=row.generation,
    )
