"""`python -m soak`: soaks a deployment, prints what each fault cost; ends with 1 when a law was broken."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from soak.broken import LabError
from soak.faults import FAULTS
from soak.figures import table
from soak.journal import write
from soak.run import Report, soak, tell

SHOWN = 10


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m soak", description="Break a deployment under load.")
    parser.add_argument(
        "--short", action="store_true", help="only what can be done by killing processes, and not as root"
    )
    parser.add_argument("--only", metavar="WORDS", default="", help="only faults whose names have these words")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="write every answer there, a line of JSON each")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Soak, and report. Returns 0, or 1 when a law was broken, or 2 when it could not be run."""
    options = read_options(arguments)
    faults = [fault for fault in FAULTS if options.only in fault.name]
    try:
        report = soak(is_whole=not options.short, faults=faults)
    except LabError as error:
        tell(str(error))
        return 2
    if options.journal is not None:
        write(options.journal, report.journal)
    show(report)
    return 0 if report.is_clean else 1


def show(report: Report) -> None:
    """Print the figures, and every law with what broke it."""
    print(table(report.windows, report.journal))
    print(f"\n{len(report.journal):,} answers, {report.journal[-1].ended:.0f} s\n")
    for law, found in report.breaches.items():
        print(f"{'BROKEN' if found else 'held  '}  {law.replace('_', ' ')}{f': {len(found)}' if found else ''}")
        for text in found[:SHOWN]:
            print(f"        {text}")


if __name__ == "__main__":
    # Ended from outside, it unwinds as on Ctrl-C, and ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
