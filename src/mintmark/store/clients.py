"""Registered clients and their secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mintmark.protocol.errors import NotFound
from mintmark.store.batching import GroupCommit
from mintmark.store.deployment import new_generation, revised
from mintmark.store.json_text import read_names, read_object, write_json
from mintmark.store.prepared import Prepared
from mintmark.store.reading import Reader
from mintmark.store.records import ClientRecord, SecretRecord
from mintmark.store.tables import CLIENT, CLIENT_SECRET, REUSE_SLOT

IS_CLIENT: Final = (
    CLIENT.c.tenant_id == bindparam("of_tenant"),
    CLIENT.c.client_id == bindparam("of_client"),
)
SECRET_COLUMNS: Final = (
    CLIENT_SECRET.c.secret_id,
    CLIENT_SECRET.c.kind,
    CLIENT_SECRET.c.hash,
    CLIENT_SECRET.c.label,
    CLIENT_SECRET.c.created_at,
    CLIENT_SECRET.c.expires_at,
)
SECRETS_START: Final = len(CLIENT.c)
CLIENT_ID: Final = list(CLIENT.c).index(CLIENT.c.client_id)
NEWEST_FIRST: Final = (CLIENT_SECRET.c.created_at.desc(), CLIENT_SECRET.c.secret_id.desc())

# One statement, so that a client is never read between its row and its secrets.
FIND: Final = Prepared(
    select(*CLIENT.c, *SECRET_COLUMNS)
    .outerjoin(
        CLIENT_SECRET,
        (CLIENT_SECRET.c.tenant_id == CLIENT.c.tenant_id) & (CLIENT_SECRET.c.client_id == CLIENT.c.client_id),
    )
    .where(*IS_CLIENT)
    .order_by(*NEWEST_FIRST)
)
ON_PAGE: Final = (
    select(CLIENT)
    .where(CLIENT.c.tenant_id == bindparam("of_tenant"), CLIENT.c.client_id > bindparam("after"))
    .order_by(CLIENT.c.client_id)
    .limit(bindparam("at_most"))
    .subquery()
)
PAGE: Final = (
    select(*ON_PAGE.c, *SECRET_COLUMNS)
    .outerjoin(
        CLIENT_SECRET,
        (CLIENT_SECRET.c.tenant_id == ON_PAGE.c.tenant_id) & (CLIENT_SECRET.c.client_id == ON_PAGE.c.client_id),
    )
    .order_by(ON_PAGE.c.client_id, *NEWEST_FIRST)
)
ADD: Final = insert(CLIENT)
ADD_SECRET: Final = insert(CLIENT_SECRET)
CHANGE: Final = update(CLIENT).where(*IS_CLIENT)
REMOVE: Final = delete(CLIENT).where(*IS_CLIENT)
REMOVE_SLOTS: Final = delete(REUSE_SLOT).where(
    REUSE_SLOT.c.tenant_id == bindparam("of_tenant"), REUSE_SLOT.c.client_id == bindparam("of_client")
)
REMOVE_SECRETS: Final = delete(CLIENT_SECRET).where(
    CLIENT_SECRET.c.tenant_id == bindparam("of_tenant"), CLIENT_SECRET.c.client_id == bindparam("of_client")
)
REMOVE_SECRET: Final = delete(CLIENT_SECRET).where(
    CLIENT_SECRET.c.tenant_id == bindparam("of_tenant"),
    CLIENT_SECRET.c.client_id == bindparam("of_client"),
    CLIENT_SECRET.c.secret_id == bindparam("of_secret"),
)

CHANGEABLE: Final[Mapping[str, Callable[[Any], object]]] = {
    "client_name": str,
    "is_disabled": bool,
    "grant_types": write_json,
    "authentication_methods": write_json,
    "scope": write_json,
    "audience": write_json,
    "token_rules": write_json,
    "resources": write_json,
}
"""The columns that a change may name, and how each is written."""


class SqlClients:
    """Implements `interface.ClientStore`."""

    def __init__(self, reader: Reader, writer: GroupCommit) -> None:
        self._reader = reader
        self._writer = writer

    async def add(self, clients: Sequence[ClientRecord]) -> None:
        """Add clients with their secrets, all or none.

        Tokens wait meanwhile: bring thousands at once, not millions.

        Raises: AlreadyExists, NotFound (the tenant), StoreUnavailable.
        """
        if clients:
            await self._writer.run(revised(partial(write_clients, clients=clients)))

    async def find(self, tenant_id: str, client_id: str) -> ClientRecord | None:
        """Return the client with its secrets, newest first, or None. Raises: StoreUnavailable."""
        return await self._reader.run(read_client, tenant_id, client_id)

    async def page(self, tenant_id: str, after: str, limit: int) -> list[ClientRecord]:
        """Return up to `limit` clients whose id sorts after `after`, by id. Raises: StoreUnavailable."""
        return await self._reader.run(read_page, tenant_id, after, limit)

    async def change(
        self, tenant_id: str, client_id: str, changes: Mapping[str, Any], *, bump: bool = False
    ) -> ClientRecord:
        """Write the named fields, and with `bump` a new generation; return the client as it is then.

        Raises: NotFound, StoreUnavailable.
        """
        change = partial(change_client, tenant_id=tenant_id, client_id=client_id, changes=changes, bump=bump)
        return await self._writer.run(revised(change))

    async def bump_generation(self, tenant_id: str, client_id: str) -> None:
        """Give the client a new generation. Raises: NotFound, StoreUnavailable."""
        await self.change(tenant_id, client_id, {}, bump=True)

    async def remove(self, tenant_id: str, client_id: str) -> None:
        """Remove the client, its secrets and its reuse slots. Raises: NotFound, StoreUnavailable."""
        await self._writer.run(revised(partial(erase_client, tenant_id=tenant_id, client_id=client_id)))

    async def add_secret(self, secret: SecretRecord) -> None:
        """Add a secret. Raises: NotFound (the client), AlreadyExists, StoreUnavailable."""
        await self._writer.run(revised(partial(write_secret, secret=secret)))

    async def reset_secrets(self, secret: SecretRecord, *, bump: bool = False) -> None:
        """Put a secret in the place of all others of its client. Raises: NotFound (the client), StoreUnavailable."""
        await self._writer.run(revised(partial(rewrite_secrets, secret=secret, bump=bump)))

    async def remove_secret(self, tenant_id: str, client_id: str, secret_id: str) -> None:
        """Remove a secret. Raises: NotFound, StoreUnavailable."""
        names = {"of_tenant": tenant_id, "of_client": client_id, "of_secret": secret_id}
        await self._writer.run(revised(partial(erase_secret, names=names)))


def read_client(connection: Connection, tenant_id: str, client_id: str) -> ClientRecord | None:
    """Return the client with its secrets, or None. Raises: DBAPIError."""
    rows = FIND.rows(connection, tenant_id, client_id)
    return client_from_rows(rows) if rows else None


def read_page(connection: Connection, tenant_id: str, after: str, limit: int) -> list[ClientRecord]:
    """Return a page of clients with their secrets. Raises: DBAPIError."""
    parameters = {"of_tenant": tenant_id, "after": after, "at_most": limit}
    rows = connection.execute(PAGE, parameters).all()
    return [client_from_rows(list(group)) for _, group in groupby(rows, itemgetter(CLIENT_ID))]


def write_clients(connection: Connection, *, clients: Sequence[ClientRecord]) -> None:
    """Insert clients and their secrets. Raises: DBAPIError."""
    connection.execute(ADD, [client_values(client) for client in clients])
    secrets = [secret_values(secret) for client in clients for secret in client.secrets]
    if secrets:
        connection.execute(ADD_SECRET, secrets)


def change_client(
    connection: Connection, *, tenant_id: str, client_id: str, changes: Mapping[str, Any], bump: bool
) -> ClientRecord:
    """Update the named columns, and read the client back. Raises: NotFound, DBAPIError."""
    values = {name: CHANGEABLE[name](value) for name, value in changes.items()}
    if bump:
        values["generation"] = new_generation()
    if values:
        connection.execute(CHANGE, {**values, "of_tenant": tenant_id, "of_client": client_id})
    changed = read_client(connection, tenant_id, client_id)
    if changed is None:
        raise NotFound(f"no client {client_id} in tenant {tenant_id}")
    return changed


def erase_client(connection: Connection, *, tenant_id: str, client_id: str) -> None:
    """Delete the client; its secrets go with it. Raises: NotFound, DBAPIError."""
    names = {"of_tenant": tenant_id, "of_client": client_id}
    if connection.execute(REMOVE, names).rowcount == 0:
        raise NotFound(f"no client {client_id} in tenant {tenant_id}")
    # A later client of the same id has a later generation, and so other slots: these would never be read again.
    connection.execute(REMOVE_SLOTS, names)


def write_secret(connection: Connection, *, secret: SecretRecord) -> None:
    """Insert the secret. Raises: DBAPIError."""
    connection.execute(ADD_SECRET, secret_values(secret))


def rewrite_secrets(connection: Connection, *, secret: SecretRecord, bump: bool) -> None:
    """Delete the client's secrets and insert this one. Raises: NotFound, DBAPIError."""
    change_client(connection, tenant_id=secret.tenant_id, client_id=secret.client_id, changes={}, bump=bump)
    connection.execute(REMOVE_SECRETS, {"of_tenant": secret.tenant_id, "of_client": secret.client_id})
    write_secret(connection, secret=secret)


def erase_secret(connection: Connection, *, names: dict[str, str]) -> None:
    """Delete the secret. Raises: NotFound, DBAPIError."""
    if connection.execute(REMOVE_SECRET, names).rowcount == 0:
        raise NotFound(f"no secret {names['of_secret']} of client {names['of_client']}")


def client_values(client: ClientRecord) -> dict[str, object]:
    """Return the values of the columns of a client in a new generation; its secrets have a table of their own."""
    return {
        "tenant_id": client.tenant_id,
        "client_id": client.client_id,
        "created_at": client.created_at,
        "generation": new_generation(),
        **{name: write(getattr(client, name)) for name, write in CHANGEABLE.items()},
    }


def secret_values(secret: SecretRecord) -> dict[str, object]:
    """Return the values of the secret's columns."""
    return {
        "secret_id": secret.secret_id,
        "tenant_id": secret.tenant_id,
        "client_id": secret.client_id,
        "kind": secret.kind,
        "hash": secret.hash,
        "label": secret.label,
        "created_at": secret.created_at,
        "expires_at": secret.expires_at,
    }


def client_from_rows(rows: Sequence[Sequence[Any]]) -> ClientRecord:
    """Return the client of these rows: one for each secret, or a single one without. Hot: by position."""
    row = rows[0][:SECRETS_START]
    tenant_id, client_id, name, is_disabled, grants, methods, scope, audience, rules, *rest = row
    created_at, generation, resources = rest
    return ClientRecord(
        tenant_id=tenant_id,
        client_id=client_id,
        client_name=name,
        is_disabled=bool(is_disabled),
        grant_types=read_names(grants),
        authentication_methods=read_names(methods),
        scope=read_names(scope),
        audience=read_names(audience),
        token_rules=read_object(rules),
        secrets=secrets_from_rows(rows, tenant_id, client_id),
        created_at=created_at,
        generation=generation,
        resources=read_names(resources),
    )


def secrets_from_rows(rows: Sequence[Sequence[Any]], tenant_id: str, client_id: str) -> tuple[SecretRecord, ...]:
    """Return the secrets of a client's rows; a client without one has a row whose secret is all NULL."""
    return tuple(
        SecretRecord(
            secret_id=secret_id,
            tenant_id=tenant_id,
            client_id=client_id,
            kind=kind,
            hash=hashed,
            label=label,
            created_at=created_at,
            expires_at=expires_at,
        )
        for secret_id, kind, hashed, label, created_at, expires_at in (row[SECRETS_START:] for row in rows)
        if secret_id is not None
    )
