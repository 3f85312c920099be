"""The PostgreSQL of the benchmark: one for all rows, on a port of its own, with the disk waited for at each commit."""

from __future__ import annotations

import atexit
from functools import cache
from typing import Any, Final

from tests.postgresql import Postgres

SETTINGS: Final = {"max_connections": "200", "shared_buffers": "1GB", "max_wal_size": "4GB"}


@cache
def cluster() -> Postgres:
    """Start it when it is first needed; it goes with the benchmark."""
    found = Postgres(**SETTINGS)
    atexit.register(found.remove)
    return found


def create() -> str:
    """Create an empty database and return its URL."""
    return cluster().create(is_empty=True)


def tell(url: str, statement: str) -> list[Any]:
    """Run a statement in a database and return its rows."""
    return cluster().tell(statement, url.rpartition("/")[2])
