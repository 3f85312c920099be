"""`mintmark init`: the folder, the master key and the database."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from mintmark.admin.deployment import initialize
from mintmark.cli.options import add_command, read_settings


def add_parser(parsers: Any) -> None:
    """Add the command."""
    add_command(
        parsers,
        "init",
        run,
        text="make the master key and the database; what is there already stays as it is",
        example="mintmark init --state-dir /var/lib/mintmark",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run it."""
    settings = read_settings(arguments)

    async def make() -> None:
        administration = await initialize(settings)
        await administration.store.close()

    asyncio.run(make())
    key = "MINTMARK_MASTER_KEY" if settings.master_key else str(settings.key_file)
    print(f"database:   {settings.database}")
    print(f"master key: {key}   keep a copy elsewhere: without it the database is of no use")
    return 0
