"""`mintmark migrate`: the schema of the database, and nothing else."""

from __future__ import annotations

import argparse
from typing import Any, Final

from mintmark.admin.deployment import migrate_deployment
from mintmark.cli.options import add_command, read_settings
from mintmark.store.schema import SchemaState
from mintmark.store.urls import show_url

SAID: Final[dict[SchemaState, str]] = {
    "absent": "created, with the schema of this release; `mintmark init` makes a deployment in it",
    "old": "brought to the schema of this release",
    "current": "this release runs on its schema; nothing to do",
}


def add_parser(parsers: Any) -> None:
    """Add the command."""
    text = "create the database, or bring it to this release's schema; needs no master key"
    add_command(parsers, "migrate", run, text=text, example="mintmark migrate --settings /etc/mintmark.toml")


def run(arguments: argparse.Namespace) -> int:
    """Migrate."""
    settings = read_settings(arguments)
    print(f"{show_url(settings.database)}: {SAID[migrate_deployment(settings)]}")
    return 0
