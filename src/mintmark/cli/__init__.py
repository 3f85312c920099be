"""The command line: one file a noun, a command for each verb of `admin`; a fault is one line and a non-zero exit."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

from mintmark import __version__
from mintmark.protocol.errors import MintmarkError, SettingsError

NOUNS: Final = {
    "serve": "run the server",
    "init": "make the master key and the database",
    "migrate": "create the database or bring it to this release's schema",
    "copy": "take a deployment from one database into another",
    "tenant": "create, list, suspend and resume tenants",
    "client": "register clients and manage their secrets",
    "token": "ask any server of any dialect for a token",
    "dialect": "list, show and check dialect files",
    "keys": "list and add signing and encryption keys",
    "registration": "let clients register themselves",
    "audit": "read and verify the audit log",
    "apply": "bring a deployment to what a file says, after showing the plan",
    "export": "print a deployment as such a file",
    "doctor": "check a deployment and say what to mend",
}
INTERRUPTED: Final = 130
SERVER_EXTRA: Final = "this command needs the server; install it with: pip install 'mintmark[server]'"


def build_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser; only the noun that was typed is imported, so that the others cost nothing."""
    parser = argparse.ArgumentParser(
        prog="mintmark",
        description="A token server for machines.",
        epilog="example: mintmark serve --demo",
    )
    parser.add_argument("--version", action="version", version=f"mintmark {__version__}")
    nouns = parser.add_subparsers(metavar="COMMAND", required=True)
    typed = next((word for word in arguments if not word.startswith("-")), None)
    for name, text in NOUNS.items():
        if name == typed:
            importlib.import_module(f"mintmark.cli.{name}").add_parser(nouns)
        else:
            nouns.add_parser(name, help=text)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0, 1 for a fault, 2 for a wrong command line, or one of its own."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        _require_text(words)
        parsed = build_parser(words).parse_args(words)
        return int(parsed.func(parsed))
    except MintmarkError as error:
        print(f"mintmark: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        print(f"mintmark: {SERVER_EXTRA} (missing: {error.name})", file=sys.stderr)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`); Python must not complain again when it flushes at exit.
        sys.stderr.close()
        return 1
    except OSError as error:
        print(f"mintmark: {error}", file=sys.stderr)
    return 1


def _require_text(words: Sequence[str]) -> None:
    """Python hands on octets that are no UTF-8 as lone surrogates, which neither a database nor a header can hold."""
    for word in words:
        if not word.isascii() and any("\ud800" <= character <= "\udfff" for character in word):
            raise SettingsError(f"{word!r}: not UTF-8")
