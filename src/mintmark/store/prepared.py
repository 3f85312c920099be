"""Core statements compiled once and given straight to the driver, for what is done often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import astuple
from sqlalchemy import (
    JSON,
    Connection,
    Insert,
    LargeBinary,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement

_ENCODE: Final = msgspec.json.Encoder().encode


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
        try:
            cursor = connection.connection.cursor()
            try:
                cursor.execute(text, values)
                return list(cursor.fetchall())
            finally:
                cursor.close()
        except Exception as error:
            raise as_sqlalchemy_does(error, connection.dialect, text) from error


def as_sqlalchemy_does(error: Exception, dialect: Dialect, text: str) -> BaseException:
    """Return the driver's error as SQLAlchemy's, so that one place reads them all; any other as it is."""
    driver: Any = dialect.dbapi
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
    try:
        cursor = connection.connection.cursor()
        try:
            (cursor.executemany if is_many else cursor.execute)(text, values)
            return int(cursor.rowcount)
        finally:
            cursor.close()
    except Exception as error:
        raise as_sqlalchemy_does(error, connection.dialect, text) from error


def _compile(dialect: Dialect, statement: ClauseElement, names: tuple[str, ...]) -> Compiled:
    key = (dialect.name, statement, names)
    compiled = _COMPILED.get(key)
    if compiled is None:
        written: Any = statement.compile(dialect=dialect, column_keys=names)
        compiled = _COMPILED[key] = Compiled(str(written), tuple(written.positiontup or ()), written.params)
    return compiled


_COMPILED: Final[dict[tuple[str, ClauseElement, tuple[str, ...]], Compiled]] = {}


class PreparedInsert:
    """An INSERT of many records, whose fields are the table's columns in their order: one call into the driver."""

    def __init__(self, table: Table) -> None:
        self._one_row = Prepared(insert(table))
        self._from_json = JsonInsert(table)
        self._texts: dict[int, str] = {}

    def run(self, connection: Connection, records: Sequence[msgspec.Struct]) -> None:
        """Insert the records. Raises: DBAPIError."""
        if connection.dialect.name == "postgresql":
            self._from_json.run(connection, records)
        else:
            values = tuple(chain.from_iterable(map(astuple, records)))
            connection.exec_driver_sql(self._of_rows(connection.dialect, len(records)), values)

    def _of_rows(self, dialect: Dialect, rows: int) -> str:
        """Return the one-row INSERT with its group of values repeated; kept: the driver finds it by its text."""
        text = self._texts.get(rows)
        if text is None:
            head, _, group = self._one_row.text(dialect).partition(" VALUES ")
            text = self._texts[rows] = f"{head} VALUES {', '.join([group] * rows)}"
        return text


class JsonInsert:
    """PostgreSQL's INSERT of rows by one value: to hand each over by itself costs the client ten times as much."""

    def __init__(self, table: Table) -> None:
        self._statement = Prepared(insert_from_json(table))

    def run(self, connection: Connection, rows: Sequence[msgspec.Struct | Mapping[str, Any]]) -> None:
        """Insert rows, named as the columns are. One text serves any number. Raises: DBAPIError."""
        connection.exec_driver_sql(self._statement.text(connection.dialect), (_ENCODE(rows).decode(),))


def insert_from_json(table: Table) -> Insert:
    """Return PostgreSQL's INSERT of a JSON array of objects, its one value, in which octets stand in base64."""
    given = [column(one.name, Text if isinstance(one.type, LargeBinary) else one.type) for one in table.columns]
    rows = func.json_to_recordset(cast(bindparam("records"), JSON)).table_valued(*given).render_derived(with_types=True)
    octets = {one.name for one in table.columns if isinstance(one.type, LargeBinary)}
    base64 = literal_column("'base64'", Text)
    values = [func.decode(one, base64) if one.name in octets else one for one in rows.c]
    return insert(table).from_select([one.name for one in given], select(*values))
