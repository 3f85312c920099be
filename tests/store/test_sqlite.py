"""SQLite keeps the contract. The fixtures `store` and `another_process` are SQLite's, in `conftest`."""

from __future__ import annotations

import pytest

from .conformance import StoreConformance
from .conformance_creations import IdempotencyConformance, RegistrationConformance
from .conformance_life import ReclaimConformance
from .conformance_together import TogetherConformance


@pytest.mark.asyncio
class TestSqlite(
    StoreConformance, TogetherConformance, ReclaimConformance, IdempotencyConformance, RegistrationConformance
):
    """Everything that is expected of a store."""
