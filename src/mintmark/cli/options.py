"""What the commands share: options for the settings, `--set`, printing, and running a verb over a deployment."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tomllib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mintmark.protocol.errors import SettingsError
from mintmark.settings import Settings, load_settings

if TYPE_CHECKING:
    from mintmark.admin.administration import Administration

Result = TypeVar("Result")


def add_command(
    parsers: Any, name: str, run: Callable[[argparse.Namespace], int], *, text: str, example: str
) -> argparse.ArgumentParser:
    """Add a command with its help, an example, and the options that every command has."""
    parser: argparse.ArgumentParser = parsers.add_parser(
        name,
        help=text,
        description=text[:1].upper() + text[1:] + ".",
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(func=run)
    parser.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="settings file (default: MINTMARK_SETTINGS, else mintmark.toml, if there)",
    )
    parser.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="folder of database and master key (default: var)"
    )
    return parser


def add_noun(parsers: Any, name: str, text: str, *, example: str) -> Any:
    """Add a noun with its help and an example, and return the place for its commands."""
    parser = parsers.add_parser(
        name,
        help=text,
        description=text[:1].upper() + text[1:] + ".",
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser.add_subparsers(metavar="COMMAND", required=True)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON, for a program to read")


def add_token_rules(parser: argparse.ArgumentParser) -> None:
    """Add `--set KEY=VALUE`."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="token_rules",
        help="token rule: form=jwt|opaque, alg=ES256|RS256|..., typ=TEXT, lifetime_s=SECONDS,"
        " audience=NAME,NAME, scope=TOKEN,TOKEN, reuse=true|false, reuse_remainder_s=SECONDS,"
        " renew_per_request=true|false, renew_without_revoking=true|false (repeatable)",
    )


def read_settings(arguments: argparse.Namespace, **overrides: Any) -> Settings:
    """Read the settings that a command line asks for. Raises: SettingsError."""
    return load_settings(arguments.settings, {"state_dir": arguments.state_dir, **overrides})


def with_deployment(arguments: argparse.Namespace, verb: Callable[[Administration], Awaitable[Result]]) -> Result:
    """Run a verb over the deployment that the settings name. Raises: MintmarkError."""
    from mintmark.admin.deployment import open_deployment  # noqa: PLC0415 - `dialect` does without the server

    async def run() -> Result:
        administration = await open_deployment(read_settings(arguments))
        try:
            return await verb(administration)
        finally:
            await administration.store.close()

    return asyncio.run(run())


def parse_token_rules(pairs: Sequence[str]) -> dict[str, Any]:
    """Read `--set` values: TOML where it is TOML, else a text; `audience` and `scope` are lists.

    Raises: SettingsError.
    """
    rules: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise SettingsError(f"--set {pair!r}: wanted is KEY=VALUE")
        rules[name] = text.split(",") if name in {"audience", "scope"} else _toml_value(text)
    return rules


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print()


def print_lines(values: Mapping[str, Any]) -> None:
    """Print what is said of a thing, a line each, for a person; what is empty is left out."""
    for name, value in values.items():
        if value not in ("", (), {}, None, False):
            print(f"{name}: {format_moment(value) if name.endswith('_at') else _text_of(value)}")


def _text_of(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_text_of(one)}" for name, one in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(value) if isinstance(value, (tuple, list)) else str(value)


def format_moment(seconds: int | None) -> str:
    """Return a moment (seconds since 1970-01-01T00:00:00Z) in UTC as ISO 8601 writes it; None: nothing."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings, in columns."""
    table = [tuple(headings), *[tuple(row) for row in rows]]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def select(record: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return some members of a record, in that order."""
    return {name: record[name] for name in names}
