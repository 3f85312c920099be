"""Verbs on the audit log: read it and verify it; and what the leader does for it: checkpoints, and the end by age."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

import msgspec
import structlog

from mintmark.admin.administration import Administration, Malformed
from mintmark.admin.audit_chain import ChainVerifier, Fault, open_head, seal_head, sign_checkpoint, unsealed
from mintmark.store.interface import AuditStore
from mintmark.store.records import AuditPage, AuditRecord, AuditSearch

log = structlog.get_logger()

PAGE: Final = 500
"""Records read at once."""
LINKS: Final = 1000
PURGE_ROWS: Final = 500
PURGE_PAUSE_S: Final = 0.02
HEAD_FACT: Final = "audit_head"
"""See `seal_head`."""


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


async def search_audit(administration: Administration, wanted: AuditSearch, tenant_id: str | None = None) -> AuditPage:
    """Return a page of the records that are wanted and that the actor may read: of one tenant, or of all it reaches.

    Raises: AdministrationError.
    """
    tenants = await _readable(administration, tenant_id)
    return await administration.store.audit.search(msgspec.structs.replace(wanted, tenants=tenants))


async def list_audit(administration: Administration, tenant_id: str | None = None, *, limit: int) -> list[AuditRecord]:
    """Return the newest records that the actor may read, newest first. Raises: AdministrationError."""
    records = list[AuditRecord]()
    place = None
    while len(records) < limit:
        page = await search_audit(administration, AuditSearch(before=place, limit=limit - len(records)), tenant_id)
        records += page.records
        if (place := page.place) is None:
            break
    return records


async def export_audit(
    administration: Administration, tenant_id: str | None = None, *, after: int = 0
) -> AsyncIterator[AuditRecord]:
    """Yield the records that the actor may read, oldest first. Raises: AdministrationError."""
    place: int | None = after
    while place is not None:
        page = await search_audit(administration, AuditSearch(after=place, limit=PAGE), tenant_id)
        for record in page.records:
            yield record
        place = page.place


async def verify_audit(administration: Administration, known: str = "") -> Verdict:
    """Follow the chain from the oldest record to the newest, and hold it against the signed checkpoints.

    Args:
        known: the head that an earlier verdict named, `SEQ:HASH`.

    Raises: AdministrationError.
    """
    administration.permit("audit:read", None)
    store = administration.store.audit
    # Read first: what is appended meanwhile then lies behind the last of them.
    sealed = await _sealed_head(administration)
    checkpoints = await store.checkpoints()
    heads = [head for head in (_read_known(known), sealed) if head]
    verifier = ChainVerifier(checkpoints, administration.audit_key, heads)
    after = 0
    while verifier.fault is None and (page := await store.after(after, PAGE)):
        verifier.take(page)
        after = page[-1].seq
        await asyncio.sleep(0)
    fault = verifier.finish() or unsealed(sealed, checkpoints)
    return Verdict(verifier.records, verifier.head, verifier.checkpoints_met, fault)


async def write_checkpoint(administration: Administration, interval_s: int) -> bool:
    """Sign the head of the log, unless it is signed or a checkpoint is younger than `interval_s`; tell whether.

    A log that does not go on from where it was sealed last is not signed: that is logged, each time.

    Raises: StoreUnavailable.
    """
    store, now = administration.store.audit, administration.now()
    seq, hashed = await store.head()
    sealed, last = await _sealed_head(administration), await store.last_checkpoint()
    if sealed == (seq, hashed) or (last is not None and now - last.at < interval_s):
        return False
    if sealed is None or not await _continues(store, sealed, (seq, hashed)):
        log.error("audit_broken", sealed=sealed and f"{sealed[0]}:{sealed[1].hex()}", head=f"{seq}:{hashed.hex()}")
        return False
    checkpoint = sign_checkpoint(administration.audit_key, seq, hashed, at=now)
    await store.add_checkpoint(checkpoint, {HEAD_FACT: seal_head(administration.audit_key, seq, hashed)})
    # In a log that is kept elsewhere, this shows later whether the end of the chain was cut off.
    log.info("audit_checkpoint", head=f"{seq}:{hashed.hex()}")
    return True


async def _sealed_head(administration: Administration) -> tuple[int, bytes] | None:
    return open_head(administration.audit_key, await administration.store.deployment.find_fact(HEAD_FACT))


async def _continues(store: AuditStore, sealed: tuple[int, bytes], head: tuple[int, bytes]) -> bool:
    """Tell whether the records behind the sealed head are linked to it, one to the other, up to the head.

    Whether each is as it was written is for who verifies: here the bodies are not read.
    """
    end = sealed
    while end[0] < head[0] and (page := await store.links(end[0], LINKS)):
        for seq, previous, hashed in page:
            if (seq - 1, previous) != end:
                return False
            end = seq, hashed
            if end == head:
                return True
        await asyncio.sleep(0)
    return end == head


async def purge_audit(administration: Administration, retention_s: int) -> int:
    """Remove records older than `retention_s` in short steps, each leaving a signed anchor; return how many.

    None is removed that lies behind the sealed head.

    Raises: StoreUnavailable.
    """
    store, now, removed = administration.store.audit, administration.now(), 0
    while old := await _find_old(store, now - retention_s):
        seq, _, hashed = old[-1]
        if not await _is_sealed(administration, seq):
            break
        await store.purge(sign_checkpoint(administration.audit_key, seq, hashed, at=now, is_anchor=True))
        removed += len(old)
        await asyncio.sleep(PURGE_PAUSE_S)
    return removed


async def _is_sealed(administration: Administration, seq: int) -> bool:
    sealed = await _sealed_head(administration)
    return (sealed is not None and sealed[0] >= seq) or await write_checkpoint(administration, 0)


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
        "body": msgspec.Raw(record.body.encode()),
        "previous": record.previous.hex(),
        "hash": record.hash.hex(),
    }
