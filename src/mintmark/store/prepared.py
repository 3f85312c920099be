"""Core statements compiled once and given straight to the driver, for what is done often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

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


class Compiled(NamedTuple):
    """A statement as a driver takes it."""

    text: str
    names: tuple[str, ...]
    """Of the values, in the order in which they stand in the text."""
    fixed: Mapping[str, object]
    """Values that the statement brings itself."""


def change(connection: Connection, statement: ClauseElement, *rows: Mapping[str, object]) -> int:
    """Carry out an INSERT, UPDATE or DELETE once for each of these rows of values, which name the same.

    Returns: how many rows it concerned.
    Raises: DBAPIError.
    """
    compiled = _compile(connection.dialect, statement, tuple(rows[0]) if rows else ())
    if len(rows) > 1:
        values = [[{**compiled.fixed, **row}[name] for name in compiled.names] for row in rows]
        return _run(connection, compiled.text, values, is_many=True)
    named = {**compiled.fixed, **rows[0]} if rows else compiled.fixed
    return _run(connection, compiled.text, [named[name] for name in compiled.names])


def say(connection: Connection, text: str) -> None:
    """Carry out a statement without values. Raises: DBAPIError."""
    _run(connection, text, ())


def _run(connection: Connection, text: str, values: Sequence[Any], *, is_many: bool = False) -> int:
    cursor = connection.connection.cursor()
    try:
        (cursor.executemany if is_many else cursor.execute)(text, values)
        return int(cursor.rowcount)
    except Exception as error:
        raise as_sqlalchemy_does(error, connection.dialect, text) from error
    finally:
        cursor.close()


def _compile(dialect: Dialect, statement: ClauseElement, names: tuple[str, ...]) -> Compiled:
    key = (dialect.name, statement, names)
    compiled = _COMPILED.get(key)
    if compiled is None:
        written: Any = statement.compile(dialect=dialect, column_keys=names)
        compiled = _COMPILED[key] = Compiled(str(written), tuple(written.positiontup or ()), written.params)
    return compiled


_COMPILED: Final[dict[tuple[str, ClauseElement, tuple[str, ...]], Compiled]] = {}


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
