"""What the tests of management share."""

from __future__ import annotations

import pytest_asyncio

from tests.endpoints.in_process import InProcess
from tests.manage.world import World, make_world


@pytest_asyncio.fixture
async def world(application: InProcess) -> World:
    """Tenants of every relation, in an application of the test's own."""
    return await make_world(application)
