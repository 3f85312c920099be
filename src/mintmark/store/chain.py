"""The audit log's chain: each record holds the hash of the one before, none can be changed or left out unseen.

A hash is SHA-256 over a JSON array, without white space, of the record's members in their order, with the digest of the
body in the place of the body, and of the previous hash, both in hex. So a body can go and the chain stands. Appending
happens inside the transaction of what is recorded, when nobody else appends.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, func, insert, select

from mintmark.store.prepared import Prepared, change
from mintmark.store.records import Act, AuditRecord
from mintmark.store.session import keep, kept_by
from mintmark.store.tables import AUDIT_CHECKPOINT, AUDIT_RECORD

GENESIS: Final = bytes(32)
"""What the first record holds as the hash before it."""

ADD: Final = insert(AUDIT_RECORD)
LAST_RECORD: Final = Prepared(
    select(AUDIT_RECORD.c.seq, AUDIT_RECORD.c.hash).where(
        AUDIT_RECORD.c.seq == select(func.max(AUDIT_RECORD.c.seq)).scalar_subquery()
    )
)
LAST_CHECKPOINT: Final = Prepared(
    select(AUDIT_CHECKPOINT.c.seq, AUDIT_CHECKPOINT.c.hash).where(
        AUDIT_CHECKPOINT.c.seq == select(func.max(AUDIT_CHECKPOINT.c.seq)).scalar_subquery()
    )
)
_ENCODE: Final = msgspec.json.Encoder().encode


class Draft(NamedTuple):
    """A record before it has its place."""

    act: Act
    tenant_id: str | None
    subject: str
    body: Any
    """What is written as JSON."""


def hash_record(record: AuditRecord) -> bytes:
    """Return the hash that a record of these members has."""
    *members, _body, body_digest, previous, _hash = msgspec.structs.astuple(record)
    return sha256(_ENCODE([*members, body_digest.hex(), previous.hex()])).digest()


def digest_body(body: str) -> bytes:
    """Return what the hash of a record covers of its body."""
    return sha256(body.encode()).digest()


def append(connection: Connection, drafts: Sequence[Draft]) -> None:
    """Put records behind the last. Raises: DBAPIError."""
    seq, previous = read_head(connection)
    rows = []
    for draft in drafts:
        seq += 1
        record = link(draft, seq, previous)
        previous = record.hash
        rows.append(msgspec.structs.asdict(record))
    if rows:
        change(connection, ADD, *rows)
        keep(connection, head=(seq, previous))


def link(draft: Draft, seq: int, previous: bytes) -> AuditRecord:
    """Give a record its place in the chain."""
    body = _ENCODE(draft.body)
    open_end = AuditRecord(
        seq=seq,
        at=draft.act.at,
        kind=draft.act.kind,
        actor=draft.act.actor,
        tenant_id=draft.tenant_id,
        subject=draft.subject,
        source=draft.act.source,
        token=draft.act.token,
        correlation_id=draft.act.correlation_id,
        body=body.decode(),
        body_digest=sha256(body).digest(),
        previous=previous,
        hash=b"",
    )
    return msgspec.structs.replace(open_end, hash=hash_record(open_end))


def read_head(connection: Connection) -> tuple[int, bytes]:
    """Return the place and hash of the last record, also when age has removed it. Raises: DBAPIError."""
    kept = kept_by(connection)
    if kept is not None and kept.head is not None:
        return kept.head
    rows = LAST_RECORD.rows(connection) or LAST_CHECKPOINT.rows(connection)
    return tuple(rows[0]) if rows else (0, GENESIS)
