"""Creations that may be asked for twice: which request a key stood on, and the sealed answer to it."""

from __future__ import annotations

from functools import partial
from typing import Final

from msgspec.structs import asdict
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mintmark.store.prepared import Prepared
from mintmark.store.records import IdempotencyRecord
from mintmark.store.tables import IDEMPOTENCY
from mintmark.store.writing import Writing

IS_KEY: Final = (IDEMPOTENCY.c.actor == bindparam("of_actor"), IDEMPOTENCY.c.key == bindparam("of_key"))

FIND: Final = Prepared(select(IDEMPOTENCY).where(*IS_KEY))
ADD: Final = insert(IDEMPOTENCY)
FINISH: Final = update(IDEMPOTENCY).where(*IS_KEY).values(sealed=bindparam("answer"), expires_at=bindparam("until"))
REMOVE: Final = delete(IDEMPOTENCY).where(*IS_KEY)


class SqlIdempotency:
    """Implements `interface.IdempotencyStore`."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing

    async def claim(self, record: IdempotencyRecord, now: int) -> IdempotencyRecord | None:
        """Put the record in its place unless a live one is there; return that one. Raises: StoreUnavailable."""
        return await self._writing.run(partial(write_unless_live, record=record, now=now))

    async def finish(self, actor: str, key: str, sealed: bytes, expires_at: int) -> None:
        """Keep the answer until then. Raises: StoreUnavailable."""
        values = {"of_actor": actor, "of_key": key, "answer": sealed, "until": expires_at}
        await self._writing.run(partial(write_answer, values=values))

    async def release(self, actor: str, key: str) -> None:
        """Forget a claim whose request came to nothing. Raises: StoreUnavailable."""
        await self._writing.run(partial(erase, actor=actor, key=key))


def write_unless_live(connection: Connection, *, record: IdempotencyRecord, now: int) -> IdempotencyRecord | None:
    """Insert the record unless a live one is there; return that one. Raises: DBAPIError.

    Only one at a time is here, so of parallel requests one claims the key.
    """
    rows = FIND.rows(connection, record.actor, record.key)
    found = IdempotencyRecord(*rows[0]) if rows else None
    if found is not None and found.expires_at > now:
        return found
    erase(connection, actor=record.actor, key=record.key)
    connection.execute(ADD, asdict(record))
    return None


def write_answer(connection: Connection, *, values: dict[str, object]) -> None:
    """Update the record. Raises: DBAPIError."""
    connection.execute(FINISH, values)


def erase(connection: Connection, *, actor: str, key: str) -> None:
    """Delete the record. Raises: DBAPIError."""
    connection.execute(REMOVE, {"of_actor": actor, "of_key": key})
