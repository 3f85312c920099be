"""Verbs on the audit log: read it, verify it, accept a break. What the leader does for it: `audit_upkeep`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from mintmark.admin.administration import Administration, LimitReached, Malformed
from mintmark.admin.audit_acceptance import (
    ACCEPTING,
    Acceptance,
    checkpoints_that_count,
    fingerprint,
    read_acceptances,
    sign_acceptance,
)
from mintmark.admin.audit_chain import (
    BODIES_FACT,
    HEAD_FACT,
    ChainVerifier,
    Fault,
    is_genuine,
    open_end_of_bodies,
    open_head,
    seal_end_of_bodies,
    seal_head,
    sign_checkpoint,
    unsealed,
)
from mintmark.store.interface import AuditStore
from mintmark.store.records import AuditCheckpoint, AuditPage, AuditRecord, AuditSearch

PAGE: Final = 500
"""Records read at once."""
END: Final = 2**63
"""Behind every record."""


class Verdict(NamedTuple):
    """What verifying the log found."""

    records: int
    """How many were looked at, up to the fault."""
    head: str
    """`SEQ:HASH` of the last record: kept elsewhere, it shows later whether that part of the log still stands."""
    checkpoints: int
    """How many signed checkpoints were met."""
    bodies_gone: int
    """Of how many records the body was removed for its age."""
    accepted: Sequence[Acceptance]
    """Breaks that somebody has looked into: what lies in them is not judged."""
    fault: Fault | None
    """The first fault that nobody has accepted; None: every other record is as it was written."""


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
    key, store = administration.audit_key, administration.store.audit
    # Read first: what is appended meanwhile then lies behind the last of them.
    sealed = open_head(key, await administration.store.deployment.find_fact(HEAD_FACT))
    accepted = await _find_acceptances(administration)
    checkpoints = checkpoints_that_count(key, await store.checkpoints(), accepted)
    heads = [head for head in (_read_known(known), sealed) if head]
    verifier = ChainVerifier(checkpoints, key, heads)
    after, anchored = 0, max((one.seq for one in checkpoints if one.is_anchor), default=0)
    for one in accepted:
        if one.holds_records and one.last > anchored:
            await _follow(administration, verifier, after, one.first)
            # Where age has begun to remove it, there is nothing left to compare.
            fault = await _find_change(store, one) if one.first > anchored else None
            verifier.pass_over(one.last, bytes.fromhex(one.hash), fault)
            after = one.last
    await _follow(administration, verifier, after, END)
    fault = verifier.finish() or unsealed(sealed, checkpoints)
    return Verdict(verifier.records, verifier.head, verifier.checkpoints_met, verifier.bodies_gone, accepted, fault)


async def accept_break(administration: Administration, seq: int, reason: str) -> Acceptance:
    """Accept the log's first fault, at record `seq`, and let the chain go on from the present end.

    What lies between is judged no more, but must stay as it now stands. All that is an act, recorded in the log and
    signed, and every `verify_audit` tells of it.

    Args:
        reason: what was found out about it.

    Raises: AdministrationError.
    """
    fault = (await verify_audit(administration)).fault
    if fault is None:
        raise LimitReached("the audit log is as it was written: there is nothing to accept")
    if fault.seq != seq:
        raise Malformed(f"the first fault is at record {fault.seq}: {fault.text}", "seq")
    key, store = administration.audit_key, administration.store
    checkpoints = await store.audit.checkpoints()
    accepted = sign_acceptance(key, await _describe_break(administration, fault, reason, checkpoints))
    last, hashed = accepted.last, bytes.fromhex(accepted.hash)
    bodies_end = min(await _find_end_of_bodies(administration), last)
    await administration.acting(ACCEPTING).audit.accept(
        msgspec.to_builtins(accepted),
        sign_checkpoint(key, last, hashed, at=administration.now()),
        without=[one.seq for one in checkpoints if one.seq > last or not is_genuine(one, key)],
        facts={HEAD_FACT: seal_head(key, last, hashed), BODIES_FACT: seal_end_of_bodies(key, bodies_end)},
    )
    return accepted


async def _describe_break(
    administration: Administration, fault: Fault, reason: str, checkpoints: Sequence[AuditCheckpoint]
) -> Acceptance:
    """Return what is to be accepted, from the fault to the present end, unsigned."""
    store = administration.store
    last, hashed = await store.audit.head()
    sealed = await store.deployment.find_fact(HEAD_FACT) or ""
    anchors = (one.seq for one in checkpoints if one.is_anchor and is_genuine(one, administration.audit_key))
    is_in_a_seal = fault.kind in {"forged_checkpoint", "unsealed"}
    first = last + 1 if is_in_a_seal else max(fault.seq, max(anchors, default=0) + 1)
    return Acceptance(
        first=first,
        last=last,
        hash=hashed.hex(),
        digest=(await _digest(store.audit, first, last)).hex(),
        sealed=sealed.rpartition(":")[0],
        fault_seq=fault.seq,
        fault_kind=fault.kind,
        fault_text=fault.text,
        reason=reason,
    )


async def _follow(administration: Administration, verifier: ChainVerifier, after: int, until: int) -> None:
    """Let the verifier judge the records behind `after` and before `until`, up to the first fault."""
    while verifier.fault is None and (page := await administration.store.audit.after(after, PAGE)):
        # Read after the page: it moves on meanwhile.
        bodies_end = await _find_end_of_bodies(administration)
        verifier.take([record for record in page if record.seq < until], bodies_end=bodies_end)
        after = page[-1].seq
        if after >= until - 1:
            return
        await asyncio.sleep(0)


async def _find_end_of_bodies(administration: Administration) -> int:
    fact = await administration.store.deployment.find_fact(BODIES_FACT)
    return open_end_of_bodies(administration.audit_key, fact)


async def _find_acceptances(administration: Administration) -> list[Acceptance]:
    records = list[AuditRecord]()
    place: int | None = 0
    while place is not None:
        wanted = AuditSearch(kind=ACCEPTING, after=place, limit=PAGE)
        found, place = await administration.store.audit.search(wanted)
        records += found
    return read_acceptances(administration.audit_key, records)


async def _find_change(store: AuditStore, accepted: Acceptance) -> Fault | None:
    first, last = accepted.first, accepted.last
    if (await _digest(store, first, last)).hex() == accepted.digest:
        return None
    return Fault(first, "rewritten", f"the records {first} to {last} do not stand as they were accepted")


async def _digest(store: AuditStore, first: int, last: int) -> bytes:
    """Return a digest over records as they stand."""
    digest, after = sha256(), first - 1
    while after < last and (page := await store.after(after, PAGE)):
        for record in page:
            if record.seq <= last:
                digest.update(fingerprint(record))
        after = page[-1].seq
        await asyncio.sleep(0)
    return digest.digest()


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
    """Return a record as it is shown: its body as JSON, or null where age has removed it; the hashes in hex."""
    shown: dict[str, object] = msgspec.structs.asdict(record)
    return shown | {
        "body": msgspec.Raw(record.body.encode()) if record.body else None,
        "body_digest": record.body_digest.hex(),
        "previous": record.previous.hex(),
        "hash": record.hash.hex(),
    }
