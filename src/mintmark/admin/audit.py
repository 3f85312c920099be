"""Verbs on the audit log: read it, and verify it. What the leader does for it: `audit_upkeep`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

import msgspec

from mintmark.admin.administration import Administration, Malformed
from mintmark.admin.audit_chain import (
    BODIES_FACT,
    HEAD_FACT,
    ChainVerifier,
    Fault,
    open_end_of_bodies,
    open_head,
    unsealed,
)
from mintmark.store.records import AuditPage, AuditRecord, AuditSearch

PAGE: Final = 500
"""Records read at once."""


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
    find_fact = administration.store.deployment.find_fact
    sealed = open_head(administration.audit_key, await find_fact(HEAD_FACT))
    checkpoints = await store.checkpoints()
    heads = [head for head in (_read_known(known), sealed) if head]
    verifier = ChainVerifier(checkpoints, administration.audit_key, heads)
    after = 0
    while verifier.fault is None and (page := await store.after(after, PAGE)):
        # Read after the page: it moves on meanwhile.
        bodies_end = open_end_of_bodies(administration.audit_key, await find_fact(BODIES_FACT))
        verifier.take(page, bodies_end=bodies_end)
        after = page[-1].seq
        await asyncio.sleep(0)
    fault = verifier.finish() or unsealed(sealed, checkpoints)
    return Verdict(verifier.records, verifier.head, verifier.checkpoints_met, verifier.bodies_gone, fault)


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
