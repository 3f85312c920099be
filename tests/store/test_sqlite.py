"""SQLite keeps the contract. The fixtures `store` and `another_process` are SQLite's, in `conftest`."""

from __future__ import annotations

from .conformance import StoreConformance


class TestSqlite(StoreConformance):
    """Everything that is expected of a store."""
