"""The vendor's bound on calls a second, off unless it is set: what it guards is their cloud."""

from __future__ import annotations

import time
from collections.abc import Callable

MAX_CALLERS = 10_000
"""Callers that one second is kept of; more are not held up."""


class CallRate:
    """Counts the calls of each second, by the token that is shown, in the memory of one worker."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the bound; 0: there is none."""
        self._per_second = per_second
        self._clock = clock
        self._second = 0
        self._calls: dict[bytes, int] = {}

    def admits(self, token: bytes) -> bool:
        """Count a call, and tell whether it is within the bound."""
        if not self._per_second:
            return True
        if (second := int(self._clock())) != self._second:
            self._second, self._calls = second, {}
        if token not in self._calls and len(self._calls) >= MAX_CALLERS:
            return True
        self._calls[token] = calls = self._calls.get(token, 0) + 1
        return calls <= self._per_second
