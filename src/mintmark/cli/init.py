"""`mintmark init`: the folder, the master key and the database."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from mintmark.admin.clients import RegisteredClient
from mintmark.admin.deployment import ADMINISTRATIVE, create_administrator, initialize
from mintmark.cli.options import add_command, read_settings
from mintmark.store.urls import show_url


def add_parser(parsers: Any) -> None:
    """Add the command."""
    init = add_command(
        parsers,
        "init",
        run,
        text="make the master key, the database and the first administrator; what is there already stays as it is",
        example="mintmark init --state-dir /var/lib/mintmark",
    )
    init.add_argument(
        "--no-administrator", action="store_true", help="make no tenant `admin` with a client for the management API"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run it."""
    settings = read_settings(arguments)

    base = (settings.public_url or settings.listen[0]).rstrip("/")

    async def make() -> RegisteredClient | None:
        administration = await initialize(settings)
        try:
            if arguments.no_administrator:
                return None
            return await create_administrator(administration, f"{base}/t/{ADMINISTRATIVE}")
        finally:
            await administration.store.close()

    administrator = asyncio.run(make())
    key = "MINTMARK_MASTER_KEY" if settings.master_key else str(settings.key_file)
    print(f"database:   {show_url(settings.database)}")
    print(f"master key: {key}   keep a copy elsewhere: without it the database is of no use")
    if administrator is not None:
        print(f"administrator of the management API, of tenant {administrator.client.tenant_id}:")
        print(f"client_id: {administrator.client.client_id}")
        print(f"client_secret: {administrator.client_secret.reveal()}")
        print("The secret is shown this once and kept only as a hash.")
    return 0
