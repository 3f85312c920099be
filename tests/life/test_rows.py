"""A JWT leaves nothing behind: what is kept does not grow with what is issued."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

from tests.life.world import World


def count_rows(state_dir: Path) -> dict[str, int]:
    """The number of rows of every table that there is."""
    connection = sqlite3.connect(f"file:{state_dir / 'mintmark.db'}?mode=ro", uri=True)
    try:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}
    finally:
        connection.close()


def read_files(state_dir: Path) -> dict[str, tuple[int, str]]:
    """Every file of the deployment by its size and digest; the shared memory of readers is none of its contents."""
    files = [path for path in state_dir.iterdir() if path.is_file() and path.suffix != ".db-shm"]
    return {
        path.name: (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in files
        if not path.name.endswith("-shm")
    }


async def test_a_thousand_jwts_change_neither_rows_nor_files(world: World, folder: Path):
    await world.add_tenant("std", form="jwt")
    caller = await world.add_client("std")
    await world.token(caller)
    rows, files = count_rows(folder / "var"), read_files(folder / "var")
    tokens = {await world.token(caller) for _ in range(1000)}

    assert len(tokens) == 1000
    assert count_rows(folder / "var") == rows
    assert read_files(folder / "var") == files
    for token in list(tokens)[:3]:
        assert await world.is_active(caller, token)
    assert read_files(folder / "var") == files


async def test_opaque_tokens_do_leave_rows(world: World, folder: Path):
    """So the count above would show them."""
    await world.add_tenant("std", form="opaque")
    caller = await world.add_client("std")
    before = count_rows(folder / "var")
    for _ in range(3):
        await world.token(caller)

    assert count_rows(folder / "var") == before | {"token": before["token"] + 3}


async def test_a_revoked_jwt_leaves_one_row_however_often_it_is_revoked(world: World, folder: Path):
    await world.add_tenant("std", form="jwt")
    caller = await world.add_client("std")
    token = await world.token(caller)
    before = count_rows(folder / "var")
    for _ in range(3):
        await world.revoke(caller, token)

    assert count_rows(folder / "var") == before | {"revoked_jwt": before["revoked_jwt"] + 1}
