"""Verbs on the audit log: read it and verify it; and what the leader does for it: checkpoints, and the end by age."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

import msgspec
import structlog

from mintmark.admin.administration import Administration, Malformed
from mintmark.admin.audit_chain import ChainVerifier, Fault, sign_checkpoint
from mintmark.store.interface import AuditStore
from mintmark.store.records import AuditRecord

log = structlog.get_logger()

PAGE: Final = 500
"""Records read at once; requests wait meanwhile."""
PURGE_ROWS: Final = 500
PURGE_PAUSE_S: Final = 0.02
MAX_SEQ: Final = 2**62


class Verdict(NamedTuple):
    """What verifying the log found."""

    records: int
    """How many were looked at, up to the fault."""
    head: str
    """`SEQ:HASH` of the last record: kept elsewhere, it shows later whether that part of the log still stands."""
    checkpoints: int
    """How many signed checkpoints were met."""
    fault: Fault | None
    """The first fault; None: every record is as it was written."""


async def list_audit(
    administration: Administration,
    tenant_id: str | None = None,
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int,
) -> list[AuditRecord]:
    """Return a page of the records that the actor may read: of one tenant, or of all that it reaches.

    Args:
        after: oldest first, from behind this place in the log.
        before: newest first, from before this place; neither: from the newest.

    Raises: AdministrationError.
    """
    tenants = await _readable(administration, tenant_id)
    if after is not None:
        return await administration.store.audit.after(after, limit, tenants)
    return await administration.store.audit.before(MAX_SEQ if before is None else before, limit, tenants)


async def export_audit(
    administration: Administration, tenant_id: str | None = None, *, after: int = 0
) -> AsyncIterator[AuditRecord]:
    """Yield the records that the actor may read, oldest first. Raises: AdministrationError."""
    while page := await list_audit(administration, tenant_id, after=after, limit=PAGE):
        for record in page:
            yield record
        after = page[-1].seq


async def verify_audit(administration: Administration, known: str = "") -> Verdict:
    """Follow the chain from the oldest record to the newest, and hold it against the signed checkpoints.

    Args:
        known: the head that an earlier verdict named, `SEQ:HASH`.

    Raises: AdministrationError.
    """
    administration.permit("audit:read", None)
    store = administration.store.audit
    # Read first: what is appended meanwhile then lies behind the last of them.
    checkpoints = await store.checkpoints()
    verifier = ChainVerifier(checkpoints, administration.audit_key, _read_known(known))
    after = 0
    while verifier.fault is None and (page := await store.after(after, PAGE)):
        verifier.take(page)
        after = page[-1].seq
        await asyncio.sleep(0)
    fault = verifier.finish()
    return Verdict(verifier.records, verifier.head, verifier.checkpoints_met, fault)


async def write_checkpoint(administration: Administration, interval_s: int) -> bool:
    """Sign the head of the log, unless it is signed or a checkpoint is younger than `interval_s`; tell whether.

    Raises: StoreUnavailable.
    """
    store, now = administration.store.audit, administration.now()
    seq, hashed = await store.head()
    last = await store.last_checkpoint()
    if seq == 0 or (last is not None and (last.seq >= seq or now - last.at < interval_s)):
        return False
    await store.add_checkpoint(sign_checkpoint(administration.audit_key, seq, hashed, at=now))
    # In a log that is kept elsewhere, this shows later whether the end of the chain was cut off.
    log.info("audit_checkpoint", head=f"{seq}:{hashed.hex()}")
    return True


async def purge_audit(administration: Administration, retention_s: int) -> int:
    """Remove records older than `retention_s` in short steps, each leaving a signed anchor; return how many.

    Raises: StoreUnavailable.
    """
    store, now, removed = administration.store.audit, administration.now(), 0
    while old := await _find_old(store, now - retention_s):
        seq, _, hashed = old[-1]
        await store.purge(sign_checkpoint(administration.audit_key, seq, hashed, at=now, is_anchor=True))
        removed += len(old)
        await asyncio.sleep(PURGE_PAUSE_S)
    return removed


async def _find_old(store: AuditStore, until: int) -> list[tuple[int, int, bytes]]:
    """Return the oldest records up to the first that is younger, which holds what comes behind it, whatever its clock.

    Mostly the very first is: so that one is read alone.
    """
    if not [at for _, at, _ in await store.oldest(1) if at <= until]:
        return []
    return list(takewhile(lambda record: record[1] <= until, await store.oldest(PURGE_ROWS)))


async def _readable(administration: Administration, tenant_id: str | None) -> Sequence[str] | None:
    """Return the tenants whose records are meant, or None for the whole log. Raises: AdministrationError."""
    if tenant_id is not None:
        administration.permit("audit:read", tenant_id)
        await administration.require_tenant(tenant_id)
        return [tenant_id]
    if administration.actor.tenants is None:
        administration.permit("audit:read", None)
        return None
    tenants = sorted(administration.actor.tenants)
    for one in tenants[:1]:
        administration.permit("audit:read", one)
    return tenants


def _read_known(text: str) -> tuple[int, bytes] | None:
    if not text:
        return None
    seq, _, hashed = text.partition(":")
    try:
        return int(seq), bytes.fromhex(hashed)
    except ValueError as error:
        raise Malformed("known: wanted is SEQ:HASH, as verifying prints it", "known") from error


def describe_record(record: AuditRecord) -> dict[str, object]:
    """Return a record as it is shown: its body as JSON, the hashes in hex."""
    shown: dict[str, object] = msgspec.structs.asdict(record)
    return shown | {
        "body": msgspec.json.decode(record.body),
        "previous": record.previous.hex(),
        "hash": record.hash.hex(),
    }
