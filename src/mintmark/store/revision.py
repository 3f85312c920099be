"""The revision: the number that grows with every change of a registration, and what it was at a tenant's or key's last.

A transaction over many works counts in memory, and writes it once, at its end.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from mintmark.store.prepared import Prepared, change
from mintmark.store.session import keep, kept_by, note_revision
from mintmark.store.tables import REVISION

READ: Final = Prepared(select(REVISION.c.number, REVISION.c.of_issuers))
RAISE: Final = update(REVISION).values(number=REVISION.c.number + 1)
RAISE_BOTH: Final = update(REVISION).values(number=REVISION.c.number + 1, of_issuers=REVISION.c.number + 1)
WRITE: Final = update(REVISION).values(number=bindparam("counted"), of_issuers=bindparam("counted_of_issuers"))


def read_revisions(connection: Connection) -> tuple[int, int]:
    """Return the revision, and what it was at the last change of a tenant or key. Raises: DBAPIError."""
    kept = kept_by(connection)
    if kept is not None and kept.revisions is not None:
        return kept.revisions
    number, of_issuers = READ.rows(connection)[0]
    return int(number), int(of_issuers)


def raise_revision(connection: Connection, *, is_of_issuers: bool) -> None:
    """Count a change, which is told of when it is committed. Raises: DBAPIError."""
    if kept_by(connection) is None:
        change(connection, RAISE_BOTH if is_of_issuers else RAISE)
    else:
        number, of_issuers = read_revisions(connection)
        keep(connection, revisions=(number + 1, number + 1 if is_of_issuers else of_issuers))
    note_revision(connection)


def write_counted(connection: Connection) -> None:
    """Write the revision that a transaction over many works has counted. Raises: DBAPIError."""
    kept = kept_by(connection)
    if kept is not None and kept.revisions is not None:
        number, of_issuers = kept.revisions
        change(connection, WRITE, {"counted": number, "counted_of_issuers": of_issuers})
