"""`python -m bench`: measures the rows in turn and prints the report; ends with 1 only when a row broke."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.broken import BrokenRowError
from bench.load import Measure, Measured
from bench.machine import describe_machine, versions
from bench.results import Result, as_json
from bench.rows import Row, choose_rows
from bench.table import format_report


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure Mintmark against its limits and a peer."
    )
    parser.add_argument("--rounds", type=int, choices=range(1, 51), default=3, metavar="N", help="default 3")
    parser.add_argument(
        "--seconds", type=int, choices=range(1, 301), default=10, metavar="N", help="of a row, default 10"
    )
    parser.add_argument(
        "--only", metavar="ROWS", help="comma-separated; the rows that they are compared with are added"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser.parse_args(arguments)


def progress(text: str) -> None:
    """Say on standard error what goes on."""
    print(text, file=sys.stderr, flush=True)


def prepare(rows: Sequence[Row], folder: Path) -> list[tuple[Result, Measure]]:
    """Make the rows ready; one that cannot be gets its failure and a measure that is never called."""
    prepared: list[tuple[Result, Measure]] = []
    for row in rows:
        began, result = time.monotonic(), Result(row)
        try:
            measure = row.prepare(folder)
        except BrokenRowError as error:
            result.failure, result.is_absent = str(error), row.is_peer
            measure = broken
        progress(f"prepared {row.key} in {time.monotonic() - began:.1f} s")
        prepared.append((result, measure))
    return prepared


def broken(seconds: int) -> Measured:
    """Stand where a row that could not be prepared has no measure."""
    raise BrokenRowError("it was not prepared")


def measure_rounds(prepared: Sequence[tuple[Result, Measure]], rounds: int, seconds: int) -> None:
    """Measure every row once a round, in turn; a row that breaks is left out from then on."""
    for number in range(1, rounds + 1):
        for result, measure in prepared:
            if result.failure is None:
                measure_row(result, measure, number, seconds)


def measure_row(result: Result, measure: Measure, number: int, seconds: int) -> None:
    """Measure one row in one round."""
    try:
        measured = measure(seconds)
        result.rates[number] = measured.rate
        result.halves += [measured.half] if measured.half else []
        progress(f"round {number}: {result.row.key} {result.rates[number]:,.0f}/s")
    except BrokenRowError as error:
        result.failure = str(error)
        progress(f"round {number}: {result.row.key} FAILED")


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark. Returns 0, or 1 when a row broke."""
    options = read_options(arguments)
    try:
        rows = choose_rows(options.only)
    except ValueError as error:
        progress(str(error))
        return 2
    # /var/tmp is on a disk by convention; /tmp may be memory, where "durable" costs nothing.
    with tempfile.TemporaryDirectory(prefix="mintmark-bench-", dir="/var/tmp") as name:
        machine = describe_machine(Path(name))
        prepared = prepare(rows, Path(name))
        measure_rounds(prepared, options.rounds, options.seconds)
    # By now all that takes part has been fetched.
    machine["versions"] = versions()
    results = [result for result, _ in prepared]
    return report(results, {"rounds": options.rounds, "seconds": options.seconds, "machine": machine}, options.json)


def report(results: Sequence[Result], run: dict[str, Any], file: Path | None) -> int:
    """Print the report and write the figures to a file, if one is named."""
    print("\n" + format_report(results, run))
    if file is not None:
        file.write_text(json.dumps(as_json(results, run), indent=2) + "\n")
    return 1 if any(result.failure and not result.is_absent for result in results) else 0


if __name__ == "__main__":
    # Ended from outside, the benchmark unwinds like on Ctrl-C, and ends its servers on the way.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
