"""Prints the figures as two tables and a caption: what was measured, and what each row was."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from bench.load import CONNECTIONS, THREADS, WORKERS, HalfLoad
from bench.results import Result, Spread, ratio, spread, verdict
from bench.rows import Comparison

HEADINGS = ("row", "a second (min-max)", "half load: p50 / p99, ms", "ratio (min-max)", "to", "target", "")
FACTS = ("row", "token", "rows written", "registered clients", "database")
WIDTH = 110


def format_report(results: Sequence[Result], run: dict[str, Any]) -> str:
    """Return the whole report as text."""
    by_key = {result.row.key: result for result in results}
    figures = [line for result in results for line in figure_lines(result, by_key)]
    facts = [(r.row.key, r.row.token, r.row.written, r.row.clients, r.row.store) for r in results]
    failures = [f"{result.row.key} {show_rate(result)}: {result.failure}" for result in results if result.failure]
    parts = [format_table(HEADINGS, figures), format_table(FACTS, facts), caption(run), "\n".join(failures)]
    return "\n\n".join(part for part in parts if part)


def figure_lines(result: Result, by_key: dict[str, Result]) -> Iterator[tuple[str, ...]]:
    """Give a row's lines: one for each of its comparisons, and one where it has none."""
    name, rate = result.row.key, show_rate(result)
    times = "" if result.failure else show_times(result.halves)
    for comparison in result.row.compared:
        found = ratio(result, by_key.get(comparison.to))
        yield (
            name,
            rate,
            times,
            show(found, ".2f"),
            comparison.to,
            show_target(comparison),
            verdict(found, comparison),
        )
        name = rate = times = ""
    if not result.row.compared:
        yield name, rate, times, "", "", "", ""


def show_rate(result: Result) -> str:
    """Write a row's rate, or that it has none."""
    if result.failure:
        return "ABSENT" if result.is_absent else "FAILED"
    return show(spread(list(result.rates.values())), ",.0f")


def show_times(halves: Sequence[HalfLoad]) -> str:
    """Write the medians of the rounds."""
    if not halves:
        return ""
    return f"{median(half.p50_ms for half in halves):.2f} / {median(half.p99_ms for half in halves):.1f}"


def show(found: Spread | None, form: str) -> str:
    """Write a spread as `median (min-max)`."""
    return f"{found.median:{form}} ({found.minimum:{form}}-{found.maximum:{form}})" if found else "-"


def show_target(comparison: Comparison) -> str:
    """Write a target."""
    return "" if comparison.at_least is None else f">= {comparison.at_least:.2f}"


def format_table(headings: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    """Align the columns."""
    widths = [max(map(len, column)) for column in zip(headings, *lines, strict=True)]
    rules = tuple("-" * width for width in widths)
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (headings, rules, *lines)
    )


def caption(run: dict[str, Any]) -> str:
    """Say what all rows share: the load, the workers, the machine, the versions."""
    machine = run["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    text = (
        f"Load: client_credentials requests with client_secret_post, from wrk -t{THREADS} -c{CONNECTIONS} "
        f"-d{run['seconds']} on loopback, to {WORKERS} worker processes; {run['rounds']} round(s), "
        "the rows in turn, one at a time. Tokens are new and the secret is checked each time, "
        "unless the row says otherwise. "
        "A ratio is taken within a round, and its median is judged. "
        f"Half load: {CONNECTIONS} connections too, each of which pauses before every request for a time drawn from an "
        "exponential distribution, so that about half of the row's rate is asked for; the time of an answer is wrk's, "
        "without the pause. "
        f"SQLite lies on {machine['database_file_system']}. "
        f"Machine: {machine['cpus']} x {machine['cpu']}, "
        f"load average {machine['load_average']} at the start. "
        f"Versions: {versions}."
    )
    return textwrap.fill(text, width=WIDTH, break_on_hyphens=False)
