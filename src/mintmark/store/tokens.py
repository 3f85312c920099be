"""Opaque tokens and the slots of those that are handed out again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from msgspec.structs import asdict
from sqlalchemy import Connection, bindparam, delete, insert, select

from mintmark.store.batching import GroupCommit, add_tokens
from mintmark.store.prepared import Prepared
from mintmark.store.reading import Reader
from mintmark.store.records import ReusableToken, ReuseSlot, TokenRecord
from mintmark.store.tables import REUSE_SLOT, TOKEN

IS_SLOT: Final = (
    REUSE_SLOT.c.tenant_id == bindparam("of_tenant_id"),
    REUSE_SLOT.c.client_id == bindparam("of_client_id"),
    REUSE_SLOT.c.scope == bindparam("of_scope"),
    REUSE_SLOT.c.audience == bindparam("of_audience"),
)

FIND: Final = Prepared(select(TOKEN).where(TOKEN.c.digest == bindparam("of_digest")))
FIND_REUSABLE: Final = Prepared(
    select(REUSE_SLOT.c.digest, REUSE_SLOT.c.sealed, REUSE_SLOT.c.expires_at).where(
        *IS_SLOT, REUSE_SLOT.c.expires_at > bindparam("after")
    )
)
CLEAR_SLOT: Final = delete(REUSE_SLOT).where(*IS_SLOT)
FILL_SLOT: Final = insert(REUSE_SLOT)


class SqlTokens:
    """Implements `interface.TokenStore`."""

    def __init__(self, reader: Reader, writer: GroupCommit) -> None:
        self._reader = reader
        self._writer = writer

    async def add(self, records: Sequence[TokenRecord]) -> None:
        """Add tokens, all or none, and return when they are on disk.

        Raises: AlreadyExists (a digest), StoreUnavailable.
        """
        await self._writer.add(records)

    async def find(self, digest: bytes) -> TokenRecord | None:
        """Return the token with this SHA-256 digest, or None. Raises: StoreUnavailable."""
        return await self._reader.run(read_token, digest)

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
        return await self._writer.run(
            partial(fill_slot, record=record, slot=slot, token=token, expires_after=expires_after)
        )


def read_token(connection: Connection, digest: bytes) -> TokenRecord | None:
    """Return the token with this digest, or None. Raises: DBAPIError."""
    rows = FIND.rows(connection, digest)
    return TokenRecord(*rows[0]) if rows else None


def read_slot(connection: Connection, slot: ReuseSlot, expires_after: int) -> ReusableToken | None:
    """Return the live token of the slot, or None. Raises: DBAPIError."""
    rows = FIND_REUSABLE.rows(connection, slot.tenant_id, slot.client_id, slot.scope, slot.audience, expires_after)
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

    Only the holder of the write lock is here, so nothing comes between the look and the write.
    """
    live = read_slot(connection, slot, expires_after)
    if live is not None:
        return live
    add_tokens(connection, [record])
    connection.execute(CLEAR_SLOT, {f"of_{name}": value for name, value in asdict(slot).items()})
    connection.execute(FILL_SLOT, {**asdict(slot), **asdict(token)})
    return token
