"""What every serving process writes now and then, by itself: its events for the audit log, and when secrets were used.

Neither waits for the disk: the next synced commit takes it there. A process that is killed loses what it gathered in
the last second, and the refusals and the last use of secrets since the last half minute.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from itertools import islice
from typing import Final

import structlog

from mintmark.admin.administration import Administration
from mintmark.authentication.last_used import LastUsed, name_secret
from mintmark.protocol.errors import StoreError
from mintmark.store.events import EVENTS, AuditBuffer, EventKind, EventRecord, records_of

log = structlog.get_logger()

FLUSH_INTERVAL_S: Final = 1.0
LAST_USED_INTERVAL_S: Final = 30.0
"""Also of refusals, of which those that are alike are one entry: who tries for days shall not fill the disk."""
EACH_FLUSH: Final = tuple(kind for kind in EVENTS if kind != "credentials_refused")
RECORDS_A_WRITE: Final = 20
OCTETS_A_WRITE: Final = 256 * 1024
SECRETS_A_WRITE: Final = 500
"""Rows of one transaction: others wait meanwhile, as for OCTETS_A_WRITE and RECORDS_A_WRITE."""


class Recording:
    """Gathers for one process, and writes. Raises nothing where the store is away: what was gathered waits, bounded."""

    def __init__(self, administration: Administration, *, audit_tokens: bool) -> None:
        self.buffer = AuditBuffer(takes_issued=audit_tokens)
        self.last_used = LastUsed()
        self._administration = administration
        self._last_written = administration.clock()
        self._waiting: deque[EventRecord] = deque()
        self._writing = asyncio.Lock()
        self._round: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Write at each interval, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_INTERVAL_S)
            self._round = asyncio.ensure_future(self._write_due())
            # Who cancels this does not cut off a write: what it has in hand would be lost.
            await asyncio.shield(self._round)

    async def _write_due(self) -> None:
        is_due = self._administration.clock() - self._last_written >= LAST_USED_INTERVAL_S
        await self.write_events(tuple(EVENTS) if is_due else EACH_FLUSH)
        if is_due or self.last_used.are_many():
            await self.write_last_used()

    async def write_events(self, kinds: Collection[EventKind] = tuple(EVENTS)) -> None:
        """Append what has happened to the audit log; what cannot be written waits, and the next is gathered."""
        async with self._writing:
            try:
                await self._write_waiting()
                await self._encode(kinds)
                await self._write_waiting()
            except StoreError as error:
                log.error("events_not_recorded", error=str(error))

    async def _encode(self, kinds: Collection[EventKind]) -> None:
        """Make records of what has gathered, before the lock of all writers is asked for."""
        events = self.buffer.drain(kinds)
        for record in records_of(events, self._administration.now()) if events else ():
            self._waiting.append(record)
            # One may be a millisecond's work, and requests wait meanwhile.
            await asyncio.sleep(0)

    async def _write_waiting(self) -> None:
        store = self._administration.store.unsynced()
        while self._waiting:
            chunk = _first_of(self._waiting)
            await store.audit.add_events(chunk)
            for _ in chunk:
                self._waiting.popleft()

    async def write_last_used(self) -> None:
        """Write when secrets were last used."""
        self._last_written = self._administration.clock()
        noted = self.last_used.drain()
        rest = iter(noted.items())
        clients = self._administration.store.unsynced().clients
        try:
            while chunk := dict(islice(rest, SECRETS_A_WRITE)):
                await clients.mark_used({name_secret(note): at for note, at in chunk.items()})
        except StoreError as error:
            log.error("last_use_not_written", error=str(error))
            self.last_used.put_back(noted)

    async def finish(self) -> None:
        """Write what is left, at the end of the process."""
        if self._round is not None:
            await self._round
        await self.write_events()
        await self.write_last_used()


def _first_of(records: deque[EventRecord]) -> list[EventRecord]:
    """Return the records for one write: the first, and those behind it that find room."""
    chunk, octets = list[EventRecord](), 0
    for record in islice(records, RECORDS_A_WRITE):
        octets += len(record.body)
        if chunk and octets > OCTETS_A_WRITE:
            break
        chunk.append(record)
    return chunk
