"""One deployment's rows copied from one database into another that is empty, and held against each other at the end.

Rows go in the order of their keys, a page a transaction. So whatever ends a copy, what is there is whole up to its
greatest key, and the next copy goes on behind that. Until the end the target bears a mark, and no store opens it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from itertools import zip_longest
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Table, delete, func, insert, select, true, tuple_
from sqlalchemy.exc import DBAPIError

from mintmark.protocol.errors import StoreError
from mintmark.store.deployment import read_fact, write_fact
from mintmark.store.faults import store_faults
from mintmark.store.migrations import HEAD
from mintmark.store.prepared import JsonInsert
from mintmark.store.schema import (
    HALF_COPIED,
    OF_THE_DATABASE,
    SchemaPlace,
    place_of,
    read_state,
    read_version,
    refuse,
    upgrade,
)
from mintmark.store.tables import DEPLOYMENT_FACT, METADATA, REVISION, TENANT

Tell = Callable[[str, str, int, int], None]
"""Hears what is done (`copied` or `verified`), of which table, how many of its rows so far, and of how many."""

Key = tuple[Any, ...]

PAGE: Final = 500
_ENCODE: Final = msgspec.msgpack.Encoder().encode


class Portion(NamedTuple):
    """Rows that are copied one after the other."""

    table: Table
    condition: ColumnElement[bool]
    about: str = ""
    """Which of the table's rows, where there are others."""

    @property
    def name(self) -> str:
        """What is said of it while it is copied."""
        return f"{self.table.name} {self.about}".rstrip()


class Ends(NamedTuple):
    """Both databases, held so that nobody else changes them."""

    source: Connection
    target: Connection
    target_place: SchemaPlace


def list_portions() -> list[Portion]:
    """Return all rows of a deployment, none before one that it refers to."""
    portions = [Portion(table, true()) for table in METADATA.sorted_tables if table not in (TENANT, DEPLOYMENT_FACT)]
    facts = Portion(DEPLOYMENT_FACT, DEPLOYMENT_FACT.c.name.not_in(OF_THE_DATABASE))
    # A customer refers to its msp, which is nobody's customer.
    customers = Portion(TENANT, TENANT.c.msp_id.is_not(None), "(customers)")
    return [Portion(TENANT, TENANT.c.msp_id.is_(None)), customers, *portions, facts]


def copy_database(source_url: str, target_url: str, origin: str, tell: Tell) -> int:
    """Copy all rows, or the rest of them, make sure that they are the same, and return how many there are.

    The caller sees to it that nobody serves on the source.

    Args:
        origin: names the deployment; a copy of another is not gone on with.
        tell: hears of the progress.

    Raises: SettingsError, StoreUnavailable, StoreError (a schema, a target with rows of its own, rows that differ).
    """
    with hold(source_url, target_url) as ends, store_faults():
        begin_copy(ends, origin)
        portions = list_portions()
        for portion in portions:
            copy_portion(ends, portion, tell)
        rows = sum(verify_portion(ends, portion, tell) for portion in portions)
        with transaction(ends.target, ends.target_place):
            ends.target.execute(delete(DEPLOYMENT_FACT).where(DEPLOYMENT_FACT.c.name == HALF_COPIED))
        return rows


@contextmanager
def hold(source_url: str, target_url: str) -> Iterator[Ends]:
    """Hold both ends. Raises: SettingsError, StoreError, StoreUnavailable."""
    source_place, target_place = place_of(source_url), place_of(target_url)
    if source_url == target_url:
        raise StoreError(f"database {target_place.name}: it cannot be copied into itself")
    if source_place.is_empty():
        raise refuse(source_place, "absent")
    with source_place.changing() as source, target_place.changing() as target, store_faults():
        check_source(source, source_place)
        if read_state(target, target_place) != "half_copied":
            upgrade(target, target_place)
        source.exec_driver_sql(source_place.begin_snapshot)
        try:
            yield Ends(source, target, target_place)
        finally:
            source.exec_driver_sql("ROLLBACK")


def check_source(source: Connection, place: SchemaPlace) -> None:
    """Make sure that this program knows every column of the source. Raises: StoreError, DBAPIError."""
    state = read_state(source, place)
    if state != "current":
        raise refuse(place, state)
    if read_version(source) != HEAD:
        raise refuse(place, "newer")


def begin_copy(ends: Ends, origin: str) -> None:
    """Mark the target, or find it marked by a copy that was cut off. Raises: StoreError, DBAPIError."""
    name = ends.target_place.name
    mark = read_fact(ends.target, HALF_COPIED)
    if mark is not None:
        if mark != origin:
            raise StoreError(f"database {name}: it holds a part of another deployment's copy; give an empty database")
        return
    if any(has_rows(ends.target, portion) for portion in list_portions() if portion.table is not REVISION):
        raise StoreError(f"database {name}: it holds a deployment already; give an empty database")
    with transaction(ends.target, ends.target_place):
        write_fact(ends.target, name=HALF_COPIED, value=origin)
        # The row with which a schema begins: the source's takes its place.
        ends.target.execute(delete(REVISION))


def has_rows(connection: Connection, portion: Portion) -> bool:
    """Tell whether there is a row. Raises: DBAPIError."""
    return bool(read_page(connection, portion, None, 1))


def copy_portion(ends: Ends, portion: Portion, tell: Tell) -> None:
    """Copy the rows behind the greatest key that the target has. Raises: DBAPIError."""
    total, done = count(ends.source, portion), count(ends.target, portion)
    for page in pages(ends.source, portion, greatest_key(ends.target, portion)):
        with transaction(ends.target, ends.target_place):
            add_rows(ends.target, portion.table, [dict(row._mapping) for row in page])
        done += len(page)
        tell("copied", portion.name, done, total)


insert_into: Final = cache(JsonInsert)


def add_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows. Raises: DBAPIError."""
    if connection.dialect.name == "postgresql":
        insert_into(table).run(connection, rows)
    else:
        connection.execute(insert(table), rows)


def verify_portion(ends: Ends, portion: Portion, tell: Tell) -> int:
    """Make sure that both ends have the same rows, and return how many. Raises: StoreError, DBAPIError.

    They are counted, and a digest is made over all of them in the order of their keys, on both sides.
    """
    name, total, rows = portion.name, count(ends.source, portion), [0, 0]
    digests = sha256(), sha256()
    for both in zip_longest(pages(ends.source, portion, None), pages(ends.target, portion, None), fillvalue=()):
        for side, page in enumerate(both):
            rows[side] += len(page)
            digests[side].update(_ENCODE([tuple(row) for row in page]))
        tell("verified", name, rows[0], total)
    if rows[0] != rows[1] or digests[0].digest() != digests[1].digest():
        raise StoreError(
            f"database {ends.target_place.name}: table {name} is not as in the source, which may have changed since"
            " the copy began; empty the target and copy again"
        )
    return rows[0]


def pages(connection: Connection, portion: Portion, after: Key | None) -> Iterator[Sequence[Row[*tuple[Any, ...]]]]:
    """Return the rows behind a key in the order of their keys, a page at a time. Raises: DBAPIError."""
    while page := read_page(connection, portion, after, PAGE):
        yield page
        after = tuple(page[-1]._mapping[column.name] for column in portion.table.primary_key)


def read_page(
    connection: Connection, portion: Portion, after: Key | None, limit: int
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return up to `limit` rows behind a key. Raises: DBAPIError."""
    key = list(portion.table.primary_key)
    rows = select(portion.table).where(portion.condition).order_by(*key).limit(limit)
    return connection.execute(rows if after is None else rows.where(tuple_(*key) > tuple_(*after))).all()


def greatest_key(connection: Connection, portion: Portion) -> Key | None:
    """Return the key of the last row, or None. Raises: DBAPIError."""
    key = list(portion.table.primary_key)
    last = select(*key).where(portion.condition).order_by(*(column.desc() for column in key)).limit(1)
    found = connection.execute(last).first()
    return None if found is None else tuple(found)


def count(connection: Connection, portion: Portion) -> int:
    """Return how many rows there are. Raises: DBAPIError."""
    return connection.execute(select(func.count()).select_from(portion.table).where(portion.condition)).scalar_one()


@contextmanager
def transaction(connection: Connection, place: SchemaPlace) -> Iterator[None]:
    """Begin a transaction, and end it. Raises: DBAPIError."""
    connection.exec_driver_sql(place.begin)
    try:
        yield
    except BaseException:
        # After some errors it is undone already.
        with suppress(DBAPIError):
            connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")
