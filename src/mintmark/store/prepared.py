"""Core statements compiled once, for the paths that every request takes: Core's own way costs several times more."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, CursorResult
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement


class Prepared:
    """A statement whose values are given by position, in the order in which its bound parameters stand in the text."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._texts: dict[str, str] = {}

    def text(self, dialect: Dialect) -> str:
        """Return the SQL in a dialect, compiled at the first call."""
        text = self._texts.get(dialect.name)
        if text is None:
            text = self._texts[dialect.name] = str(self._statement.compile(dialect=dialect))
        return text

    def run(self, connection: Connection, *values: object) -> CursorResult[*tuple[Any, ...]]:
        """Execute with these values. Raises: DBAPIError."""
        return connection.exec_driver_sql(self.text(connection.dialect), values)


class PreparedInsert:
    """A one-row INSERT, and the same statement with its group of values repeated for n rows."""

    def __init__(self, statement: ClauseElement) -> None:
        self._one_row = Prepared(statement)
        self._texts: dict[tuple[str, int], str] = {}

    def text(self, dialect: Dialect, rows: int) -> str:
        """Return the SQL for a number of rows; the text is kept, so that the driver finds its compiled form."""
        text = self._texts.get((dialect.name, rows))
        if text is None:
            head, _, group = self._one_row.text(dialect).partition(" VALUES ")
            text = self._texts[dialect.name, rows] = f"{head} VALUES {', '.join([group] * rows)}"
        return text

    def run(self, connection: Connection, rows: int, values: tuple[object, ...]) -> None:
        """Insert the rows, whose values stand one after the other. Raises: DBAPIError."""
        connection.exec_driver_sql(self.text(connection.dialect, rows), values)
