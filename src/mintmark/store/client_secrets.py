"""Secrets across clients: when they were last used, which expire soon, and the end of those that have expired.

None of it raises a revision or a version: it changes nothing of what a client may do.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, select, tuple_, update

from mintmark.store.records import SecretPlace, SecretRecord
from mintmark.store.statements import ROW
from mintmark.store.tables import CLIENT_SECRET

SECRET: Final = CLIENT_SECRET.c
COLUMNS: Final = [column for column in CLIENT_SECRET.c if column is not SECRET.number]
MARK_USED: Final = (
    update(CLIENT_SECRET)
    .where(
        SECRET.tenant_id == bindparam("of_tenant"),
        SECRET.client_id == bindparam("of_client"),
        SECRET.secret_id == bindparam("of_secret"),
        # Another process may have seen it later.
        func.coalesce(SECRET.last_used_at, 0) < bindparam("at"),
    )
    .values(last_used_at=bindparam("at"))
)
PLACE: Final = (SECRET.expires_at, SECRET.tenant_id, SECRET.client_id, SECRET.secret_id)
EXPIRING: Final = (
    select(*COLUMNS)
    .where(
        SECRET.expires_at <= bindparam("until"),
        tuple_(*PLACE) > tuple_(*(bindparam(f"after_{column.name}") for column in PLACE)),
    )
    .order_by(*PLACE)
    .limit(bindparam("at_most"))
)
# Of one tenant the place needs no tenant; said so, the index of a tenant's secrets finds and orders them.
PLACE_IN_TENANT: Final = (SECRET.expires_at, SECRET.client_id, SECRET.secret_id)
EXPIRING_IN_TENANT: Final = (
    select(*COLUMNS)
    .where(
        SECRET.tenant_id == bindparam("of_tenant"),
        SECRET.expires_at <= bindparam("until"),
        tuple_(*PLACE_IN_TENANT) > tuple_(*(bindparam(f"after_{column.name}") for column in PLACE_IN_TENANT)),
    )
    .order_by(*PLACE_IN_TENANT)
    .limit(bindparam("at_most"))
)
FIND_EXPIRED: Final = (
    select(ROW).select_from(CLIENT_SECRET).where(SECRET.expires_at <= bindparam("until")).limit(bindparam("at_most"))
)
REMOVE_EXPIRED: Final = delete(CLIENT_SECRET).where(ROW.in_(FIND_EXPIRED))


def write_used(connection: Connection, *, used: Mapping[tuple[str, str, str], int]) -> None:
    """Write when secrets (tenant, client, id) were last used. Raises: DBAPIError."""
    rows = [
        {"of_tenant": tenant_id, "of_client": client_id, "of_secret": secret_id, "at": at}
        for (tenant_id, client_id, secret_id), at in used.items()
    ]
    connection.execute(MARK_USED, rows)


def read_expiring(
    connection: Connection, after: SecretPlace, until: int, limit: int, tenants: Sequence[str] | None
) -> list[SecretRecord]:
    """Return a page of the secrets that expire until then, soonest first. Raises: DBAPIError."""
    values: dict[str, Any] = {
        "until": until,
        "at_most": limit,
        "after_expires_at": after.expires_at,
        "after_tenant_id": after.tenant_id,
        "after_client_id": after.client_id,
        "after_secret_id": after.secret_id,
    }
    if tenants is None:
        return secrets_from(connection.execute(EXPIRING, values).all())
    pages = [read_expiring_in(connection, tenant_id, after, values) for tenant_id in tenants]
    return list(heapq.merge(*pages, key=place_of))[:limit]


def read_expiring_in(
    connection: Connection, tenant_id: str, after: SecretPlace, values: Mapping[str, Any]
) -> list[SecretRecord]:
    """Return a page of one tenant's. Raises: DBAPIError."""
    own = {name: value for name, value in values.items() if name != "after_tenant_id"}
    if tenant_id < after.tenant_id:
        # Of that very second, this tenant's have all been shown.
        own |= {"after_expires_at": after.expires_at + 1, "after_client_id": "", "after_secret_id": ""}
    elif tenant_id > after.tenant_id:
        own |= {"after_client_id": "", "after_secret_id": ""}
    return secrets_from(connection.execute(EXPIRING_IN_TENANT, {**own, "of_tenant": tenant_id}).all())


def secrets_from(rows: Any) -> list[SecretRecord]:
    """Return the secrets that these rows hold."""
    return [SecretRecord(**row._mapping) for row in rows]


def place_of(secret: SecretRecord) -> SecretPlace:
    """Return where an expiring secret stands among all."""
    return SecretPlace(secret.expires_at or 0, secret.tenant_id, secret.client_id, secret.secret_id)


def erase_expired(connection: Connection, *, until: int, limit: int) -> int:
    """Delete up to `limit` secrets that expired by then; return how many. Raises: DBAPIError."""
    return connection.execute(REMOVE_EXPIRED, {"until": until, "at_most": limit}).rowcount
