"""This release runs on the next one's schema, while it is being made and after, if that schema only adds."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from mintmark.protocol.errors import StoreError
from mintmark.store import schema
from mintmark.store.schema import SCRIPTS, migrate, schema_state
from mintmark.store.sql_store import SqlStore
from tests.postgresql import Postgres

from .conformance_life import RenewalConformance, RevocationConformance
from .samples import client, digest, slot, tenant, token

NEXT = Path(__file__).with_name("next_revision.py")
STEPS = 40
"""Acts before the migration and after it."""


@contextmanager
def next_release(folder: Path, says: str = 'oldest_program = "0001"') -> Iterator[None]:
    """Be the next release: its scripts, and the revisions that it knows."""
    scripts = folder / "migrations"
    shutil.copytree(SCRIPTS, scripts, dirs_exist_ok=True)
    text = NEXT.read_text().replace('oldest_program = "0001"', says)
    (scripts / "versions" / "0002_next.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "SCRIPTS", scripts)
        patch.setattr(schema, "REVISIONS", ("0001", "0002"))
        patch.setattr(schema, "HEAD", "0002")
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, path: Path) -> str:
    """A database of either kind, with the schema of this release."""
    if request.param == "sqlite":
        return f"sqlite:///{path}"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.create()


class Traffic:
    """Uses a store without a pause."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.acts = 0

    async def run(self) -> None:
        while True:
            name = f"t{self.acts}"
            await self.store.tokens.add([token(name)])
            await self.store.tokens.renew(token(f"r{self.acts}"), slot(), b"sealed")
            await self.store.clients.change("acme", "meter", {"client_name": name})
            assert await self.store.tokens.find(digest(name)) == token(name)
            assert await self.store.clients.find("acme", "meter") is not None
            assert [one.tenant_id for one in await self.store.tenants.list()] == ["acme"]
            self.acts += 1
            # SQLite's calls may all be done at once: the test is to have its turn, too.
            await asyncio.sleep(0)

    async def go_on(self, running: asyncio.Task[None]) -> None:
        wanted = self.acts + STEPS
        while self.acts < wanted:
            assert not running.done(), running.exception()
            await asyncio.sleep(0.01)


async def test_a_store_at_work_notices_nothing_of_a_migration(either: str, tmp_path: Path):
    store = SqlStore.open(either)
    await store.tenants.add(tenant(), [])
    await store.clients.add([client()])
    traffic = Traffic(store)
    running = asyncio.create_task(traffic.run())
    await traffic.go_on(running)
    with next_release(tmp_path):
        await asyncio.to_thread(migrate, either)
        assert schema_state(either) == "current"
    await traffic.go_on(running)
    running.cancel()
    await store.close()


async def test_this_release_starts_on_a_schema_that_only_added(either: str, tmp_path: Path):
    with next_release(tmp_path):
        migrate(either)
    assert schema_state(either) == "current"
    migrate(either)  # does nothing
    store = SqlStore.open(either)
    await store.tenants.add(tenant(), [])
    await store.clients.add([client()])
    await store.close()


@pytest.mark.parametrize("oldest", ["0002", "0003", ""])
def test_this_release_does_not_start_on_a_schema_that_needs_another(either: str, tmp_path: Path, oldest: str):
    with next_release(tmp_path, f'oldest_program = "{oldest}"'):
        migrate(either)
    assert schema_state(either) == "newer"
    for call in (SqlStore.open, migrate):
        with pytest.raises(StoreError, match="later release, on whose schema this program cannot run"):
            call(either)


def test_a_revision_that_does_not_say_which_programs_run_on_it_is_not_applied(either: str, tmp_path: Path):
    with next_release(tmp_path, ""):
        with pytest.raises(AttributeError):
            migrate(either)
        assert schema_state(either) == "old"
    assert schema_state(either) == "current"


@pytest.mark.asyncio
class TestOnTheNextSchema(RenewalConformance, RevocationConformance):
    """What is expected of a store, on PostgreSQL with the next release's schema."""

    @pytest_asyncio.fixture
    async def store(self, url: str) -> AsyncIterator[SqlStore]:
        opened = SqlStore.open(url)
        yield opened
        await opened.close()

    @pytest.fixture
    def url(self, postgres: Postgres, tmp_path: Path) -> str:
        made = postgres.create()
        with next_release(tmp_path):
            migrate(made)
        return made
