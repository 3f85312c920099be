"""Where the figures stand: memory that all workers share, made before they are forked, a sheet for each worker.

Only its own worker writes a sheet, so nothing is locked; every process can read all of them. What was counted stays
when a worker dies, however it dies: its successor goes on with the same sheet. There is no file to be cleaned away.

A sheet is a row of numbers and a directory, which says of each series where its numbers begin. It only grows.
"""

from __future__ import annotations

import mmap
import time
from typing import Final, NamedTuple

import msgspec

from mintmark.metrics.catalogue import BY_NAME, OVERFLOW, Family

VALUES: Final = 16_384
"""Numbers that a sheet holds: most series are one."""
VALUES_KEPT: Final = 256
"""Of these, how many are kept for the series that take what no more series can be made for."""
DIRECTORY_OCTETS: Final = 1_048_576
DIRECTORY_KEPT: Final = 8_192
HEADER: Final = 8
"""Numbers at the start of a sheet: octets of the directory that count, and the last beat."""
NUMBER: Final = 8
"""Octets of one number."""
SHEET_OCTETS: Final = (HEADER + VALUES) * NUMBER + DIRECTORY_OCTETS

Labels = tuple[str, ...]


class Entry(NamedTuple):
    """A series, and where its numbers begin."""

    name: str
    labels: Labels
    slot: int


class Sheet:
    """One worker's figures. `values` are its numbers; add to them at a slot that `slot_of` gave.

    Each number has one thread that writes it: the event loop's, or for the commits the writer's.
    """

    def __init__(self, memory: memoryview) -> None:
        numbers = (HEADER + VALUES) * NUMBER
        self._header = memory[: HEADER * NUMBER].cast("d")
        self.values = memory[HEADER * NUMBER : numbers].cast("d")
        self._directory = memory[numbers:]
        self._entries: list[Entry] = []
        self._slots: dict[tuple[str, Labels], int] = {}
        self._octets_read = 0

    def entries(self) -> list[Entry]:
        """Return all series there are by now."""
        written = int(self._header[0])
        for line in bytes(self._directory[self._octets_read : written]).splitlines(keepends=True):
            try:
                entry = msgspec.json.decode(line, type=Entry)
            except msgspec.DecodeError:
                # Another process has just written it, and this processor has not seen all of it yet: the next time.
                break
            self._entries.append(entry)
            self._slots[entry.name, entry.labels] = entry.slot
            self._octets_read += len(line)
        return self._entries

    def slot_of(self, family: Family, labels: Labels = ()) -> int:
        """Return where a series' numbers begin; a series that is new is entered. For its own worker alone.

        When the sheet is full, what is new shares one series of its metric, whose labels all say `other`.
        """
        self.entries()
        known = self._slots.get((family.name, labels))
        if known is not None:
            return known
        last = self._entries[-1] if self._entries else None
        slot = last.slot + BY_NAME[last.name].slots if last else 0
        line = msgspec.json.encode((family.name, labels, slot)) + b"\n"
        is_kept_for = labels == (OVERFLOW,) * len(labels)
        if not is_kept_for and self._is_full(slot + family.slots, self._octets_read + len(line)):
            return self.slot_of(family, (OVERFLOW,) * len(labels))
        self._directory[self._octets_read : self._octets_read + len(line)] = line
        # Now it counts: a worker that dies in between leaves nothing half-written.
        self._header[0] = self._octets_read + len(line)
        return self.slot_of(family, labels)

    def _is_full(self, values: int, octets: int) -> bool:
        return values > VALUES - VALUES_KEPT or octets > DIRECTORY_OCTETS - DIRECTORY_KEPT

    def forget_gauges(self) -> None:
        """Set to 0 what told the state of a process that is no more."""
        for entry in self.entries():
            if BY_NAME[entry.name].kind == "gauge":
                self.values[entry.slot] = 0.0

    def beat(self) -> None:
        """Tell that this worker's event loop turns."""
        self._header[1] = time.monotonic()

    @property
    def last_beat(self) -> float:
        """When the worker last told that its event loop turns, on the machine's monotonic clock; 0: never."""
        return self._header[1]


class Board:
    """The sheets of all workers. Make it before they are forked."""

    def __init__(self, workers: int) -> None:
        self.started_at = time.time()
        memory = memoryview(mmap.mmap(-1, workers * SHEET_OCTETS))
        self.sheets = [Sheet(memory[start : start + SHEET_OCTETS]) for start in range(0, len(memory), SHEET_OCTETS)]
