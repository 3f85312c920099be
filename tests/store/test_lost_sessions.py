"""A transaction over many calls whose session PostgreSQL ends in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from sqlalchemy import Connection

from mintmark.protocol.errors import StoreUnavailable
from mintmark.store.prepared import say
from mintmark.store.sql_store import SqlStore
from tests.postgresql import Postgres

from .samples import client, tenant

END_OWN_SESSION = "SELECT pg_terminate_backend(pg_backend_pid())"


def ended_by_core(connection: Connection) -> None:
    connection.exec_driver_sql(END_OWN_SESSION)


def ended_by_the_driver(connection: Connection) -> None:
    say(connection, END_OWN_SESSION)


async def begin_part(together: SqlStore) -> None:
    async with together.together():
        pass


NEXT_IN_A_BLOCK: dict[str, Callable[[SqlStore], Awaitable[object]]] = {
    "run": lambda together: together._writing.run(ended_by_core),
    "write": lambda together: together.clients.add([client()]),
    "read": lambda together: together.tenants.find("acme"),
    "read by core": lambda together: together.sites.find("acme", "a"),
    "part": begin_part,
    "nothing": lambda together: asyncio.sleep(0),
}


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.create()


@pytest.mark.asyncio
@pytest.mark.parametrize("ends_it", [ended_by_core, ended_by_the_driver])
@pytest.mark.parametrize("name", ["run", "write", "read", "read by core", "part", "nothing"])
async def test_a_block_whose_session_ends_is_unavailable_whatever_comes_next(
    store: SqlStore, ends_it: Callable[[Connection], None], name: str
) -> None:
    with pytest.raises(StoreUnavailable):
        async with store.together() as together:
            await together.tenants.add(tenant(), [])
            with suppress(StoreUnavailable):
                await together._writing.run(ends_it)
            await NEXT_IN_A_BLOCK[name](together)
    async with store.together() as together:
        assert await together.tenants.find("acme") is None
        await together.tenants.add(tenant(), [])
    assert await store.tenants.find("acme") is not None
