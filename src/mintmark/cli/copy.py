"""`mintmark copy`: a deployment taken from one database into another."""

from __future__ import annotations

import argparse
import shutil
import sys
from typing import Any, Final

from mintmark.admin.administration import AdministrationError
from mintmark.admin.copying import copy_deployment
from mintmark.cli.options import add_command, read_settings
from mintmark.store.urls import show_url

BAR: Final = 30


def add_parser(parsers: Any) -> None:
    """Add the command."""
    text = (
        "copy a deployment into an empty database while no server runs on it, and verify every row;"
        " a copy that was cut off goes on where it ended"
    )
    example = "mintmark copy --from sqlite:///var/mintmark.db --to postgresql://mintmark@db.example/mintmark"
    copying = add_command(parsers, "copy", run, text=text, example=example)
    copying.add_argument("--from", required=True, dest="source", metavar="URL", help="the database that has it")
    copying.add_argument("--to", required=True, dest="target", metavar="URL", help="an empty database")


def run(arguments: argparse.Namespace) -> int:
    """Copy."""
    settings = read_settings(arguments)
    progress = Progress(is_terminal=sys.stdout.isatty())
    copied = copy_deployment(settings, arguments.source, arguments.target, progress.tell)
    print(f"{copied.rows} rows: the same in {show_url(arguments.target)} as in {show_url(arguments.source)}")
    if copied.verdict.fault is not None:
        raise AdministrationError(f"audit log: {copied.verdict.fault.text}; it is so in the source, too")
    print(f"audit log: {copied.verdict.records} records, all as they were written; head: {copied.verdict.head}")
    print("Set database_url to the new database and start the servers there; the old one must serve no more.")
    return 0


class Progress:
    """Shows what is done: on a terminal a bar that moves, else a line for each table when it is done."""

    def __init__(self, *, is_terminal: bool) -> None:
        self._is_terminal = is_terminal

    def tell(self, act: str, table: str, done: int, total: int) -> None:
        """Show how many of a table's rows were copied or verified."""
        text = f"{act} {table}: {done} of {total} rows"
        if not self._is_terminal:
            if done == total:
                print(text, flush=True)
            return
        filled = BAR * done // total
        line = f"[{'#' * filled}{'.' * (BAR - filled)}] {text}"
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{line[:width].ljust(width)}", end="\n" if done == total else "", flush=True)
