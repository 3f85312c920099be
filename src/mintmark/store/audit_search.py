"""How a page of the audit log is found: bounded in records, in octets, and in how much of the log is looked at.

Where one index has what is wanted in the order of the log, that index is followed. Else, for several tenants or for an
actor, one window of the log after the other is searched; who asks goes on from where the last one ended.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from mintmark.store.records import AuditPage, AuditRecord, AuditSearch
from mintmark.store.tables import AUDIT_RECORD

WINDOW: Final = 20_000
MAX_WINDOWS: Final = 10
BOUNDS: Final = select(func.min(AUDIT_RECORD.c.seq), func.max(AUDIT_RECORD.c.seq))


def search_records(connection: Connection, wanted: AuditSearch) -> AuditPage:
    """Return a page. Raises: DBAPIError."""
    oldest, newest = connection.execute(BOUNDS).one()
    if oldest is None:
        return AuditPage([], None)
    found = list[AuditRecord]()
    room, step = wanted.octets, WINDOW if is_windowed(wanted) else newest - oldest + 1
    if wanted.after is not None:
        starts = range(max(wanted.after + 1, oldest), newest + 1, step)
        windows = [(start, start + step) for start in starts[: MAX_WINDOWS + 1]]
    else:
        ends = range(newest + 1 if wanted.before is None else min(wanted.before, newest + 1), oldest, -step)
        windows = [(end - step, end) for end in ends[: MAX_WINDOWS + 1]]
    for low, high in windows[:MAX_WINDOWS]:
        is_whole, room = take(connection, wanted, (low, high), found, room)
        if not is_whole:
            return AuditPage(found, found[-1].seq)
    if len(windows) <= MAX_WINDOWS:
        return AuditPage(found, None)
    return AuditPage(found, windows[-1][0] - 1 if wanted.after is not None else windows[-1][1])


def is_windowed(wanted: AuditSearch) -> bool:
    """Tell whether no index has what is wanted in the order of the log."""
    return bool(wanted.actor) or (wanted.tenants is not None and len(wanted.tenants) > 1)


def take(
    connection: Connection, wanted: AuditSearch, window: tuple[int, int], found: list[AuditRecord], room: int
) -> tuple[bool, int]:
    """Add to `found` what a window has of the wanted; tell whether that was all, and the octets left.

    Raises: DBAPIError.
    """
    # Which they are is found in an index; only the records that are given are read.
    one_more = places(wanted, *window).limit(wanted.limit - len(found) + 1).scalar_subquery()
    rows = connection.execute(select(AUDIT_RECORD).where(AUDIT_RECORD.c.seq.in_(one_more)).order_by(order_of(wanted)))
    while (row := rows.fetchone()) is not None:
        room -= len(row.body)
        if len(found) == wanted.limit or (found and room < 0):
            rows.close()
            return False, room
        found.append(record_from(row))
    return True, room


def places(wanted: AuditSearch, low: int, high: int) -> Select[int]:
    """Return the statement that finds where in a window the wanted records are. `high`: the first place behind it."""
    chosen = [AUDIT_RECORD.c.seq >= low, AUDIT_RECORD.c.seq < high]
    if wanted.tenants is not None:
        chosen.append(AUDIT_RECORD.c.tenant_id.in_(list(wanted.tenants)))
    if wanted.kind:
        chosen.append(AUDIT_RECORD.c.kind == wanted.kind)
    if wanted.actor:
        chosen.append(AUDIT_RECORD.c.actor == wanted.actor)
    return select(AUDIT_RECORD.c.seq).where(*chosen).order_by(order_of(wanted))


def order_of(wanted: AuditSearch) -> ColumnElement[int]:
    """Return the order of a page."""
    return AUDIT_RECORD.c.seq.asc() if wanted.after is not None else AUDIT_RECORD.c.seq.desc()


def record_from(row: Row[*tuple[Any, ...]]) -> AuditRecord:
    """Return the record of a row."""
    return AuditRecord(**row._mapping)
