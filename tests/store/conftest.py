"""A fresh SQLite database a test, copied from one that was migrated once: Alembic takes its time."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mintmark.store.schema import migrate
from mintmark.store.sql_store import SqlStore


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "mintmark.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def path(migrated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy2(migrated, tmp_path / "mintmark.db"))


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest_asyncio.fixture
async def store(url: str) -> AsyncIterator[SqlStore]:
    opened = SqlStore.open(url)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def another_process(url: str) -> AsyncIterator[SqlStore]:
    """A second store on the same database. It shares nothing with the first but the files."""
    opened = SqlStore.open(url)
    yield opened
    await opened.close()
