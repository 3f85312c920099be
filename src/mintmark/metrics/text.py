"""The workers' figures summed, and written in the text format of Prometheus, version 0.0.4.

Both are done in short steps, since requests wait meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final

from mintmark.metrics.board import Board, Labels
from mintmark.metrics.catalogue import BY_NAME, FAMILIES, Family

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
STEP: Final = 500
"""Series or lines between two turns of the event loop: about half a millisecond."""
ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Series = dict[Labels, list[float]]
Figures = dict[Family, Series]


async def sum_sheets(board: Board) -> Figures:
    """Return each series' numbers, those of all workers added."""
    figures: Figures = {family: {} for family in FAMILIES}
    for sheet in board.sheets:
        for number, entry in enumerate(list(sheet.entries())):
            family = BY_NAME[entry.name]
            own = [*sheet.values[entry.slot : entry.slot + family.slots]]
            summed = figures[family].get(entry.labels)
            figures[family][entry.labels] = own if summed is None else [a + b for a, b in zip(summed, own, strict=True)]
            if number % STEP == STEP - 1:
                await asyncio.sleep(0)
    return figures


async def write_text(figures: Mapping[Family, Series]) -> bytes:
    """Write figures."""
    lines = []
    for number, line in enumerate(_lines(figures)):
        lines.append(line)
        if number % STEP == STEP - 1:
            await asyncio.sleep(0)
    return "\n".join([*lines, ""]).encode()


def _lines(figures: Mapping[Family, Series]) -> Iterator[str]:
    for family, series in figures.items():
        yield f"# HELP {family.name} {family.text}"
        yield f"# TYPE {family.name} {family.kind}"
        for labels, numbers in series.items():
            pairs = [f'{name}="{value.translate(ESCAPES)}"' for name, value in zip(family.labels, labels, strict=True)]
            yield from (
                _histogram_lines(family, pairs, numbers)
                if family.bounds
                else (_sample(family.name, pairs, numbers[0]),)
            )


def _histogram_lines(family: Family, pairs: list[str], numbers: list[float]) -> Iterator[str]:
    counts = list(accumulate(numbers[:-1]))
    for bound, count in zip((*family.bounds, "+Inf"), counts, strict=True):
        yield _sample(f"{family.name}_bucket", [*pairs, f'le="{bound}"'], count)
    yield _sample(f"{family.name}_sum", pairs, numbers[-1])
    yield _sample(f"{family.name}_count", pairs, counts[-1])


def _sample(name: str, pairs: Iterable[str], value: float) -> str:
    labels = ",".join(pairs)
    # Whole numbers without a point, and large ones without an exponent, are what people read.
    number = str(int(value)) if value == int(value) else repr(value)
    return f"{name}{{{labels}}} {number}" if labels else f"{name} {number}"
