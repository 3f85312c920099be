"""What the writer asks of a database: a connection, a transaction, and what stands around them."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Connection

OPENED_ELSEWHERE: Final = "this store was opened before the process forked; open one in each process"

REVISED: Final = "is_revised"
KEPT: Final = "kept"

Turn = tuple[str | int | bytes, ...]
"""What must be done one after the other, in whatever process: all works that name the same turn."""

REGISTRATIONS: Final[Turn] = ("registrations",)
"""The turn of everything that names no other: the revision, the audit log's chain, and all that is registered."""


class Session(Protocol):
    """The connection that writes, used from one thread."""

    def waited(self) -> AbstractContextManager[None]:
        """Wait until this process may write at all; it may for the time of the block. Raises: StoreUnavailable."""

    def live(self) -> Connection:
        """Return the connection, in autocommit. Raises: StoreUnavailable."""

    def transaction(self, turns: Collection[Turn], *, is_synced: bool) -> AbstractContextManager[Connection]:
        """Give the connection in a transaction that holds these turns: committed at the end, undone where it raises.

        Args:
            is_synced: False: the end does not wait for the disk.

        Raises: DBAPIError, StoreUnavailable.
        """

    def tell(self) -> None:
        """Tell of what was committed, if it is to be told of. Called before the callers are; it never fails."""

    def close(self) -> None:
        """Let go of the database."""


class Bell(Protocol):
    """Tells that a registration has changed, without a read."""

    def heard(self) -> bytes:
        """Return what is another after a change."""

    def close(self) -> None:
        """Listen no more. A second call does nothing."""


class LogKeeper(Protocol):
    """Does what the database wants done beside its writers."""

    def begin(self) -> None:
        """Do it from now on. A second call does nothing."""

    def close(self) -> None:
        """Do it no more."""


def note_revision(connection: Connection) -> None:
    """Note that the transaction in hand, if it is committed, is to be told of."""
    connection.info[REVISED] = True


class Kept(NamedTuple):
    """What a transaction over many works keeps in memory: nobody else changes it meanwhile."""

    head: tuple[int, bytes] | None = None
    """Place and hash of the audit log's last record; None: not known yet."""
    revisions: tuple[int, int] | None = None
    """See `revision`; None: none of its works has raised it."""


def kept_by(connection: Connection) -> Kept | None:
    """Return what the transaction in hand keeps; None: it keeps nothing."""
    kept: Kept | None = connection.info.get(KEPT)
    return kept


def keep(connection: Connection, **known: Any) -> None:
    """Let the transaction in hand keep this, too, if it keeps anything."""
    kept = kept_by(connection)
    if kept is not None:
        connection.info[KEPT] = kept._replace(**known)
