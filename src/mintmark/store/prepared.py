"""Core statements compiled once, for the paths that every request takes."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Connection
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement


class Prepared:
    """A statement whose values are given by position, in the order of its bound parameters."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._texts: dict[str, str] = {}

    def text(self, dialect: Dialect) -> str:
        """Return the SQL in a dialect, compiled at the first call."""
        text = self._texts.get(dialect.name)
        if text is None:
            text = self._texts[dialect.name] = str(self._statement.compile(dialect=dialect))
        return text

    def rows(self, connection: Connection, *values: object) -> list[Any]:
        """Return the rows of a SELECT as the driver's tuples, types unconverted: a boolean may be 0 or 1.

        Straight from the driver: SQLAlchemy's result would cost a point read of SQLite some 20 microseconds.

        Raises: DBAPIError.
        """
        text = self.text(connection.dialect)
        cursor = connection.connection.cursor()
        try:
            cursor.execute(text, values)
            return list(cursor.fetchall())
        except Exception as error:
            raise as_sqlalchemy_does(error, connection.dialect, text) from error
        finally:
            cursor.close()


def as_sqlalchemy_does(error: Exception, dialect: Dialect, text: str) -> BaseException:
    """Return the driver's error as SQLAlchemy's, so that one place reads them all; any other as it is."""
    driver = cast(Any, dialect.dbapi)
    return DBAPIError.instance(text, (), error, driver.Error, hide_parameters=True, dialect=dialect)


class PreparedInsert:
    """A one-row INSERT, and the same statement with its group of values repeated for n rows."""

    def __init__(self, statement: ClauseElement) -> None:
        self._one_row = Prepared(statement)
        self._texts: dict[tuple[str, int], str] = {}

    def text(self, dialect: Dialect, rows: int) -> str:
        """Return the SQL for a number of rows; kept, so that the driver finds its compiled form by it."""
        text = self._texts.get((dialect.name, rows))
        if text is None:
            head, _, group = self._one_row.text(dialect).partition(" VALUES ")
            text = self._texts[dialect.name, rows] = f"{head} VALUES {', '.join([group] * rows)}"
        return text

    def run(self, connection: Connection, rows: int, values: tuple[object, ...]) -> None:
        """Insert the rows, whose values stand one after the other. Raises: DBAPIError."""
        connection.exec_driver_sql(self.text(connection.dialect, rows), values)
