"""`mintmark export`: a deployment as a declarative file."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from mintmark.admin.administration import Administration
from mintmark.admin.export import export_declaration
from mintmark.cli.options import add_command, with_deployment


def add_parser(parsers: Any) -> None:
    """Add the command."""
    text = "print tenants and clients as a file that `mintmark apply` takes; secrets as references to fill in"
    export = add_command(parsers, "export", run, text=text, example="mintmark export --tenant acme > acme.toml")
    export.add_argument("--tenant", help="this tenant alone")


def run(arguments: argparse.Namespace) -> int:
    """Run it."""
    with_deployment(arguments, lambda one: _print(one, arguments.tenant))
    return 0


async def _print(administration: Administration, tenant_id: str | None) -> None:
    async for piece in export_declaration(administration, tenant_id):
        sys.stdout.write(piece)
