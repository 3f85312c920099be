"""An empty deployment to copy, worlds over copies of it, and one real server with two worker processes."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from mintmark.admin.administration import Administration
from mintmark.admin.deployment import initialize
from mintmark.settings import load_settings
from tests.life.serving import LifeServer
from tests.life.world import Clock, World, copy_state, open_world

MEMORY = Path("/dev/shm")


class Template:
    """A deployment with neither tenant nor client, on disk for whoever copies it; its store is closed."""

    def __init__(self, state_dir: Path, administration: Administration) -> None:
        self.state_dir = state_dir
        self.administration = administration


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Copy it; do not change it."""
    state_dir = tmp_path_factory.mktemp("life") / "var"

    async def make() -> Administration:
        administration = await initialize(load_settings(None, {"state_dir": state_dir}, {}))
        await administration.store.close()
        return administration

    return Template(state_dir, asyncio.run(make()))


@pytest.fixture(scope="session")
def empty_state(template: Template) -> Path:
    return template.state_dir


def make_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder in memory where there is one: what a disk promises is proven elsewhere."""
    return tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the test's own."""
    with make_folder() as made:
        yield Path(made)


@pytest_asyncio.fixture
async def world(template: Template, folder: Path) -> AsyncIterator[World]:
    """A deployment of the test's own, in this process; its clock stands still."""
    state_dir = copy_state(template.state_dir, folder)
    opened = await open_world(state_dir, Clock(), template.administration)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def pair(empty_state: Path) -> Iterator[LifeServer]:
    """A real server of two worker processes, for all tests: each makes the tenants and clients that it changes."""
    with make_folder() as made, LifeServer(copy_state(empty_state, Path(made)), workers=2) as server:
        yield server
