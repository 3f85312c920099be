"""Random octets from the system's CSPRNG, drawn many at a time: a system call costs more than an opaque token."""

from __future__ import annotations

import os
from typing import Final

DRAWN_OCTETS: Final = 8192


class Randomness:
    """Gives each octet once. One of these belongs to one process: make it after a fork."""

    __slots__ = ("_octets", "_used")

    def __init__(self) -> None:
        self._octets = b""
        self._used = 0

    def __call__(self, count: int) -> bytes:
        """Return that many octets, never given before."""
        start, end = self._used, self._used + count
        if end > len(self._octets):
            self._octets, start, end = os.urandom(max(DRAWN_OCTETS, count)), 0, count
        self._used = end
        return self._octets[start:end]

    def __repr__(self) -> str:
        return "Randomness()"
