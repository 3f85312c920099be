"""Initial access tokens with their limits, and the registrations of clients that registered themselves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from msgspec.structs import asdict
from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from mintmark.protocol.errors import NotFound
from mintmark.store.json_text import read_names, write_json
from mintmark.store.reading import Reader
from mintmark.store.records import InitialAccessToken, RegistrationRecord
from mintmark.store.tables import INITIAL_ACCESS_TOKEN, REGISTRATION
from mintmark.store.writing import Shown, Subject, Writing

OF_TENANT: Final = INITIAL_ACCESS_TOKEN.c.tenant_id == bindparam("of_tenant")
IS_TOKEN: Final = (OF_TENANT, INITIAL_ACCESS_TOKEN.c.token_id == bindparam("of_token"))
HAS_DIGEST: Final = (OF_TENANT, INITIAL_ACCESS_TOKEN.c.digest == bindparam("of_digest"))
LIST_TOKENS: Final = (
    select(INITIAL_ACCESS_TOKEN)
    .where(OF_TENANT)
    .order_by(INITIAL_ACCESS_TOKEN.c.created_at, INITIAL_ACCESS_TOKEN.c.token_id)
)
SHOW_TOKEN: Final = select(INITIAL_ACCESS_TOKEN).where(*IS_TOKEN)
FIND_TOKEN: Final = select(INITIAL_ACCESS_TOKEN).where(*HAS_DIGEST)
ADD_TOKEN: Final = insert(INITIAL_ACCESS_TOKEN)
REMOVE_TOKEN: Final = delete(INITIAL_ACCESS_TOKEN).where(*IS_TOKEN)
SPEND: Final = (
    update(INITIAL_ACCESS_TOKEN)
    .where(*HAS_DIGEST, INITIAL_ACCESS_TOKEN.c.uses_left > 0, INITIAL_ACCESS_TOKEN.c.expires_at > bindparam("now"))
    .values(uses_left=INITIAL_ACCESS_TOKEN.c.uses_left - 1)
)
IS_CLIENT: Final = (
    REGISTRATION.c.tenant_id == bindparam("of_tenant"),
    REGISTRATION.c.client_id == bindparam("of_client"),
)
FIND: Final = select(REGISTRATION).where(*IS_CLIENT)
REMOVE: Final = delete(REGISTRATION).where(*IS_CLIENT)
ADD: Final = insert(REGISTRATION)
SHOWN: Final = ("token_id", "label", "uses_left", "created_at", "expires_at")


class SqlRegistrations:
    """Implements `interface.RegistrationStore`."""

    def __init__(self, reader: Reader, writing: Writing) -> None:
        self._reader = reader
        self._writing = writing

    async def add_token(self, token: InitialAccessToken) -> None:
        """Add an initial access token. Raises: NotFound (the tenant), StoreUnavailable."""
        made = about(token.tenant_id, token.token_id)._replace(is_new=True)
        await self._writing.record(partial(write_token, token=token), [made])

    async def list_tokens(self, tenant_id: str) -> list[InitialAccessToken]:
        """Return a tenant's initial access tokens, oldest first. Raises: StoreUnavailable."""
        return await self._reader.run(read_tokens, {"of_tenant": tenant_id})

    async def remove_token(self, tenant_id: str, token_id: str) -> None:
        """Remove an initial access token. Raises: NotFound, StoreUnavailable."""
        names = {"of_tenant": tenant_id, "of_token": token_id}
        await self._writing.record(partial(erase_token, names=names), [about(tenant_id, token_id)])

    async def find_token(self, tenant_id: str, digest: bytes) -> InitialAccessToken | None:
        """Return the initial access token of this digest, or None. Raises: StoreUnavailable."""
        return await self._reader.run(read_token, {"of_tenant": tenant_id, "of_digest": digest})

    async def spend_token(self, tenant_id: str, digest: bytes, now: int) -> bool:
        """Take one use; return whether there was one. Raises: StoreUnavailable."""
        values = {"of_tenant": tenant_id, "of_digest": digest, "now": now}
        return await self._writing.run(partial(take_use, values=values))

    async def put(self, registration: RegistrationRecord) -> None:
        """Write a client's registration. Raises: NotFound (the client), StoreUnavailable."""
        await self._writing.run(partial(write_registration, registration=registration))

    async def find(self, tenant_id: str, client_id: str) -> RegistrationRecord | None:
        """Return a client's registration, or None. Raises: StoreUnavailable."""
        return await self._reader.run(read_registration, {"of_tenant": tenant_id, "of_client": client_id})


def read_tokens(connection: Connection, names: Mapping[str, object]) -> list[InitialAccessToken]:
    """Return a tenant's initial access tokens. Raises: DBAPIError."""
    return [token_from_row(row) for row in connection.execute(LIST_TOKENS, names)]


def read_token(connection: Connection, names: Mapping[str, object]) -> InitialAccessToken | None:
    """Return the initial access token of a digest, or None. Raises: DBAPIError."""
    row = connection.execute(FIND_TOKEN, names).one_or_none()
    return None if row is None else token_from_row(row)


def token_from_row(row: Row[Any]) -> InitialAccessToken:
    """Return the initial access token of a row."""
    return InitialAccessToken(**{**row._mapping, "scope": read_names(row.scope)})


def write_token(connection: Connection, *, token: InitialAccessToken) -> None:
    """Insert an initial access token. Raises: DBAPIError."""
    connection.execute(ADD_TOKEN, {**asdict(token), "scope": write_json(token.scope)})


def erase_token(connection: Connection, *, names: Mapping[str, object]) -> None:
    """Delete an initial access token. Raises: NotFound, DBAPIError."""
    if connection.execute(REMOVE_TOKEN, names).rowcount == 0:
        raise NotFound("no such initial access token")


def take_use(connection: Connection, *, values: Mapping[str, object]) -> bool:
    """Take one use of an initial access token; return whether there was one. Raises: DBAPIError."""
    return connection.execute(SPEND, values).rowcount > 0


def write_registration(connection: Connection, *, registration: RegistrationRecord) -> None:
    """Put a registration in the place of an earlier one. Raises: DBAPIError."""
    connection.execute(REMOVE, {"of_tenant": registration.tenant_id, "of_client": registration.client_id})
    connection.execute(ADD, {**asdict(registration), "scope": write_json(registration.scope)})


def read_registration(connection: Connection, names: Mapping[str, object]) -> RegistrationRecord | None:
    """Return a client's registration, or None. Raises: DBAPIError."""
    row = connection.execute(FIND, names).one_or_none()
    return None if row is None else RegistrationRecord(**{**row._mapping, "scope": read_names(row.scope)})


def about(tenant_id: str, token_id: str) -> Subject:
    """Return an initial access token as what a change is about."""
    names = {"of_tenant": tenant_id, "of_token": token_id}
    return Subject("initial access token", tenant_id, token_id, partial(show_token, names=names))


def show_token(connection: Connection, *, names: Mapping[str, object]) -> Shown | None:
    """Return what the audit log says of an initial access token, not its digest; or None. Raises: DBAPIError."""
    row = connection.execute(SHOW_TOKEN, names).one_or_none()
    return None if row is None else {**{name: getattr(row, name) for name in SHOWN}, "scope": read_names(row.scope)}
