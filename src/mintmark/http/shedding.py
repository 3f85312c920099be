"""Load above capacity: some are told at once to come again, and the others keep their time.

Requests wait unseen, in the sockets: the event loop takes all that are there in one turn, and answers them one after
the other. How long a turn takes is how long its last request waits. So where turns get long, as many are shed as make
them short again: here and there in a turn, for those who ask most often stand first in it. Nothing is measured while
turns are short.

A turn may go on for seconds, with new requests in it: libuv reads on as long as 1024 sockets at once have something. No
timer comes up meanwhile, so it is the requests that look at the clock.
"""

from __future__ import annotations

import asyncio
from math import inf
from time import monotonic
from typing import Final

import structlog

LOOK_S: Final = 0.05
"""Between looks whether the loop turns in time."""
WATCHED_S: Final = 2.0
"""After the loop was late, its turns are measured for so long."""
CROWD: Final = 20
"""Requests of one turn. Where there are fewer it is not by their number that it was long, and to shed helps nobody."""
TOLD_EVERY_S: Final = 1.0
SHED_COST: Final = 0.3
"""Of a request that is shed, where one that is taken costs 1. Roughly: a quarter to two fifths were measured."""
LEAST_SHARE: Final = 0.05
"""Of the requests. Where this is too much it is shedding that takes the time, and to shed more would help nobody."""
MOST_RISE: Final = 1.25
"""Of the share that is taken, from one turn to the next."""
MOST_GROWTH: Final = 4.0
"""Of a turn over the one before it. Where it was more, nothing is foretold from it."""

log = structlog.get_logger()


class Shedding:
    """Tells which requests of this process are not taken.

    Args:
        after_s: how long a turn may be, in seconds.
    """

    def __init__(self, after_s: float) -> None:
        self.watch_from = inf
        """On the clock of `monotonic`: whether a request that begins later is shed is to be asked."""
        self._after_s = after_s
        self._share = 1.0
        self._credit = 0.0
        self._asked = 0
        self._last_s = 0.0
        self._was_long = False
        self._turn_began: float | None = None
        self._judged_at = 0.0
        self._watch_until = 0.0
        self._shed = 0
        self._told_at = 0.0

    def is_shed(self) -> bool:
        """Tell whether a request is not to be taken; it is counted then. To be asked of each after `watch_from`."""
        now = monotonic()
        if self._turn_began is None:
            self._turn_began = self._judged_at = now
            # What is called soon is called when all that this turn found has been answered.
            asyncio.get_running_loop().call_soon(self._end_turn)
        elif now - self._judged_at > self._after_s:
            self._judged_at = now
            self.note_turn(now - self._turn_began, self._asked)
        self._asked += 1
        self._credit += self._share
        if self._credit >= 1.0:
            self._credit -= 1.0
            return False
        self._shed += 1
        return True

    def _end_turn(self) -> None:
        if self._turn_began is not None:
            self.note_turn(monotonic() - self._turn_began, self._asked)
            self._turn_began, self._asked = None, 0

    def note_turn(self, length_s: float, requests: int = CROWD) -> None:
        """Take such a share in the next turn that it becomes as long as it may be.

        One long turn alone is none of the requests' doing: the process stood still.
        """
        if requests < CROWD:
            # Not at once: what comes in lumps has such turns between long ones.
            self._share = min(1.0, self._share * MOST_RISE)
            return
        last_s, self._last_s = self._last_s, length_s
        if length_s > self._after_s and not self._was_long:
            self._was_long = True
        elif length_s > 0.0:
            # What comes during a turn makes the next one: it grows as this one did, but not by leaps.
            growth = length_s / last_s if length_s < last_s * MOST_GROWTH else 1.0
            self._share = self._find_share(length_s * growth)

    def _find_share(self, expected_s: float) -> float:
        """Return the share with which a turn is as long as it may be that would last so long with the present one."""
        cost = self._share + (1.0 - self._share) * SHED_COST
        share = (cost * self._after_s / expected_s - SHED_COST) / (1.0 - SHED_COST)
        return max(LEAST_SHARE, min(1.0, self._share * MOST_RISE, share))

    async def watch(self) -> None:
        """Look, until cancelled, how late the event loop is."""
        while True:
            due = monotonic() + LOOK_S
            await asyncio.sleep(LOOK_S)
            now = monotonic()
            self.note_lateness(now, now - due)
            if self._shed and now - self._told_at >= TOLD_EVERY_S:
                log.warning("requests_shed", shed=self._shed, taken_share=round(self._share, 2))
                self._shed, self._told_at = 0, now

    def note_lateness(self, now: float, late_s: float) -> None:
        """Take note of how late the loop was: a turn was so long, or longer."""
        if late_s > self._after_s / 2:
            self._watch_until = now + WATCHED_S
        is_watching = now < self._watch_until or self._share < 1.0
        self._was_long = self._was_long and is_watching
        # Where it does not watch: should the next look be late, the requests find out by themselves.
        self.watch_from = 0.0 if is_watching else now + LOOK_S + self._after_s / 2
