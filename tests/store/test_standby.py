"""What PostgreSQL must bring: a version that knows our bounds, and the standby that its commits wait for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

import pytest

from mintmark.protocol.errors import StoreUnavailable
from mintmark.store.bounds import Bounds
from mintmark.store.postgresql import connection
from mintmark.store.schema import schema_state
from mintmark.store.sql_store import SqlStore
from tests.postgresql import FAST, Postgres, run_postgres

from .samples import digest, tenant, token

PATIENCE_S = 30.0


@pytest.fixture
def alone() -> Iterator[Postgres]:
    """One whose settings may be changed."""
    yield from run_postgres(**FAST)


@contextmanager
def without_standby(server: Postgres) -> Iterator[None]:
    """Every commit, from some moment soon, waits for a standby that is not there."""
    server.set("synchronous_standby_names", "nobody")
    try:
        yield
    finally:
        server.set("synchronous_standby_names", "")


async def add_until_refused(store: SqlStore) -> str:
    """Add tokens, and return the first that was not answered."""
    deadline = time.monotonic() + PATIENCE_S
    for number in count():
        assert time.monotonic() < deadline
        try:
            await store.tokens.add([token(f"t{number}")])
        except StoreUnavailable as refusal:
            assert "did not answer in time" in str(refusal)
            return f"t{number}"
    raise AssertionError


async def add_until_taken(store: SqlStore) -> None:
    deadline = time.monotonic() + PATIENCE_S
    for number in count():
        assert time.monotonic() < deadline
        with suppress(StoreUnavailable):
            await store.tokens.add([token(f"after{number}")])
            return


async def add_together(store: SqlStore, tenant_id: str) -> None:
    async with store.together() as together:
        await together.tenants.add(tenant(tenant_id), [])


async def test_a_commit_that_waits_for_an_absent_standby_is_given_up_and_keeps_no_session(
    alone: Postgres,
) -> None:
    store = SqlStore.open(alone.create(), Bounds(statement_timeout_s=0.2, lock_timeout_s=0.2))
    with without_standby(alone):
        refused = await add_until_refused(store)
        for tenant_id in "ab":
            with pytest.raises(StoreUnavailable, match="did not answer in time"):
                await add_together(store, tenant_id)
        deadline = time.monotonic() + PATIENCE_S
        while alone.tell("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"):
            assert time.monotonic() < deadline
    await add_until_taken(store)
    assert await store.tokens.find(digest(refused)) is not None, "it is there, though nobody could say so"
    await store.close()


def test_a_server_that_is_too_old_is_refused_by_its_version(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "OLDEST", 1000)
    with pytest.raises(StoreUnavailable, match=r"version \d\d; 1000 or newer is needed"):
        schema_state(postgres.create())
