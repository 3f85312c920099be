"""`mintmark doctor`: look at a deployment from all sides and say what to mend."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from mintmark.admin.diagnosis import Case, Finding, diagnose, run_checks
from mintmark.cli.options import add_command, add_json, print_json, read_settings
from mintmark.http.diagnosis import CHECKS
from mintmark.protocol.errors import SettingsError
from mintmark.settings import find_file


def add_parser(parsers: Any) -> None:
    """Add the command."""
    doctor = add_command(
        parsers,
        "doctor",
        run,
        text="check settings, database, keys, files and listeners, and say what to mend; 1 if anything fails",
        example="mintmark doctor --nodes 3",
    )
    doctor.add_argument("--nodes", type=_read_count, default=1, help="how many nodes there are to be (default: 1)")
    add_json(doctor)


def _read_count(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 1000):
        raise argparse.ArgumentTypeError("must be from 1 to 1000")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Print what was found, a line each; 1 where something fails."""
    findings = list(_examine(arguments))
    if arguments.json:
        print_json([finding._asdict() for finding in findings])
    else:
        for level, check, said, mend in findings:
            print(f"{level:<4}  {check:<11}  {said}" + (f" - {mend}" if mend else ""))
    return 1 if any(finding.level == "fail" for finding in findings) else 0


def _examine(arguments: argparse.Namespace) -> Iterator[Finding]:
    try:
        settings = read_settings(arguments)
    except SettingsError as error:
        yield Finding("fail", "settings", str(error))
        return
    file = find_file(arguments.settings)
    yield Finding("ok", "settings", f"from {file} and the environment" if file else "from the environment")
    case = Case(settings, file, arguments.nodes)
    yield from diagnose(case)
    yield from run_checks(CHECKS, case)
