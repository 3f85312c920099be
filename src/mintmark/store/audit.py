"""The audit log as it is read and appended to, and the end of its oldest records. How records are chained: `chain`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from msgspec.structs import asdict
from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select

from mintmark.store.audit_search import search_records
from mintmark.store.chain import ADD, Draft, append, read_head
from mintmark.store.deployment import write_fact
from mintmark.store.events import EVENT_KINDS, EventRecord
from mintmark.store.prepared import Prepared
from mintmark.store.reading import Reader
from mintmark.store.records import Act, AuditCheckpoint, AuditLink, AuditPage, AuditRecord, AuditSearch
from mintmark.store.tables import AUDIT_CHECKPOINT, AUDIT_RECORD
from mintmark.store.writing import Shown, Subject, Writing

GONE: Final = ""
"""The body of a record that was removed for its age."""
AFTER: Final = (
    select(AUDIT_RECORD)
    .where(AUDIT_RECORD.c.seq > bindparam("seq"))
    .order_by(AUDIT_RECORD.c.seq)
    .limit(bindparam("at_most"))
)
LAST_OF_TENANT: Final = Prepared(
    select(func.max(AUDIT_RECORD.c.seq)).where(AUDIT_RECORD.c.tenant_id == bindparam("of_tenant"))
)
LINKS: Final = (
    select(AUDIT_RECORD.c.seq, AUDIT_RECORD.c.at, AUDIT_RECORD.c.previous, AUDIT_RECORD.c.hash)
    .where(AUDIT_RECORD.c.seq > bindparam("seq"))
    .order_by(AUDIT_RECORD.c.seq)
    .limit(bindparam("at_most"))
)
REMOVE_RECORDS: Final = delete(AUDIT_RECORD).where(AUDIT_RECORD.c.seq <= bindparam("up_to"))
HAS_MORTAL_BODY: Final = and_(
    AUDIT_RECORD.c.seq > bindparam("behind"),
    AUDIT_RECORD.c.seq <= bindparam("up_to"),
    AUDIT_RECORD.c.kind.in_(EVENT_KINDS),
    AUDIT_RECORD.c.body != GONE,
)
WITHOUT_BODY: Final = select(*(one for one in AUDIT_RECORD.c if one.name != "body")).where(HAS_MORTAL_BODY)
REMOVE_WHOLE: Final = delete(AUDIT_RECORD).where(HAS_MORTAL_BODY)
CHECKPOINTS: Final = select(AUDIT_CHECKPOINT).order_by(AUDIT_CHECKPOINT.c.seq)
LAST_CHECKPOINT: Final = select(AUDIT_CHECKPOINT).order_by(AUDIT_CHECKPOINT.c.seq.desc()).limit(1)
ADD_CHECKPOINT: Final = insert(AUDIT_CHECKPOINT)
REMOVE_CHECKPOINT: Final = delete(AUDIT_CHECKPOINT).where(AUDIT_CHECKPOINT.c.seq == bindparam("of_seq"))
REMOVE_CHECKPOINTS: Final = delete(AUDIT_CHECKPOINT).where(AUDIT_CHECKPOINT.c.seq <= bindparam("up_to"))

SERVER: Final = "mintmark"
"""The actor of what was done by no administrator."""


class SqlAudit:
    """Implements `interface.AuditStore`."""

    def __init__(self, reader: Reader, slow: Reader, writing: Writing) -> None:
        self._reader = reader
        self._slow = slow
        self._writing = writing

    async def add_events(self, records: Sequence[EventRecord]) -> None:
        """Append what has happened beside management. Raises: StoreUnavailable."""
        await self._writing.run(partial(write_events, records=records))

    async def after(self, seq: int, limit: int) -> list[AuditRecord]:
        """Return up to `limit` records behind `seq`, oldest first. Raises: StoreUnavailable."""
        return await self._reader.run(read_after, seq, limit)

    async def search(self, wanted: AuditSearch) -> AuditPage:
        """Return a page of what is wanted. Raises: StoreUnavailable."""
        return await self._slow.run(search_records, wanted)

    async def tells_of(self, tenant_id: str) -> bool:
        """Tell whether there is a record of a tenant, which may be gone. Raises: StoreUnavailable."""
        return (await self._reader.run(LAST_OF_TENANT.rows, tenant_id))[0][0] is not None

    async def head(self) -> tuple[int, bytes]:
        """Return the place and hash of the last record; 0 and zeros before the first. Raises: StoreUnavailable."""
        return await self._reader.run(read_head)

    async def checkpoints(self) -> list[AuditCheckpoint]:
        """Return the checkpoints, oldest first. Raises: StoreUnavailable."""
        return await self._reader.run(read_checkpoints)

    async def last_checkpoint(self) -> AuditCheckpoint | None:
        """Return the newest checkpoint, or None. Raises: StoreUnavailable."""
        return await self._reader.run(read_last_checkpoint)

    async def links(self, seq: int, limit: int) -> list[AuditLink]:
        """Return how up to `limit` records behind `seq` are chained, oldest first. Raises: StoreUnavailable."""
        return await self._reader.run(read_links, seq, limit)

    async def add_checkpoint(self, checkpoint: AuditCheckpoint, facts: Mapping[str, str] = {}) -> None:
        """Keep a checkpoint, in the place of one for the same record, and facts. Raises: StoreUnavailable."""
        await self._writing.run(partial(write_checkpoint, checkpoint=checkpoint, facts=facts))

    async def accept(
        self, shown: Shown, checkpoint: AuditCheckpoint, *, without: Sequence[int], facts: Mapping[str, str]
    ) -> None:
        """Begin anew at a checkpoint, without others, and with facts: recorded as what is shown.

        Raises: StoreUnavailable.
        """
        work = partial(replace_checkpoints, checkpoint=checkpoint, without=without, facts=facts)
        subject = Subject("audit_log", None, str(checkpoint.seq), lambda _: shown, is_new=True)
        await self._writing.record(work, [subject])

    async def purge(self, anchor: AuditCheckpoint) -> None:
        """Remove the records and checkpoints up to the anchor's, and keep the anchor. Raises: StoreUnavailable."""
        await self._writing.run(partial(erase_before, anchor=anchor))

    async def purge_bodies(self, after: int, up_to: int, facts: Mapping[str, str]) -> int:
        """Remove the bodies of events behind `after`, and write facts; return how many. Raises: StoreUnavailable."""
        return await self._writing.run(partial(erase_bodies, after=after, up_to=up_to, facts=facts))


def write_events(connection: Connection, *, records: Sequence[EventRecord]) -> None:
    """Append these records. Raises: DBAPIError."""
    drafts = [
        Draft(
            Act(kind=record.kind, at=record.at, actor=SERVER),
            record.tenant_id,
            f"tenant {record.tenant_id}" if record.tenant_id else "",
            msgspec.Raw(record.body.encode()),
        )
        for record in records
    ]
    append(connection, drafts)


def read_after(connection: Connection, seq: int, limit: int) -> list[AuditRecord]:
    """Return a page, oldest first. Raises: DBAPIError."""
    return records_from(connection.execute(AFTER, {"seq": seq, "at_most": limit}).all())


def records_from(rows: Any) -> list[AuditRecord]:
    """Return the records that these rows hold."""
    return [AuditRecord(**row._mapping) for row in rows]


def read_checkpoints(connection: Connection) -> list[AuditCheckpoint]:
    """Return the checkpoints. Raises: DBAPIError."""
    return [AuditCheckpoint(**row._mapping) for row in connection.execute(CHECKPOINTS).all()]


def read_last_checkpoint(connection: Connection) -> AuditCheckpoint | None:
    """Return the newest checkpoint, or None. Raises: DBAPIError."""
    row = connection.execute(LAST_CHECKPOINT).one_or_none()
    return None if row is None else AuditCheckpoint(**row._mapping)


def read_links(connection: Connection, seq: int, limit: int) -> list[AuditLink]:
    """Return how records are chained, without what they say. Raises: DBAPIError."""
    return [AuditLink(*row) for row in connection.execute(LINKS, {"seq": seq, "at_most": limit})]


def write_checkpoint(connection: Connection, *, checkpoint: AuditCheckpoint, facts: Mapping[str, str]) -> None:
    """Insert a checkpoint, in the place of an earlier one, and put facts in the place of theirs. Raises: DBAPIError."""
    write_facts(connection, facts)
    connection.execute(REMOVE_CHECKPOINT, {"of_seq": checkpoint.seq})
    connection.execute(ADD_CHECKPOINT, asdict(checkpoint))


def replace_checkpoints(
    connection: Connection, *, checkpoint: AuditCheckpoint, without: Sequence[int], facts: Mapping[str, str]
) -> None:
    """Delete some checkpoints, insert one, and put facts in the place of theirs. Raises: DBAPIError."""
    for seq in without:
        connection.execute(REMOVE_CHECKPOINT, {"of_seq": seq})
    write_checkpoint(connection, checkpoint=checkpoint, facts=facts)


def erase_before(connection: Connection, *, anchor: AuditCheckpoint) -> None:
    """Delete what the anchor stands for, and insert it. Raises: DBAPIError."""
    connection.execute(REMOVE_RECORDS, {"up_to": anchor.seq})
    connection.execute(REMOVE_CHECKPOINTS, {"up_to": anchor.seq})
    connection.execute(ADD_CHECKPOINT, asdict(anchor))


def erase_bodies(connection: Connection, *, after: int, up_to: int, facts: Mapping[str, str]) -> int:
    """Delete the bodies of events in a part of the log, and put facts in the place of theirs. Raises: DBAPIError."""
    write_facts(connection, facts)
    within = {"behind": after, "up_to": up_to}
    kept = [{**row._mapping, "body": GONE} for row in connection.execute(WITHOUT_BODY, within)]
    if kept:
        # Not updated: SQLite would leave each record on the page that its body has filled.
        connection.execute(REMOVE_WHOLE, within)
        connection.execute(ADD, kept)
    return len(kept)


def write_facts(connection: Connection, facts: Mapping[str, str]) -> None:
    """Put facts in the place of theirs. Raises: DBAPIError."""
    for name, value in facts.items():
        write_fact(connection, name=name, value=value)
