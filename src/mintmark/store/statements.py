"""Two things that SQLAlchemy has no one word for, and both databases do."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnClause, Insert, Integer
from sqlalchemy.ext.compiler import compiles


class InsertUnlessThere(Insert):
    """An INSERT that leaves a row of the same key as it is, also one that another process is about to commit."""

    inherit_cache = True


class RowPlace(ColumnClause[int]):
    """Where a row lies: by its place it is found without an index."""

    inherit_cache = True


ROW: Final = RowPlace("rowid", Integer)


@compiles(InsertUnlessThere)
def write_insert_unless_there(statement: InsertUnlessThere, compiler: Any, **named: Any) -> str:
    """Return the SQL, the same in SQLite and PostgreSQL."""
    return f"{compiler.visit_insert(statement, **named)} ON CONFLICT DO NOTHING"


@compiles(RowPlace, "postgresql")
def write_row_place(column: RowPlace, compiler: Any, **named: Any) -> str:
    """Return PostgreSQL's name of it; SQLite's is the column's own."""
    return "ctid"
