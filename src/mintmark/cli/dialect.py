"""`mintmark dialect list | show | check`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mintmark.cli.options import add_command, add_json, add_noun, print_json, print_table, read_settings
from mintmark.dialects.catalogue import dialect_files
from mintmark.dialects.codec import Dialect
from mintmark.dialects.definition import DialectDefinition, load_definition
from mintmark.grants.rules import parse_rules
from mintmark.protocol.errors import SettingsError


def add_parser(parsers: Any) -> None:
    """Add the noun and its commands."""
    text = "dialects: how systems spell the token request and its answers"
    commands = add_noun(parsers, "dialect", text, example="mintmark dialect show omada")
    listing = add_command(commands, "list", run_list, text="list the dialects", example="mintmark dialect list")
    add_json(listing)
    showing = add_command(
        commands,
        "show",
        run_show,
        text="print a dialect's file",
        example="mintmark dialect show omada > mine.toml",
    )
    showing.add_argument("name")
    text = "check a dialect file: each fault is named with file and key"
    checking = add_command(commands, "check", run_check, text=text, example="mintmark dialect check mine.toml")
    checking.add_argument("file", type=Path)


def _load(arguments: argparse.Namespace) -> dict[str, tuple[Path, DialectDefinition]]:
    found = {}
    for path in dialect_files(read_settings(arguments).dialects_dir):
        definition = load_definition(path)
        found[definition.dialect] = (path, definition)
    return found


def run_list(arguments: argparse.Namespace) -> int:
    """List the dialects."""
    found = _load(arguments)
    rows = [(name, definition.title, definition.wire.endpoints["token"]) for name, (_, definition) in found.items()]
    if arguments.json:
        print_json([dict(zip(("dialect", "title", "token_endpoint"), row, strict=True)) for row in rows])
    else:
        print_table(("DIALECT", "TITLE", "TOKEN ENDPOINT"), rows)
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Print a dialect's file."""
    found = _load(arguments)
    if arguments.name not in found:
        raise SettingsError(f"there is no dialect {arguments.name!r}; the dialects are: {', '.join(sorted(found))}")
    print(found[arguments.name][0].read_text("utf-8"), end="")
    return 0


def run_check(arguments: argparse.Namespace) -> int:
    """Check a file as the server would."""
    definition = load_definition(arguments.file)
    parse_rules(definition, str(arguments.file))
    Dialect(definition)
    print(f"{arguments.file}: dialect {definition.dialect}, no faults")
    return 0
