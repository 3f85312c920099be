"""Signing and encryption keys, sealed by whoever brings them: the store never sees one open."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, delete, insert, select, update

from mintmark.protocol.errors import NotFound
from mintmark.store.batching import GroupCommit
from mintmark.store.deployment import revised
from mintmark.store.json_text import read_object, write_json
from mintmark.store.reading import Reader
from mintmark.store.records import KeyRecord
from mintmark.store.tables import SIGNING_KEY

ADD: Final = insert(SIGNING_KEY)
LIST: Final = select(SIGNING_KEY).order_by(SIGNING_KEY.c.created_at, SIGNING_KEY.c.tenant_id, SIGNING_KEY.c.kid)
LIST_OF_TENANT: Final = LIST.where(SIGNING_KEY.c.tenant_id == bindparam("of_tenant"))
IS_KEY: Final = (SIGNING_KEY.c.tenant_id == bindparam("of_tenant"), SIGNING_KEY.c.kid == bindparam("of_kid"))
REPLACE: Final = update(SIGNING_KEY).where(*IS_KEY)
REMOVE: Final = delete(SIGNING_KEY).where(*IS_KEY)


class SqlKeys:
    """Implements `interface.KeyStore`."""

    def __init__(self, reader: Reader, writer: GroupCommit) -> None:
        self._reader = reader
        self._writer = writer

    async def add(self, key: KeyRecord) -> None:
        """Add a key. Raises: AlreadyExists, NotFound (the tenant), StoreUnavailable."""
        await self._writer.run(revised(partial(write_key, key=key)))

    async def list(self, tenant_id: str | None = None) -> list[KeyRecord]:
        """Return the keys of one tenant, or of all, oldest first. Raises: StoreUnavailable."""
        if tenant_id is None:
            return await self._reader.run(read_keys, LIST, {})
        return await self._reader.run(read_keys, LIST_OF_TENANT, {"of_tenant": tenant_id})

    async def replace(self, key: KeyRecord) -> None:
        """Write the key's new form. Raises: NotFound, StoreUnavailable."""
        await self._writer.run(revised(partial(rewrite_key, key=key)))

    async def remove(self, tenant_id: str, kid: str) -> None:
        """Remove the key. Raises: NotFound, StoreUnavailable."""
        await self._writer.run(revised(partial(erase_key, tenant_id=tenant_id, kid=kid)))


def read_keys(
    connection: Connection, statement: Select[*tuple[Any, ...]], parameters: dict[str, str]
) -> list[KeyRecord]:
    """Return the keys that the statement finds. Raises: DBAPIError."""
    return [key_from_row(row) for row in connection.execute(statement, parameters).all()]


def write_key(connection: Connection, *, key: KeyRecord) -> None:
    """Insert the key. Raises: DBAPIError."""
    connection.execute(ADD, key_values(key))


def rewrite_key(connection: Connection, *, key: KeyRecord) -> None:
    """Update the key. Raises: NotFound, DBAPIError."""
    parameters = {**key_values(key), "of_tenant": key.tenant_id, "of_kid": key.kid}
    if connection.execute(REPLACE, parameters).rowcount == 0:
        raise NotFound(f"no key {key.kid} in tenant {key.tenant_id}")


def erase_key(connection: Connection, *, tenant_id: str, kid: str) -> None:
    """Delete the key. Raises: NotFound, DBAPIError."""
    if connection.execute(REMOVE, {"of_tenant": tenant_id, "of_kid": kid}).rowcount == 0:
        raise NotFound(f"no key {kid} in tenant {tenant_id}")


def key_values(key: KeyRecord) -> dict[str, object]:
    """Return the values of the key's columns."""
    return {
        "kid": key.kid,
        "tenant_id": key.tenant_id,
        "use": key.use,
        "alg": key.alg,
        "active_from": key.active_from,
        "public_jwk": write_json(key.public_jwk),
        "sealed": key.sealed,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }


def key_from_row(row: Row[*tuple[Any, ...]]) -> KeyRecord:
    """Return the key that a row of `signing_key` holds."""
    return KeyRecord(
        kid=row.kid,
        tenant_id=row.tenant_id,
        use=row.use,
        alg=row.alg,
        active_from=row.active_from,
        public_jwk=read_object(row.public_jwk),
        sealed=row.sealed,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
