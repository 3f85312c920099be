"""A world with Omada tenants for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.life.conftest import Template, folder, template
from tests.life.world import Clock, copy_state, open_world
from tests.manage.omada.world import Omada

__all__ = ["folder", "omada", "template"]


@pytest_asyncio.fixture
async def omada(template: Template, folder: Path) -> AsyncIterator[Omada]:
    """A deployment of the test's own; its clock stands still."""
    state_dir = copy_state(template.state_dir, folder)
    world = await open_world(state_dir, Clock(), template.administration)
    made = Omada(world, state_dir)
    await made.fill()
    yield made
    await world.close()
