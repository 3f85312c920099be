"""What every serving process writes now and then, by itself: its events for the audit log, and when secrets were used.

Neither waits for the disk: the next synced commit takes it there. A process that is killed loses what it gathered in
the last second, and the last use of secrets since the last half minute.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Final

import structlog

from mintmark.admin.administration import Administration
from mintmark.authentication.last_used import LastUsed
from mintmark.protocol.errors import StoreError
from mintmark.store.events import AuditBuffer

log = structlog.get_logger()

FLUSH_INTERVAL_S: Final = 1.0
LAST_USED_INTERVAL_S: Final = 30.0
SECRETS_A_WRITE: Final = 500
"""Rows of one transaction: others wait meanwhile."""


class Recording:
    """Gathers for one process, and writes. Raises nothing where the store is away: what was gathered waits, bounded."""

    def __init__(self, administration: Administration, *, audit_tokens: bool) -> None:
        self.buffer = AuditBuffer(takes_issued=audit_tokens)
        self.last_used = LastUsed()
        self._administration = administration
        self._last_written = administration.clock()
        self._round: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Write at each interval, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_INTERVAL_S)
            self._round = asyncio.ensure_future(self._write_due())
            # Who cancels this does not cut off a write: what it has in hand would be lost.
            await asyncio.shield(self._round)

    async def _write_due(self) -> None:
        await self.write_events()
        if self._administration.clock() - self._last_written >= LAST_USED_INTERVAL_S:
            await self.write_last_used()

    async def write_events(self) -> None:
        """Append what has happened to the audit log."""
        events = self.buffer.drain()
        if events is None:
            return
        try:
            await self._administration.store.unsynced().audit.add_events(events, self._administration.now())
        except StoreError as error:
            log.error("events_not_recorded", error=str(error))
            self.buffer.put_back(events)

    async def write_last_used(self) -> None:
        """Write when secrets were last used."""
        self._last_written = self._administration.clock()
        noted = self.last_used.drain()
        rest = iter(noted.items())
        clients = self._administration.store.unsynced().clients
        try:
            while chunk := dict(islice(rest, SECRETS_A_WRITE)):
                await clients.mark_used(chunk)
        except StoreError as error:
            log.error("last_use_not_written", error=str(error))
            self.last_used.put_back(noted)

    async def finish(self) -> None:
        """Write what is left, at the end of the process."""
        if self._round is not None:
            await self._round
        await self.write_events()
        await self.write_last_used()
