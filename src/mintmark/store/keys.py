"""Signing and encryption keys, sealed by whoever brings them: the store never sees one open."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mintmark.protocol.errors import NotFound
from mintmark.store.json_text import read_object, write_json
from mintmark.store.prepared import Prepared, change
from mintmark.store.reading import Reader
from mintmark.store.records import KeyRecord
from mintmark.store.tables import SIGNING_KEY
from mintmark.store.writing import Shown, Subject, Writing

ADD: Final = insert(SIGNING_KEY)
LIST: Final = select(SIGNING_KEY).order_by(SIGNING_KEY.c.created_at, SIGNING_KEY.c.tenant_id, SIGNING_KEY.c.kid)
LIST_ALL: Final = Prepared(LIST)
LIST_OF_TENANT: Final = Prepared(LIST.where(SIGNING_KEY.c.tenant_id == bindparam("of_tenant")))
# Its fields are the statements' columns, which a type checker cannot know.
KeyRow: Final[Any] = namedtuple("KeyRow", [one.name for one in LIST.selected_columns])  # type: ignore[misc]
IS_KEY: Final = (SIGNING_KEY.c.tenant_id == bindparam("of_tenant"), SIGNING_KEY.c.kid == bindparam("of_kid"))
FIND: Final = Prepared(select(SIGNING_KEY).where(*IS_KEY))
REPLACE: Final = update(SIGNING_KEY).where(*IS_KEY)
REMOVE: Final = delete(SIGNING_KEY).where(*IS_KEY)
SHOWN: Final = ("kid", "use", "alg", "active_from", "created_at", "revoked_at")


class SqlKeys:
    """Implements `interface.KeyStore`."""

    def __init__(self, reader: Reader, writing: Writing) -> None:
        self._reader = reader
        self._writing = writing

    async def add(self, key: KeyRecord) -> None:
        """Add a key. Raises: AlreadyExists, NotFound (the tenant), StoreUnavailable."""
        made = about(key.tenant_id, key.kid)._replace(is_new=True)
        await self._writing.change(partial(write_keys, keys=[key]), made)

    async def list(self, tenant_id: str | None = None) -> list[KeyRecord]:
        """Return the keys of one tenant, or of all, oldest first. Raises: StoreUnavailable."""
        if tenant_id is None:
            return await self._reader.run(read_keys, LIST_ALL)
        return await self._reader.run(read_keys, LIST_OF_TENANT, tenant_id)

    async def replace(self, key: KeyRecord, *, successor: KeyRecord | None = None) -> None:
        """Write the key's new form, and with it add its successor. Raises: NotFound, StoreUnavailable."""
        subjects = [about(key.tenant_id, key.kid)]
        if successor is not None:
            subjects.append(about(successor.tenant_id, successor.kid)._replace(is_new=True))
        await self._writing.change(partial(rewrite_key, key=key, successor=successor), *subjects)

    async def remove(self, tenant_id: str, kid: str) -> None:
        """Remove the key. Raises: NotFound, StoreUnavailable."""
        await self._writing.change(partial(erase_key, tenant_id=tenant_id, kid=kid), about(tenant_id, kid))


def read_keys(connection: Connection, statement: Prepared, *values: str) -> list[KeyRecord]:
    """Return the keys that the statement finds. Raises: DBAPIError."""
    return [key_from_row(KeyRow._make(row)) for row in statement.rows(connection, *values)]


def write_keys(connection: Connection, *, keys: Sequence[KeyRecord]) -> None:
    """Insert keys. Raises: DBAPIError."""
    if keys:
        change(connection, ADD, *map(key_values, keys))


def rewrite_key(connection: Connection, *, key: KeyRecord, successor: KeyRecord | None) -> None:
    """Update the key, and insert its successor. Raises: NotFound, DBAPIError."""
    parameters = {**key_values(key), "of_tenant": key.tenant_id, "of_kid": key.kid}
    if change(connection, REPLACE, parameters) == 0:
        raise NotFound(f"no key {key.kid} in tenant {key.tenant_id}")
    if successor is not None:
        write_keys(connection, keys=[successor])


def erase_key(connection: Connection, *, tenant_id: str, kid: str) -> None:
    """Delete the key. Raises: NotFound, DBAPIError."""
    if change(connection, REMOVE, {"of_tenant": tenant_id, "of_kid": kid}) == 0:
        raise NotFound(f"no key {kid} in tenant {tenant_id}")


def about(tenant_id: str, kid: str) -> Subject:
    """Return the key as what a change is about."""
    return Subject("key", tenant_id, kid, partial(show_key, tenant_id=tenant_id, kid=kid))


def show_key(connection: Connection, *, tenant_id: str, kid: str) -> Shown | None:
    """Return what the audit log says of a key, neither of its halves, or None. Raises: DBAPIError."""
    found = read_keys(connection, FIND, tenant_id, kid)
    return {name: getattr(found[0], name) for name in SHOWN} if found else None


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


def key_from_row(row: Any) -> KeyRecord:
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
