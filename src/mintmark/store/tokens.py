"""Opaque tokens, the slots of those that are handed out again or renewed, and the JWTs that were revoked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from msgspec.structs import asdict, astuple
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
    tuple_,
    update,
)

from mintmark.store.batching import add_tokens
from mintmark.store.prepared import Prepared
from mintmark.store.reading import PointRead, Reader
from mintmark.store.records import ReusableToken, ReuseSlot, Rotation, TokenRecord
from mintmark.store.session import Turn
from mintmark.store.statements import InsertUnlessThere
from mintmark.store.tables import JWT_SLOT, REUSE_SLOT, REVOKED_JWT, TOKEN
from mintmark.store.writing import Shown, Subject, Writing


def is_slot(table: Table) -> tuple[ColumnElement[bool], ...]:
    """Return the condition that a row is of the slot whose fields are bound as `of_...`, in their order."""
    return tuple(table.c[name] == bindparam(f"of_{name}") for name in ReuseSlot.__struct_fields__)


SHOWN: Final = ("tenant_id", "client_id", "kind", "scope", "issued_at", "expires_at")
IS_TOKEN: Final = TOKEN.c.digest == bindparam("of_digest")

DIGEST_OCTETS: Final = 32
FIND_NAMED: Final = Prepared(
    select(TOKEN).where(TOKEN.c.digest >= bindparam("first"), TOKEN.c.digest <= bindparam("last"))
)
FIND: Final = Prepared(select(TOKEN).where(IS_TOKEN))
FIND_SEVERAL: Final = Prepared(select(TOKEN).where(TOKEN.c.digest == func.any(bindparam("digests"))))
# SQLite has no such lock, and no need of it: there the statement is `FIND`.
FIND_AND_LOCK: Final = Prepared(select(TOKEN).where(IS_TOKEN).with_for_update())
FIND_REUSABLE: Final = Prepared(
    select(REUSE_SLOT.c.digest, REUSE_SLOT.c.sealed, REUSE_SLOT.c.expires_at).where(
        *is_slot(REUSE_SLOT), REUSE_SLOT.c.expires_at > bindparam("after")
    )
)
CLEAR_SLOT: Final = delete(REUSE_SLOT).where(*is_slot(REUSE_SLOT))
FILL_SLOT: Final = insert(REUSE_SLOT)
# A slot goes with its token: the foreign key sees to it.
END_SLOT: Final = delete(TOKEN).where(
    TOKEN.c.digest == select(REUSE_SLOT.c.digest).where(*is_slot(REUSE_SLOT)).scalar_subquery()
)
FIND_JWT: Final = select(JWT_SLOT.c.jti, JWT_SLOT.c.expires_at).where(*is_slot(JWT_SLOT))
CLEAR_JWT_SLOT: Final = delete(JWT_SLOT).where(*is_slot(JWT_SLOT))
FILL_JWT_SLOT: Final = insert(JWT_SLOT)
REMOVE: Final = delete(TOKEN).where(IS_TOKEN)
SPEND: Final = update(TOKEN).where(IS_TOKEN).values(used_at=bindparam("now"))
FIND_REVOKED: Final = Prepared(
    select(literal_column("1")).where(
        REVOKED_JWT.c.tenant_id == bindparam("of_tenant_id"), REVOKED_JWT.c.jti == bindparam("of_jti")
    )
)
FIND_SEVERAL_REVOKED: Final = Prepared(
    select(REVOKED_JWT.c.tenant_id, REVOKED_JWT.c.jti).where(
        tuple_(REVOKED_JWT.c.tenant_id, REVOKED_JWT.c.jti).in_(
            select(*(func.unnest(cast(bindparam(name), ARRAY(Text))) for name in ("tenant_ids", "jtis")))
        )
    )
)
REVOKE: Final = InsertUnlessThere(REVOKED_JWT)
OF_FAMILY: Final = (TOKEN.c.family == bindparam("of_family")) | (TOKEN.c.digest == bindparam("of_family"))
FIND_FAMILY: Final = select(TOKEN).where(OF_FAMILY).order_by(TOKEN.c.issued_at, TOKEN.c.digest)
REMOVE_FAMILY: Final = delete(TOKEN).where(OF_FAMILY)


class SqlTokens:
    """Implements `interface.TokenStore`."""

    def __init__(self, reader: Reader, writing: Writing) -> None:
        self._reader = reader
        self._writing = writing

    async def add(self, records: Sequence[TokenRecord]) -> None:
        """Add tokens, all or none, and return when they are on disk.

        Raises: AlreadyExists (a digest), StoreUnavailable.
        """
        await self._writing.add(records)

    async def find(self, digest: bytes) -> TokenRecord | None:
        """Return the token with this SHA-256 digest, or None. Raises: StoreUnavailable."""
        return await self._reader.find(TOKEN_BY_DIGEST, digest)

    async def find_named(self, name: bytes) -> TokenRecord | None:
        """Return the one token whose digest begins so; None if there is none, or more. Raises: StoreUnavailable."""
        return await self._reader.run(read_named, name)

    async def find_reusable(self, slot: ReuseSlot, expires_after: int) -> ReusableToken | None:
        """Return the slot's token if it expires after that second, else None. Raises: StoreUnavailable."""
        return await self._reader.run(read_slot, slot, expires_after)

    async def add_reusable(
        self, record: TokenRecord, slot: ReuseSlot, sealed: bytes, expires_after: int
    ) -> ReusableToken:
        """Put a token into its slot unless a live one is there, and return the slot's token.

        Raises: AlreadyExists (the digest), StoreUnavailable.
        """
        token = ReusableToken(record.digest, sealed, record.expires_at)
        return await self._writing.run(
            partial(fill_slot, record=record, slot=slot, token=token, expires_after=expires_after), turn_of(slot)
        )

    async def renew(self, record: TokenRecord, slot: ReuseSlot, sealed: bytes) -> None:
        """Put a token into its slot, and remove the one before it. Raises: AlreadyExists, StoreUnavailable."""
        token = ReusableToken(record.digest, sealed, record.expires_at)
        await self._writing.run(partial(replace_token, record=record, slot=slot, token=token), turn_of(slot))

    async def renew_jwt(self, slot: ReuseSlot, jti: str, expires_at: int) -> None:
        """Put a JWT into its slot, and revoke the one before it. Raises: StoreUnavailable."""
        await self._writing.run(partial(replace_jwt, slot=slot, jti=jti, expires_at=expires_at), turn_of(slot))

    async def remove(self, digest: bytes) -> bool:
        """Remove a token and its slot; return whether it was there. Raises: StoreUnavailable."""
        return await self._writing.record(partial(erase_token, digest=digest), [about(digest)], ("token", digest))

    async def remove_family(self, family: bytes) -> int:
        """Remove all tokens of a family, and return how many. Raises: StoreUnavailable."""
        work = partial(erase_family, family=family)
        return await self._writing.record(work, [about_family(family)], ("family", family))

    async def rotate(self, digest: bytes, replacement: Sequence[TokenRecord], now: int, leeway_s: int) -> Rotation:
        """Spend a refresh token and add what takes its place, or say why not.

        Raises: AlreadyExists (a digest of the replacement), StoreUnavailable.
        """
        work = partial(spend, digest=digest, replacement=replacement, now=now, leeway_s=leeway_s)
        return await self._writing.run(work, ("token", digest))

    async def revoke_jti(self, tenant_id: str, jti: str, expires_at: int) -> None:
        """Remember until it expires that a JWT was revoked. Raises: StoreUnavailable."""
        work = partial(write_revoked, tenant_id=tenant_id, jti=jti, expires_at=expires_at)
        await self._writing.record(work, [about_jwt(tenant_id, jti)], ("jwt", tenant_id, jti))

    async def is_jti_revoked(self, tenant_id: str, jti: str) -> bool:
        """Return whether a JWT was revoked. Raises: StoreUnavailable."""
        return await self._reader.find(REVOKED_BY_JTI, (tenant_id, jti))


def read_token(connection: Connection, digest: bytes, statement: Prepared = FIND) -> TokenRecord | None:
    """Return the token with this digest, or None. Raises: DBAPIError."""
    rows = statement.rows(connection, digest)
    return TokenRecord(*rows[0]) if rows else None


def read_tokens(connection: Connection, digests: Sequence[bytes]) -> dict[bytes, TokenRecord | None]:
    """Return the tokens with these digests; each has its answer. Raises: DBAPIError."""
    found = {row[0]: TokenRecord(*row) for row in FIND_SEVERAL.rows(connection, list(digests))}
    return {digest: found.get(digest) for digest in digests}


TOKEN_BY_DIGEST: Final = PointRead(read_token, read_tokens)


def read_named(connection: Connection, name: bytes) -> TokenRecord | None:
    """Return the one token whose digest begins so, or None. Raises: DBAPIError."""
    rows = FIND_NAMED.rows(connection, name, name + b"\xff" * (DIGEST_OCTETS - len(name)))
    return TokenRecord(*rows[0]) if len(rows) == 1 else None


def read_slot(connection: Connection, slot: ReuseSlot, expires_after: int) -> ReusableToken | None:
    """Return the live token of the slot, or None. Raises: DBAPIError."""
    rows = FIND_REUSABLE.rows(connection, *astuple(slot), expires_after)
    return ReusableToken(*rows[0]) if rows else None


def fill_slot(
    connection: Connection,
    *,
    record: TokenRecord,
    slot: ReuseSlot,
    token: ReusableToken,
    expires_after: int,
) -> ReusableToken:
    """Fill the slot unless a live token is in it; return what is in it. Raises: DBAPIError.

    Only one at a time is here for a slot, so nothing comes between the look and the write.
    """
    live = read_slot(connection, slot, expires_after)
    if live is not None:
        return live
    add_tokens(connection, [record])
    connection.execute(CLEAR_SLOT, name_slot(slot))
    connection.execute(FILL_SLOT, {**asdict(slot), **asdict(token)})
    return token


def turn_of(slot: ReuseSlot) -> Turn:
    """Return the turn of all that is done to a slot."""
    return ("slot", *astuple(slot))


def name_slot(slot: ReuseSlot) -> dict[str, object]:
    """Return the values that `is_slot` asks for."""
    return {f"of_{name}": value for name, value in asdict(slot).items()}


def replace_token(connection: Connection, *, record: TokenRecord, slot: ReuseSlot, token: ReusableToken) -> None:
    """Delete the slot's token and put another there. Raises: DBAPIError.

    Only one at a time is here for a slot, so of parallel calls each ends the token of the one before.
    """
    connection.execute(END_SLOT, name_slot(slot))
    add_tokens(connection, [record])
    connection.execute(FILL_SLOT, {**asdict(slot), **asdict(token)})


def replace_jwt(connection: Connection, *, slot: ReuseSlot, jti: str, expires_at: int) -> None:
    """Revoke the slot's JWT and put another there; as `replace_token`. Raises: DBAPIError."""
    before = connection.execute(FIND_JWT, name_slot(slot)).one_or_none()
    if before is not None:
        write_revoked(connection, tenant_id=slot.tenant_id, jti=before.jti, expires_at=before.expires_at)
        connection.execute(CLEAR_JWT_SLOT, name_slot(slot))
    connection.execute(FILL_JWT_SLOT, {**asdict(slot), "jti": jti, "expires_at": expires_at})


def erase_token(connection: Connection, *, digest: bytes) -> bool:
    """Delete a token; return whether it was there. Raises: DBAPIError."""
    return connection.execute(REMOVE, {"of_digest": digest}).rowcount > 0


def erase_family(connection: Connection, *, family: bytes) -> int:
    """Delete the tokens that name the family, and the first, whose digest it is. Raises: DBAPIError.

    Again until none is left: on PostgreSQL a rotation that was under way, and waited for, has added successors that
    the first look did not see.
    """
    gone = 0
    while (found := connection.execute(REMOVE_FAMILY, {"of_family": family}).rowcount) > 0:
        gone += found
    return gone


def spend(
    connection: Connection, *, digest: bytes, replacement: Sequence[TokenRecord], now: int, leeway_s: int
) -> Rotation:
    """Rotate a refresh token, or say why not. Raises: DBAPIError.

    Only one at a time is here for a token, so of parallel uses one finds it unused. The lock on its row is for who
    removes its family meanwhile, and waits: see `erase_family`.
    """
    found = read_token(connection, digest, FIND_AND_LOCK)
    if found is None or found.kind != "refresh":
        return "unknown"
    if found.expires_at <= now:
        return "expired"
    if found.used_at is None:
        connection.execute(SPEND, {"of_digest": digest, "now": now})
        add_tokens(connection, replacement)
        return "rotated"
    if now - found.used_at <= leeway_s:
        return "spent"
    erase_family(connection, family=found.digest if found.family is None else found.family)
    return "reused"


def about(digest: bytes) -> Subject:
    """Return the token as what a change is about; whose it is, its row says."""
    return Subject("token", None, digest.hex(), partial(show_token, digest=digest))


def about_family(family: bytes) -> Subject:
    """Return the tokens of a family as what a change is about."""
    return Subject("token family", None, family.hex(), partial(show_family, family=family))


def about_jwt(tenant_id: str, jti: str) -> Subject:
    """Return the JWT as what a change is about."""
    return Subject("jwt", tenant_id, jti, partial(show_jwt, tenant_id=tenant_id, jti=jti))


def show_token(connection: Connection, *, digest: bytes) -> Shown | None:
    """Return what the audit log says of a token, or None. Raises: DBAPIError."""
    found = read_token(connection, digest)
    return None if found is None else {name: getattr(found, name) for name in SHOWN}


def show_family(connection: Connection, *, family: bytes) -> Shown | None:
    """Return what the audit log says of a family: its first, and how many there are. Raises: DBAPIError."""
    rows = connection.execute(FIND_FAMILY, {"of_family": family}).all()
    return {**{name: getattr(rows[0], name) for name in SHOWN}, "tokens": len(rows)} if rows else None


def show_jwt(connection: Connection, *, tenant_id: str, jti: str) -> Shown:
    """Return what the audit log says of a JWT. Raises: DBAPIError."""
    return {"is_revoked": read_revoked(connection, (tenant_id, jti))}


def write_revoked(connection: Connection, *, tenant_id: str, jti: str, expires_at: int) -> None:
    """Insert a revoked JWT unless it is there: the same JWT has the same expiry. Raises: DBAPIError."""
    connection.execute(REVOKE, {"tenant_id": tenant_id, "jti": jti, "expires_at": expires_at})


def read_revoked(connection: Connection, jwt: tuple[str, str]) -> bool:
    """Return whether a JWT, by tenant and `jti`, was revoked. Raises: DBAPIError."""
    return bool(FIND_REVOKED.rows(connection, *jwt))


def read_several_revoked(connection: Connection, jwts: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bool]:
    """Return which of these JWTs were revoked. Raises: DBAPIError."""
    revoked = set(FIND_SEVERAL_REVOKED.rows(connection, *map(list, zip(*jwts, strict=True))))
    return {jwt: jwt in revoked for jwt in jwts}


REVOKED_BY_JTI: Final = PointRead(read_revoked, read_several_revoked)
