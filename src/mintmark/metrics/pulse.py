"""What a worker tells of itself once a second: that it lives, its gauges, and what grew since the last time."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from mintmark.metrics.board import Sheet
from mintmark.metrics.catalogue import CPU, MAX_FILES, OPEN_FILES, RESIDENT, WORKER_START_TIME, WORKER_STARTS, Family
from mintmark.metrics.meters import add_to, set_to

BEAT_S: Final = 1.0
PROCESS: Final = Path("/proc/self")

Reading = Callable[[], float]


class Pulse:
    """Writes one worker's sheet once a second.

    Args:
        number: the worker's.
        gauges: what is read and written as it is.
        grown: what this process counts by itself, from 0; what it grew by is added to the counter.
    """

    def __init__(
        self, sheet: Sheet, number: int, *, gauges: Mapping[Family, Reading], grown: Mapping[Family, Reading]
    ) -> None:
        self._sheet = sheet
        self._worker = str(number)
        self._gauges = gauges
        self._grown = {family: (labels, read) for family, labels, read in _growing(grown, self._worker)}
        self._added = dict.fromkeys(self._grown, 0.0)
        sheet.forget_gauges()
        add_to(sheet, WORKER_STARTS, 1.0)
        set_to(sheet, WORKER_START_TIME, time.time(), self._worker)

    async def run(self) -> None:
        """Beat until cancelled, from when the worker serves."""
        while True:
            self.beat()
            await asyncio.sleep(BEAT_S)

    def beat(self) -> None:
        """Write what is so at this moment."""
        self._sheet.beat()
        for family, read in self._gauges.items():
            set_to(self._sheet, family, float(read()))
        for family, (labels, read) in self._grown.items():
            now = read()
            add_to(self._sheet, family, now - self._added[family], *labels)
            self._added[family] = now
        for family, value in read_process().items():
            set_to(self._sheet, family, value, self._worker)


def _growing(grown: Mapping[Family, Reading], worker: str) -> list[tuple[Family, tuple[str, ...], Reading]]:
    return [*((family, (), read) for family, read in grown.items()), (CPU, (worker,), time.process_time)]


def read_process() -> dict[Family, float]:
    """Return what the kernel knows of this process; less where there is no /proc."""
    found = {MAX_FILES: float(resource.getrlimit(resource.RLIMIT_NOFILE)[0])}
    with suppress(OSError):
        found[RESIDENT] = int((PROCESS / "statm").read_text().split()[1]) * float(os.sysconf("SC_PAGE_SIZE"))
        found[OPEN_FILES] = float(count_open_files())
    return found


def count_open_files() -> int:
    """Return how many files this process has open. Linux tells it since 6.2; to list them takes milliseconds."""
    folder = PROCESS / "fd"
    return folder.stat().st_size or sum(1 for _ in folder.iterdir())
