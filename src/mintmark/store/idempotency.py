"""Creations that may be asked for twice: which request a key stood on, and the sealed answer to it."""

from __future__ import annotations

from functools import partial
from typing import Final

from msgspec.structs import asdict
from sqlalchemy import Connection, bindparam, delete, insert, select

from mintmark.store.prepared import Prepared
from mintmark.store.reading import Reader
from mintmark.store.records import IdempotencyRecord
from mintmark.store.tables import IDEMPOTENCY
from mintmark.store.writing import Writing

IS_KEY: Final = (IDEMPOTENCY.c.actor == bindparam("of_actor"), IDEMPOTENCY.c.key == bindparam("of_key"))

FIND: Final = Prepared(select(IDEMPOTENCY).where(*IS_KEY, IDEMPOTENCY.c.expires_at > bindparam("now")))
ADD: Final = insert(IDEMPOTENCY)
REMOVE: Final = delete(IDEMPOTENCY).where(*IS_KEY)


class SqlIdempotency:
    """Implements `interface.IdempotencyStore`."""

    def __init__(self, reader: Reader, writing: Writing) -> None:
        self._reader = reader
        self._writing = writing

    async def find(self, actor: str, key: str, now: int) -> IdempotencyRecord | None:
        """Return what a key stood on, unless that has expired. Raises: StoreUnavailable."""
        return await self._reader.run(read_live, actor, key, now)

    async def keep(self, record: IdempotencyRecord) -> None:
        """Keep an answer, in the place of an expired one. Raises: StoreUnavailable."""
        await self._writing.run(partial(write_record, record=record))


def read_live(connection: Connection, actor: str, key: str, now: int) -> IdempotencyRecord | None:
    """Return the record of a key unless it has expired. Raises: DBAPIError."""
    rows = FIND.rows(connection, actor, key, now)
    return IdempotencyRecord(*rows[0]) if rows else None


def write_record(connection: Connection, *, record: IdempotencyRecord) -> None:
    """Put the record in the place of an expired one. Raises: DBAPIError."""
    connection.execute(REMOVE, {"of_actor": record.actor, "of_key": record.key})
    connection.execute(ADD, asdict(record))
