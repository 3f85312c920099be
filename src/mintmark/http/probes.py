"""What a load balancer or an orchestrator asks: does the server live, and may it be sent requests?

Answered on the listener of the metrics, and on every other one at paths that no tenant has.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from mintmark.metrics.board import Board
from mintmark.protocol.http import HttpResponse

HEALTH: Final = "/healthz"
READINESS: Final = "/readyz"
STUCK_AFTER_S: Final = 30.0
"""Since a worker's last beat. One that died is started again within seconds, and beats again."""
HEADERS: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
OK: Final = HttpResponse(200, HEADERS, b'{"status":"ok"}')


class Probes:
    """Answers probes.

    Args:
        conditions: what must hold for readiness, by the reason that is told when it does not, in this order.
    """

    def __init__(self, board: Board, conditions: Mapping[str, Callable[[], Awaitable[bool]]]) -> None:
        self._board = board
        self._conditions = conditions
        self.is_shutting_down = False

    async def answer(self, path: str) -> HttpResponse | None:
        """Return the answer of a probe, or None where the path is none."""
        if path == HEALTH:
            return _tell(self._find_fault())
        return _tell(await self._find_hindrance()) if path == READINESS else None

    def _find_fault(self) -> str | None:
        """A worker whose loop no longer turns keeps its share of the connections waiting; only a restart helps."""
        longest = time.monotonic() - STUCK_AFTER_S
        # A worker that has never beaten is about to start.
        is_stuck = any(0.0 < sheet.last_beat < longest for sheet in self._board.sheets)
        return "worker_stuck" if is_stuck else None

    async def _find_hindrance(self) -> str | None:
        if self.is_shutting_down:
            return "shutting_down"
        for reason, holds in self._conditions.items():
            if not await holds():
                return reason
        return None


def _tell(reason: str | None) -> HttpResponse:
    if reason is None:
        return OK
    return HttpResponse(503, HEADERS, msgspec.json.encode({"status": "unavailable", "reason": reason}))
