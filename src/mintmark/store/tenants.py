"""Tenants and their hosts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, delete, insert, select, update

from mintmark.protocol.errors import NotFound
from mintmark.store.batching import GroupCommit
from mintmark.store.deployment import NEW_GENERATION, revised
from mintmark.store.json_text import read_object, write_json
from mintmark.store.keys import write_key
from mintmark.store.reading import Reader
from mintmark.store.records import KeyRecord, TenantRecord
from mintmark.store.tables import TENANT, TENANT_HOST

ADD: Final = insert(TENANT).values(generation=NEW_GENERATION)
ADD_HOSTS: Final = insert(TENANT_HOST)
REMOVE_HOSTS: Final = delete(TENANT_HOST).where(TENANT_HOST.c.tenant_id == bindparam("of_tenant"))
REPLACE: Final = update(TENANT).where(TENANT.c.tenant_id == bindparam("of_tenant"))
REPLACE_AND_BUMP: Final = REPLACE.values(generation=NEW_GENERATION)
# One statement, so that a tenant is never read between its row and its hosts.
LIST: Final = (
    select(TENANT, TENANT_HOST.c.host)
    .outerjoin(TENANT_HOST, TENANT_HOST.c.tenant_id == TENANT.c.tenant_id)
    .order_by(TENANT.c.tenant_id, TENANT_HOST.c.position)
)
FIND: Final = LIST.where(TENANT.c.tenant_id == bindparam("of_tenant"))


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

    async def replace(self, tenant: TenantRecord, *, bump: bool = False) -> None:
        """Write the tenant's new form, its generation left as it is unless `bump` gives it a later one.

        Raises: NotFound, AlreadyExists (a host, identifier or default of another), StoreUnavailable.
        """
        await self._writer.run(revised(partial(rewrite_tenant, tenant=tenant, bump=bump)))

    async def bump_generation(self, tenant_id: str) -> None:
        """Give the tenant a later generation. Raises: NotFound, StoreUnavailable."""
        await self._writer.run(revised(partial(bump_tenant, tenant_id=tenant_id)))


def read_tenants(
    connection: Connection, statement: Select[*tuple[Any, ...]], parameters: dict[str, str]
) -> list[TenantRecord]:
    """Return the tenants that the statement finds, whose rows repeat for each host. Raises: DBAPIError."""
    rows = connection.execute(statement, parameters).all()
    return [tenant_from_rows(list(group)) for _, group in groupby(rows, attrgetter("tenant_id"))]


def write_tenant(connection: Connection, *, tenant: TenantRecord, keys: Iterable[KeyRecord]) -> None:
    """Insert the tenant, its hosts and keys. Raises: DBAPIError."""
    connection.execute(ADD, tenant_values(tenant))
    write_hosts(connection, tenant)
    for key in keys:
        write_key(connection, key=key)


def rewrite_tenant(connection: Connection, *, tenant: TenantRecord, bump: bool) -> None:
    """Update the tenant and put its hosts in the place of the earlier ones. Raises: NotFound, DBAPIError."""
    parameters = {**tenant_values(tenant), "of_tenant": tenant.tenant_id}
    if connection.execute(REPLACE_AND_BUMP if bump else REPLACE, parameters).rowcount == 0:
        raise NotFound(f"no tenant {tenant.tenant_id}")
    connection.execute(REMOVE_HOSTS, {"of_tenant": tenant.tenant_id})
    write_hosts(connection, tenant)


def bump_tenant(connection: Connection, *, tenant_id: str) -> None:
    """Raise the tenant's generation. Raises: NotFound, DBAPIError."""
    if connection.execute(REPLACE_AND_BUMP, {"of_tenant": tenant_id}).rowcount == 0:
        raise NotFound(f"no tenant {tenant_id}")


def write_hosts(connection: Connection, tenant: TenantRecord) -> None:
    """Insert the tenant's hosts in their order. Raises: DBAPIError."""
    for position, host in enumerate(tenant.hosts):
        connection.execute(ADD_HOSTS, {"host": host, "tenant_id": tenant.tenant_id, "position": position})


def tenant_values(tenant: TenantRecord) -> dict[str, object]:
    """Return the values of the tenant's columns but the generation; its hosts have a table of their own."""
    return {
        "tenant_id": tenant.tenant_id,
        "dialect": tenant.dialect,
        "issuer": tenant.issuer,
        "identifier": tenant.identifier,
        "is_default": tenant.is_default,
        "is_suspended": tenant.is_suspended,
        "token_rules": write_json(tenant.token_rules),
        "created_at": tenant.created_at,
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
