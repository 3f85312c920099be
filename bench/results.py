"""The figures of a run: each row's rate in every round, and its ratios to other rows of the same round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.load import HalfLoad
from bench.rows import Comparison, Row


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum."""

    median: float
    minimum: float
    maximum: float


@dataclass
class Result:
    """One row's rates by round, or why it has none."""

    row: Row
    rates: dict[int, float] = field(default_factory=dict)
    halves: list[HalfLoad] = field(default_factory=list)
    failure: str | None = None
    is_absent: bool = False
    """A peer that could not be made ready here, which is no fault of Mintmark's."""


def spread(figures: Sequence[float]) -> Spread | None:
    """Return the spread of some figures; None of no figures."""
    return Spread(median(figures), min(figures), max(figures)) if figures else None


def ratio(result: Result, other: Result | None) -> Spread | None:
    """Return the spread of the ratios, each taken within one round; None where no round has both."""
    if other is None or result.failure or other.failure:
        return None
    rounds = result.rates.keys() & other.rates.keys()
    return spread([result.rates[number] / other.rates[number] for number in sorted(rounds)])


def verdict(found: Spread | None, comparison: Comparison) -> str:
    """Say whether the median ratio meets the target."""
    if comparison.at_least is None:
        return ""
    if found is None:
        return "not measured"
    return "ok" if found.median >= comparison.at_least else "MISSED"


def as_json(results: Sequence[Result], caption: dict[str, Any]) -> dict[str, Any]:
    """Return all figures of a run as JSON members."""
    by_key = {result.row.key: result for result in results}
    return {"run": caption, "rows": [row_as_json(result, by_key) for result in results]}


def row_as_json(result: Result, by_key: dict[str, Result]) -> dict[str, Any]:
    """Return one row's figures and facts as JSON members."""
    row = result.row
    return {
        "key": row.key,
        "token": row.token,
        "rows_written": row.written,
        "registered_clients": row.clients,
        "store": row.store,
        "per_second": list(result.rates.values()),
        "at_half_load": [half._asdict() for half in result.halves],
        "failure": result.failure,
        "compared": [
            {
                "to": comparison.to,
                "at_least": comparison.at_least,
                "ratio": vars(found) if (found := ratio(result, by_key.get(comparison.to))) else None,
                "verdict": verdict(found, comparison),
            }
            for comparison in row.compared
        ],
    }
