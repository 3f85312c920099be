"""SQLite keeps the contract. The fixtures `store` and `another_process` are SQLite's, in `conftest`."""

from __future__ import annotations

from .conformance import StoreConformance
from .conformance_creations import IdempotencyConformance, RegistrationConformance
from .conformance_together import TogetherConformance


class TestSqlite(StoreConformance, TogetherConformance, IdempotencyConformance, RegistrationConformance):
    """Everything that is expected of a store."""
