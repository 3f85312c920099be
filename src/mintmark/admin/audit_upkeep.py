"""What the leader does for the audit log: it signs the head now and then, and removes what is too old.

Plain functions of what is stored and of the moment; they may run twice, or be cut off, without harm.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import takewhile
from typing import Final

import structlog

from mintmark.admin.administration import Administration
from mintmark.admin.audit_chain import (
    BODIES_FACT,
    HEAD_FACT,
    open_end_of_bodies,
    open_head,
    seal_end_of_bodies,
    seal_head,
    sign_checkpoint,
)
from mintmark.protocol.errors import MintmarkError
from mintmark.store.interface import AuditStore
from mintmark.store.records import AuditLink

log = structlog.get_logger()

LINKS: Final = 1000
"""Links read at once."""
PURGE_ROWS: Final = 500
PURGE_BODIES: Final = 50
"""Records whose bodies one transaction removes: a body may have a hundred kilobytes."""
PURGE_PAUSE_S: Final = 0.02


class AuditBroken(MintmarkError):
    """The log does not go on from where it was sealed last."""

    def __init__(self, sealed: str, head: str) -> None:
        """Take both, `SEQ:HASH`; `sealed` is empty where there is none."""
        super().__init__(
            f"the audit log, up to {head}, does not go on from its sealed head, {sealed or 'which is gone'}"
        )
        self.sealed = sealed
        self.head = head


async def write_checkpoint(administration: Administration, interval_s: int) -> bool:
    """Sign the head of the log, unless it is signed or a checkpoint is younger than `interval_s`; tell whether.

    Raises: AuditBroken (nothing was signed), StoreUnavailable.
    """
    store, now = administration.store.audit, administration.now()
    seq, hashed = await store.head()
    sealed, last = await _sealed_head(administration), await store.last_checkpoint()
    if sealed == (seq, hashed) or (last is not None and now - last.at < interval_s):
        return False
    if sealed is None or not await _continues(store, sealed, (seq, hashed)):
        raise AuditBroken(f"{sealed[0]}:{sealed[1].hex()}" if sealed else "", f"{seq}:{hashed.hex()}")
    checkpoint = sign_checkpoint(administration.audit_key, seq, hashed, at=now)
    await store.add_checkpoint(checkpoint, {HEAD_FACT: seal_head(administration.audit_key, seq, hashed)})
    # In a log that is kept elsewhere, this shows later whether the end of the chain was cut off.
    log.info("audit_checkpoint", head=f"{seq}:{hashed.hex()}")
    return True


async def _continues(store: AuditStore, sealed: tuple[int, bytes], head: tuple[int, bytes]) -> bool:
    """Tell whether the records behind the sealed head are linked to it, one to the other, up to the head.

    Whether each is as it was written is for who verifies: here the bodies are not read.
    """
    end = sealed
    while end[0] < head[0] and (page := await store.links(end[0], LINKS)):
        for link in page:
            if (link.seq - 1, link.previous) != end:
                return False
            end = link.seq, link.hash
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
    while old := await _find_old(store, 0, now - retention_s, PURGE_ROWS):
        last = old[-1]
        if not await _is_sealed(administration, last.seq):
            break
        await store.purge(sign_checkpoint(administration.audit_key, last.seq, last.hash, at=now, is_anchor=True))
        removed += len(old)
        await asyncio.sleep(PURGE_PAUSE_S)
    return removed


async def purge_bodies(administration: Administration, retention_s: int) -> int:
    """Remove the bodies of events older than `retention_s` in short steps; return how many.

    Their records stay, and with them the chain. How far it has come is signed: no other body may be missing.

    Raises: StoreUnavailable.
    """
    store, key, removed = administration.store.audit, administration.audit_key, 0
    end = open_end_of_bodies(key, await administration.store.deployment.find_fact(BODIES_FACT))
    while old := await _find_old(store, end, administration.now() - retention_s, PURGE_BODIES):
        last = old[-1].seq
        if not await _is_sealed(administration, last):
            break
        removed += await store.purge_bodies(end, last, {BODIES_FACT: seal_end_of_bodies(key, last)})
        end = last
        await asyncio.sleep(PURGE_PAUSE_S)
    return removed


async def _is_sealed(administration: Administration, seq: int) -> bool:
    sealed = await _sealed_head(administration)
    if sealed is not None and sealed[0] >= seq:
        return True
    with suppress(AuditBroken):
        return await write_checkpoint(administration, 0)
    return False


async def _find_old(store: AuditStore, after: int, until: int, limit: int) -> list[AuditLink]:
    """Return the records behind `after` up to the first that is younger, which holds what comes behind it.

    Mostly the very first is: so that one is read alone.
    """
    if not [link for link in await store.links(after, 1) if link.at <= until]:
        return []
    return list(takewhile(lambda link: link.at <= until, await store.links(after, limit)))


async def _sealed_head(administration: Administration) -> tuple[int, bytes] | None:
    return open_head(administration.audit_key, await administration.store.deployment.find_fact(HEAD_FACT))
