"""Load above capacity: who has waited too long is told at once to come again, and the others keep their time.

Requests wait unseen, in the sockets: the event loop takes all that are there in one turn, and answers them one after
the other. How long a turn takes is how long its last request waits. Nothing is measured while turns are short.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

import structlog

LOOK_S: Final = 0.05
"""Between looks whether the loop turns in time."""
WATCHED_S: Final = 2.0
"""After a turn that was long, each one is measured for so long. One alone harms nobody: the next may be short."""
TOLD_EVERY_S: Final = 1.0

log = structlog.get_logger()


class Shedding:
    """Tells which requests of this process came too late.

    Args:
        after_s: how long a request may wait in its turn, in seconds.
    """

    def __init__(self, after_s: float) -> None:
        self.is_watching = False
        self._after_s = after_s
        self._turn_began: float | None = None
        self._watch_until = 0.0
        self._shed = 0
        self._told_at = 0.0

    def is_too_late(self) -> bool:
        """Tell whether a request, begun just now, has waited too long in this turn; then it is counted.

        To be asked of each request while `is_watching`.
        """
        now = perf_counter()
        if self._turn_began is None:
            self._turn_began = now
            # What is called soon is called when all that this turn found has been answered.
            asyncio.get_running_loop().call_soon(self._end_turn)
        is_late = now - self._turn_began > self._after_s
        self._shed += is_late
        return is_late

    def _end_turn(self) -> None:
        self._turn_began = None

    async def watch(self) -> None:
        """Look, until cancelled, how late the event loop is."""
        while True:
            due = perf_counter() + LOOK_S
            await asyncio.sleep(LOOK_S)
            now = perf_counter()
            self.note(now, now - due)
            self._tell(now)

    def note(self, now: float, late_s: float) -> None:
        """Take note of how late the loop was: so long was the turn then, or longer."""
        if late_s > self._after_s / 2:
            self._watch_until = now + WATCHED_S
        self.is_watching = now < self._watch_until

    def _tell(self, now: float) -> None:
        if self._shed and now - self._told_at >= TOLD_EVERY_S:
            log.warning("requests_shed", shed=self._shed, after_s=self._after_s)
            self._shed, self._told_at = 0, now
