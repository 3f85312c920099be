"""Registered clients and their secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple, cast

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, literal_column, select, update

from mintmark.protocol.errors import NotFound, StaleVersion
from mintmark.store.client_secrets import erase_expired, read_expiring, write_used
from mintmark.store.deployment import new_generation
from mintmark.store.json_text import read_names, read_object, write_json
from mintmark.store.prepared import Prepared, change
from mintmark.store.reading import Reader
from mintmark.store.records import ClientRecord, Rewrite, SecretPlace, SecretRecord
from mintmark.store.tables import CLIENT, CLIENT_SECRET, REUSE_SLOT
from mintmark.store.writing import Change, Noun, Shown, Subject, Writing

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
    CLIENT_SECRET.c.last_used_at,
)
SECRETS_START: Final = len(CLIENT.c)
CLIENT_ID: Final = list(CLIENT.c).index(CLIENT.c.client_id)
NEWEST_FIRST: Final = (CLIENT_SECRET.c.created_at.desc(), CLIENT_SECRET.c.number.desc())

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
FIND_STATE: Final = Prepared(select(CLIENT.c.version, CLIENT.c.generation).where(*IS_CLIENT))
ON_PAGE: Final = (
    select(CLIENT)
    .where(CLIENT.c.tenant_id == bindparam("of_tenant"), CLIENT.c.client_id > bindparam("after"))
    .order_by(CLIENT.c.client_id)
    .limit(bindparam("at_most"))
    # SQLite's would else be a value of its own.
    .offset(literal_column("0"))
    .subquery()
)
PAGE: Final = Prepared(
    select(*ON_PAGE.c, *SECRET_COLUMNS)
    .outerjoin(
        CLIENT_SECRET,
        (CLIENT_SECRET.c.tenant_id == ON_PAGE.c.tenant_id) & (CLIENT_SECRET.c.client_id == ON_PAGE.c.client_id),
    )
    .order_by(ON_PAGE.c.client_id, *NEWEST_FIRST)
)
COUNT: Final = select(func.count()).select_from(CLIENT).where(CLIENT.c.tenant_id == bindparam("of_tenant"))
LAST_BEFORE: Final = (
    select(CLIENT.c.client_id)
    .where(CLIENT.c.tenant_id == bindparam("of_tenant"))
    .order_by(CLIENT.c.client_id)
    .offset(bindparam("behind"))
    .limit(1)
)
ADD: Final = insert(CLIENT)
ADD_SECRET: Final = insert(CLIENT_SECRET)
CHANGE: Final = update(CLIENT).where(*IS_CLIENT).values(version=CLIENT.c.version + 1)
REMOVE: Final = delete(CLIENT).where(*IS_CLIENT)
REMOVE_SOME: Final = delete(CLIENT).where(
    CLIENT.c.tenant_id == bindparam("of_tenant"),
    CLIENT.c.client_id.in_(
        select(CLIENT.c.client_id).where(CLIENT.c.tenant_id == bindparam("of_tenant")).limit(bindparam("at_most"))
    ),
)
REMOVE_SLOTS: Final = delete(REUSE_SLOT).where(
    REUSE_SLOT.c.tenant_id == bindparam("of_tenant"), REUSE_SLOT.c.client_id == bindparam("of_client")
)
OF_CLIENT: Final = (
    CLIENT_SECRET.c.tenant_id == bindparam("of_tenant"),
    CLIENT_SECRET.c.client_id == bindparam("of_client"),
)
NEXT_NUMBER: Final = select(func.coalesce(func.max(CLIENT_SECRET.c.number), 0) + 1).where(*OF_CLIENT)
REMOVE_SECRETS: Final = delete(CLIENT_SECRET).where(*OF_CLIENT)
EXPIRE_SECRETS: Final = (
    update(CLIENT_SECRET)
    .where(*OF_CLIENT, CLIENT_SECRET.c.expires_at.is_(None) | (CLIENT_SECRET.c.expires_at > bindparam("at_latest")))
    .values(expires_at=bindparam("at_latest"))
)
REMOVE_SECRET: Final = delete(CLIENT_SECRET).where(*OF_CLIENT, CLIENT_SECRET.c.secret_id == bindparam("of_secret"))

CHANGEABLE: Final[Mapping[str, Callable[[Any], object]]] = {
    "client_name": str,
    "is_disabled": bool,
    "grant_types": write_json,
    "authentication_methods": write_json,
    "scope": write_json,
    "audience": write_json,
    "token_rules": write_json,
    "resources": write_json,
    "role": str,
    "all_sites": bool,
    "sites": write_json,
    "all_customers": bool,
    "customers": write_json,
}
"""The columns that a change may name, and how each is written."""

SHOWN_OF_SECRET: Final = ("secret_id", "label", "created_at", "expires_at")


class SqlClients:
    """Implements `interface.ClientStore`."""

    def __init__(self, reader: Reader, writing: Writing) -> None:
        self._reader = reader
        self._writing = writing

    async def add(self, clients: Sequence[ClientRecord]) -> None:
        """Add clients with their secrets, all or none.

        Tokens wait meanwhile: bring thousands at once, not millions.

        Raises: AlreadyExists, NotFound (the tenant), StoreUnavailable.
        """
        if clients:
            await self._writing.change_rows(CLIENTS, partial(write_clients, clients=clients))

    async def find(self, tenant_id: str, client_id: str) -> ClientRecord | None:
        """Return the client with its secrets, newest first, or None. Raises: StoreUnavailable."""
        return await self._reader.run(read_client, tenant_id, client_id)

    async def find_state(self, tenant_id: str, client_id: str) -> tuple[int, int] | None:
        """Return what is another after every change of the client, or None. Raises: StoreUnavailable."""
        return await self._reader.run(read_state, tenant_id, client_id)

    async def page(self, tenant_id: str, after: str, limit: int) -> list[ClientRecord]:
        """Return up to `limit` clients whose id sorts after `after`, by id. Raises: StoreUnavailable."""
        return await self._reader.run(read_page, tenant_id, after, limit)

    async def grid(self, tenant_id: str, offset: int, limit: int) -> tuple[int, list[ClientRecord]]:
        """Return how many clients there are, and `limit` of them by id from an offset on. Raises: StoreUnavailable."""
        return await self._reader.run(read_grid, tenant_id, offset, limit)

    async def change(
        self,
        tenant_id: str,
        client_id: str,
        changes: Mapping[str, Any],
        *,
        bump: bool = False,
        if_version: int | None = None,
    ) -> ClientRecord:
        """Write the named fields, and with `bump` a new generation; return the client as it is then.

        Raises: NotFound, StaleVersion, StoreUnavailable.
        """
        return (await self.change_some(tenant_id, [Rewrite(client_id, changes, bump, if_version)]))[0]

    async def change_some(self, tenant_id: str, rewrites: Sequence[Rewrite]) -> list[ClientRecord]:
        """Do what as many calls of `change` do one after the other, all or none. Raises: as `change`."""
        changes = await self._writing.change_rows(
            CLIENTS, partial(change_clients, tenant_id=tenant_id, rewrites=rewrites)
        )
        return [cast(ClientRecord, change.after) for change in changes]

    async def bump_generation(self, tenant_id: str, client_id: str) -> None:
        """Give the client a new generation. Raises: NotFound, StoreUnavailable."""
        await self.change(tenant_id, client_id, {}, bump=True)

    async def remove(self, tenant_id: str, client_id: str, *, if_version: int | None = None) -> None:
        """Remove the client, its secrets and its reuse slots. Raises: NotFound, StaleVersion, StoreUnavailable."""
        await self.remove_these(tenant_id, {client_id: if_version})

    async def remove_these(self, tenant_id: str, versions: Mapping[str, int | None]) -> None:
        """Remove clients, named with the version that each must be of, all or none. Raises: as `remove`."""
        named = [Named(tenant_id, *one) for one in versions.items()]
        await self._writing.change_rows(CLIENTS, partial(erase_clients, named=named))

    async def add_secret(
        self,
        secret: SecretRecord,
        *,
        others_expire_at: int | None = None,
        without: Sequence[str] = (),
        if_version: int | None = None,
    ) -> None:
        """Add a secret, let the client's others expire at that second at the latest, and remove those named.

        Raises: NotFound (the client), AlreadyExists, StaleVersion, StoreUnavailable.
        """
        named = Named(secret.tenant_id, secret.client_id, if_version)
        work = partial(
            write_next_secret, named=named, secret=secret, others_expire_at=others_expire_at, without=without
        )
        await self._writing.change(work, about(secret.tenant_id, secret.client_id))

    async def reset_secrets(self, secret: SecretRecord, *, bump: bool = False, if_version: int | None = None) -> None:
        """Put a secret in the place of all others of its client.

        Raises: NotFound (the client), StaleVersion, StoreUnavailable.
        """
        named = Named(secret.tenant_id, secret.client_id, if_version)
        work = partial(rewrite_secrets, named=named, secret=secret, bump=bump)
        await self._writing.change(work, about(secret.tenant_id, secret.client_id))

    async def remove_secret(
        self, tenant_id: str, client_id: str, secret_id: str, *, if_version: int | None = None
    ) -> None:
        """Remove a secret. Raises: NotFound, StaleVersion, StoreUnavailable."""
        work = partial(erase_secret, named=Named(tenant_id, client_id, if_version), secret_id=secret_id)
        await self._writing.change(work, about(tenant_id, client_id))

    async def mark_used(self, used: Mapping[tuple[str, str, str], int]) -> None:
        """Write when secrets (tenant, client, id) were last used. Raises: StoreUnavailable."""
        if used:
            await self._writing.run(partial(write_used, used=used))

    async def expiring(
        self, after: SecretPlace, until: int, limit: int, tenants: Sequence[str] | None = None
    ) -> list[SecretRecord]:
        """Return up to `limit` secrets behind `after` that expire by then, soonest first. Raises: StoreUnavailable."""
        return await self._reader.run(read_expiring, after, until, limit, tenants)

    async def remove_expired_secrets(self, until: int, limit: int) -> int:
        """Remove up to `limit` secrets that expired by `until`; return how many. Raises: StoreUnavailable."""
        return await self._writing.run(partial(erase_expired, until=until, limit=limit))

    async def remove_some(self, tenant_id: str, limit: int) -> int:
        """Remove up to `limit` clients of a tenant; return how many. Raises: StoreUnavailable."""
        return await self._writing.run(partial(erase_some, tenant_id=tenant_id, limit=limit))


class Named(NamedTuple):
    """The client that a change is for, and the version that it must still be of."""

    tenant_id: str
    client_id: str
    if_version: int | None = None

    @property
    def parameters(self) -> dict[str, str]:
        """The values that find it in a statement."""
        return {"of_tenant": self.tenant_id, "of_client": self.client_id}


def read_client(connection: Connection, tenant_id: str, client_id: str) -> ClientRecord | None:
    """Return the client with its secrets, or None. Raises: DBAPIError."""
    rows = FIND.rows(connection, tenant_id, client_id)
    return client_from_rows(rows) if rows else None


def read_page(connection: Connection, tenant_id: str, after: str, limit: int) -> list[ClientRecord]:
    """Return a page of clients with their secrets. Raises: DBAPIError."""
    rows = PAGE.rows(connection, tenant_id, after, limit)
    return [client_from_rows(list(group)) for _, group in groupby(rows, itemgetter(CLIENT_ID))]


def read_grid(connection: Connection, tenant_id: str, offset: int, limit: int) -> tuple[int, list[ClientRecord]]:
    """Count a tenant's clients, and return the page behind so many of them. Raises: DBAPIError."""
    total: int = connection.execute(COUNT, {"of_tenant": tenant_id}).scalar_one()
    if offset == 0:
        return total, read_page(connection, tenant_id, "", limit)
    last = connection.execute(LAST_BEFORE, {"of_tenant": tenant_id, "behind": offset - 1}).scalar_one_or_none()
    return total, [] if last is None else read_page(connection, tenant_id, last, limit)


def write_clients(connection: Connection, *, clients: Sequence[ClientRecord]) -> list[Change[ClientRecord]]:
    """Insert clients, each in a new generation, and their secrets. Raises: DBAPIError."""
    made = [msgspec.structs.replace(client, generation=new_generation(), version=1) for client in clients]
    change(connection, ADD, *map(client_values, made))
    secrets = [
        {**secret_values(secret), "number": number}
        for client in clients
        for number, secret in enumerate(reversed(client.secrets), 1)
    ]
    if secrets:
        change(connection, ADD_SECRET, *secrets)
    return [Change(None, client) for client in made]


def change_client(
    connection: Connection, *, named: Named, changes: Mapping[str, Any], bump: bool = False
) -> Change[ClientRecord]:
    """Update the named columns. Raises: NotFound, StaleVersion, DBAPIError."""
    before = require_client(connection, named)
    drawn = {"generation": new_generation()} if bump else {}
    written = {name: CHANGEABLE[name](value) for name, value in changes.items()}
    change(connection, CHANGE, {**written, **drawn, **named.parameters})
    return Change(before, msgspec.structs.replace(before, **changes, **drawn, version=before.version + 1))


def change_clients(
    connection: Connection, *, tenant_id: str, rewrites: Sequence[Rewrite]
) -> list[Change[ClientRecord]]:
    """Update clients one after the other. Raises: NotFound, StaleVersion, DBAPIError."""
    return [
        change_client(connection, named=Named(tenant_id, one.name, one.if_version), changes=one.changes, bump=one.bump)
        for one in rewrites
    ]


def erase_clients(connection: Connection, *, named: Sequence[Named]) -> list[Change[ClientRecord]]:
    """Delete clients; their secrets go with them. Raises: NotFound, StaleVersion, DBAPIError."""
    changes: list[Change[ClientRecord]] = [Change(require_client(connection, one), None) for one in named]
    # A later client of the same id has another generation, and so other slots: these would never be read again.
    for statement in (REMOVE, REMOVE_SLOTS):
        change(connection, statement, *(one.parameters for one in named))
    return changes


def erase_some(connection: Connection, *, tenant_id: str, limit: int) -> int:
    """Delete up to `limit` clients of a tenant, with their secrets; return how many. Raises: DBAPIError."""
    return connection.execute(REMOVE_SOME, {"of_tenant": tenant_id, "at_most": limit}).rowcount


def write_next_secret(
    connection: Connection, *, named: Named, secret: SecretRecord, others_expire_at: int | None, without: Sequence[str]
) -> None:
    """Insert the secret, let the others expire and delete some. Raises: NotFound, StaleVersion, DBAPIError."""
    change_client(connection, named=named, changes={})
    for secret_id in without:
        change(connection, REMOVE_SECRET, {**named.parameters, "of_secret": secret_id})
    if others_expire_at is not None:
        connection.execute(EXPIRE_SECRETS, {**named.parameters, "at_latest": others_expire_at})
    write_secret(connection, secret=secret)


def write_secret(connection: Connection, *, secret: SecretRecord) -> None:
    """Insert the secret as the client's newest. Raises: DBAPIError."""
    number = connection.execute(NEXT_NUMBER, Named(secret.tenant_id, secret.client_id).parameters).scalar_one()
    change(connection, ADD_SECRET, {**secret_values(secret), "number": number})


def rewrite_secrets(connection: Connection, *, named: Named, secret: SecretRecord, bump: bool) -> None:
    """Delete the client's secrets and insert this one. Raises: NotFound, StaleVersion, DBAPIError."""
    change_client(connection, named=named, changes={}, bump=bump)
    change(connection, REMOVE_SECRETS, named.parameters)
    write_secret(connection, secret=secret)


def erase_secret(connection: Connection, *, named: Named, secret_id: str) -> None:
    """Delete the secret. Raises: NotFound, StaleVersion, DBAPIError."""
    change_client(connection, named=named, changes={})
    if change(connection, REMOVE_SECRET, {**named.parameters, "of_secret": secret_id}) == 0:
        raise NotFound(f"no secret {secret_id} of client {named.client_id}")


def require_client(connection: Connection, named: Named) -> ClientRecord:
    """Return the client, which is of that version where one is named. Raises: NotFound, StaleVersion, DBAPIError."""
    client = read_client(connection, named.tenant_id, named.client_id)
    if client is None:
        raise NotFound(f"no client {named.client_id} in tenant {named.tenant_id}")
    if named.if_version is not None and client.version != named.if_version:
        raise StaleVersion(f"client {named.client_id} is of version {client.version}")
    return client


def read_state(connection: Connection, tenant_id: str, client_id: str) -> tuple[int, int] | None:
    """Return the client's version and generation, or None. Raises: DBAPIError."""
    rows = FIND_STATE.rows(connection, tenant_id, client_id)
    return tuple(rows[0]) if rows else None


def about(tenant_id: str, client_id: str) -> Subject:
    """Return the client as what a change is about."""
    return Subject("client", tenant_id, client_id, partial(show_client, tenant_id=tenant_id, client_id=client_id))


def show_client(connection: Connection, *, tenant_id: str, client_id: str) -> Shown | None:
    """Return what the audit log says of a client, without hashes, or None. Raises: DBAPIError."""
    found = read_client(connection, tenant_id, client_id)
    return None if found is None else show(found)


def show(client: ClientRecord) -> Shown:
    """Return what the audit log says of a client, without hashes."""
    secrets = [{name: getattr(secret, name) for name in SHOWN_OF_SECRET} for secret in client.secrets]
    return {**msgspec.structs.asdict(client), "secrets": secrets}


CLIENTS: Final = Noun("client", lambda client: client.client_id, show)


def client_values(client: ClientRecord) -> dict[str, object]:
    """Return the values of the columns of a client; its secrets have a table of their own."""
    return {
        "tenant_id": client.tenant_id,
        "client_id": client.client_id,
        "created_at": client.created_at,
        "generation": client.generation,
        "version": client.version,
        **{name: write(getattr(client, name)) for name, write in CHANGEABLE.items()},
    }


def secret_values(secret: SecretRecord) -> dict[str, object]:
    """Return the values of the secret's columns, but for its number."""
    return {
        "secret_id": secret.secret_id,
        "tenant_id": secret.tenant_id,
        "client_id": secret.client_id,
        "kind": secret.kind,
        "hash": secret.hash,
        "label": secret.label,
        "created_at": secret.created_at,
        "expires_at": secret.expires_at,
        "last_used_at": secret.last_used_at,
    }


def client_from_rows(rows: Sequence[Sequence[Any]]) -> ClientRecord:
    """Return the client of these rows: one for each secret, or a single one without. Hot: by position."""
    row = rows[0][:SECRETS_START]
    tenant_id, client_id, name, is_disabled, grants, methods, scope, audience, rules, *rest = row
    created_at, generation, resources, role, all_sites, sites, all_customers, customers, version = rest
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
        role=role,
        all_sites=bool(all_sites),
        sites=read_names(sites),
        all_customers=bool(all_customers),
        customers=read_names(customers),
        version=version,
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
            last_used_at=last_used_at,
        )
        for secret_id, kind, hashed, label, created_at, expires_at, last_used_at in (
            row[SECRETS_START:] for row in rows
        )
        if secret_id is not None
    )
