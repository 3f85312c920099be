"""The revision: the number that grows with every change of a registration, and what it was at a tenant's or key's last.

A transaction over many works counts in memory, and writes it once, at its end. Beside it stands which clients each of
the last revisions changed or removed. One that lists none may have changed any.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mintmark.store.prepared import Prepared, change
from mintmark.store.session import keep, kept_by, note_revision
from mintmark.store.tables import CLIENT_CHANGE, REVISION

READ: Final = Prepared(select(REVISION.c.number, REVISION.c.of_issuers))
RAISE: Final = update(REVISION).values(number=REVISION.c.number + 1)
RAISE_BOTH: Final = update(REVISION).values(number=REVISION.c.number + 1, of_issuers=REVISION.c.number + 1)
WRITE: Final = update(REVISION).values(number=bindparam("counted"), of_issuers=bindparam("counted_of_issuers"))
LIST: Final = insert(CLIENT_CHANGE)
UNLIST: Final = delete(CLIENT_CHANGE).where(CLIENT_CHANGE.c.revision <= bindparam("until"))
# One statement, so that the list is of the moment of the revision.
FIND_LISTED: Final = (
    select(REVISION.c.number, *CLIENT_CHANGE.c)
    .outerjoin(CLIENT_CHANGE, CLIENT_CHANGE.c.revision > bindparam("since"))
    .limit(bindparam("at_most"))
)

ClientName = tuple[str, str]
"""Tenant and id."""

REVISIONS_LISTED: Final = 1000
"""The last revisions, of which the list of changed clients is kept."""
MAX_LISTED: Final = 100
"""Clients that one revision lists. One that changes more lists none, and may so concern any."""
MAX_FOUND: Final = 1000
NOBODY: Final[ClientName] = ("", "")
"""What a revision lists that only added clients: they are in nobody's memory."""


def read_revisions(connection: Connection) -> tuple[int, int]:
    """Return the revision, and what it was at the last change of a tenant or key. Raises: DBAPIError."""
    kept = kept_by(connection)
    if kept is not None and kept.revisions is not None:
        return kept.revisions
    number, of_issuers = READ.rows(connection)[0]
    return int(number), int(of_issuers)


def raise_revision(connection: Connection, *, is_of_issuers: bool, clients: Collection[ClientName] | None) -> None:
    """Count a change, which is told of when it is committed.

    Args:
        clients: those that it concerns; None: any may be.

    Raises: DBAPIError.
    """
    is_counted = kept_by(connection) is not None
    if not is_counted:
        change(connection, RAISE_BOTH if is_of_issuers else RAISE)
    number, of_issuers = read_revisions(connection)
    if is_counted:
        number += 1
        keep(connection, revisions=(number, number if is_of_issuers else of_issuers))
    if clients is not None and len(clients) <= MAX_LISTED:
        named = [{"revision": number, "tenant_id": one[0], "client_id": one[1]} for one in clients or [NOBODY]]
        change(connection, LIST, *named)
        if not is_counted:
            unlist(connection, number)
    note_revision(connection)


def write_counted(connection: Connection) -> None:
    """Write the revision that a transaction over many works has counted. Raises: DBAPIError."""
    kept = kept_by(connection)
    if kept is not None and kept.revisions is not None:
        number, of_issuers = kept.revisions
        change(connection, WRITE, {"counted": number, "counted_of_issuers": of_issuers})
        unlist(connection, number)


def unlist(connection: Connection, number: int) -> None:
    """Remove from the list what is too long ago at this revision. Raises: DBAPIError."""
    change(connection, UNLIST, {"until": number - REVISIONS_LISTED})


def read_changed(connection: Connection, since: int) -> Sequence[ClientName] | None:
    """Return which clients changed or went since that revision, or None. Raises: DBAPIError.

    None: they are too many, or a revision since then does not say whom it changed, or says so no longer.
    """
    rows = connection.execute(FIND_LISTED, {"since": since, "at_most": MAX_FOUND + 1}).all()
    listed = [row for row in rows if row.revision is not None]
    if len({row.revision for row in listed}) != rows[0].number - since or len(listed) > MAX_FOUND:
        return None
    return [(row.tenant_id, row.client_id) for row in listed if row.client_id]
