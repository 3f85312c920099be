"""How one view of the store writes: in whose name, and whether the answer waits for the disk.

A view that acts for somebody appends to the audit log what each change was, in the transaction of the change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mintmark.store.chain import Draft, append
from mintmark.store.prepared import change
from mintmark.store.records import Act, TokenRecord
from mintmark.store.session import REGISTRATIONS, Turn, note_revision
from mintmark.store.tables import CLIENT_CHANGE, REVISION

Result = TypeVar("Result")
Shown = Mapping[str, Any]
"""What a record may say of a row: JSON, without hash, seal or token."""

OF_ISSUERS: Final = frozenset({"tenant", "key"})
"""The nouns of which every process keeps all that there is."""
RAISE_REVISION: Final = update(REVISION).values(number=REVISION.c.number + 1)
RAISE_BOTH: Final = update(REVISION).values(number=REVISION.c.number + 1, of_issuers=REVISION.c.number + 1)
NUMBER: Final = select(REVISION.c.number).scalar_subquery()
LIST_CLIENT: Final = insert(CLIENT_CHANGE).values(revision=NUMBER)
REVISIONS_LISTED: Final = 1000
"""The last revisions, of which the list of changed clients is kept."""
MAX_LISTED: Final = 100
"""Clients that one revision lists. One that changes more lists none, and may so concern any."""
NOBODY: Final = {"tenant_id": "", "client_id": ""}
"""What a revision lists that only added clients: they are in nobody's memory."""
UNLIST: Final = delete(CLIENT_CHANGE).where(CLIENT_CHANGE.c.revision <= NUMBER - bindparam("kept", REVISIONS_LISTED))


class Subject(NamedTuple):
    """What a change is about, and how to show it before and after."""

    noun: str
    tenant_id: str | None
    """None: what is shown names it."""
    name: str
    """Empty for a tenant itself."""
    show: Callable[[Connection], Shown | None]
    """None: it is not there. Runs inside the transaction."""
    is_new: bool = False
    """It was not there before: a look would only cost time."""
    show_result: Callable[[Any], Shown] | None = None
    """How to show it after, where the work returns it: another look would only cost time."""

    def __str__(self) -> str:
        """Return such as `client acme/billing`, or `tenant acme`."""
        return f"{self.noun} " + "/".join(filter(None, (self.tenant_id, self.name)))


class Committing(Protocol):
    """Where writes go: the group commit, or one transaction over many of them."""

    async def add(self, rows: Sequence[TokenRecord]) -> None:
        """Add tokens, all or none. Raises: AlreadyExists (a digest), StoreUnavailable."""

    async def run(
        self, work: Callable[[Connection], Result], *, turns: Sequence[Turn] = ..., is_synced: bool = True
    ) -> Result:
        """Do work, whole or not at all. Raises: as `GroupCommit.run`."""


class Writing:
    """What the nouns of the store write with."""

    __slots__ = ("_act", "_commit", "_is_synced")

    def __init__(self, commit: Committing, act: Act | None = None, *, is_synced: bool = True) -> None:
        self._commit = commit
        self._act = act
        self._is_synced = is_synced

    def acting(self, act: Act) -> Writing:
        """Return the same, recorded as somebody's act."""
        return Writing(self._commit, act, is_synced=self._is_synced)

    def unsynced(self) -> Writing:
        """Return the same, that answers when a change is seen by all, before it survives a loss of power."""
        return Writing(self._commit, self._act, is_synced=False)

    async def add(self, rows: Sequence[TokenRecord]) -> None:
        """Add tokens. Raises: AlreadyExists (a digest), StoreUnavailable."""
        await self._commit.add(rows)

    async def run(self, work: Callable[[Connection], Result], turn: Turn = REGISTRATIONS) -> Result:
        """Do work in a transaction. Raises: as `GroupCommit.run`."""
        return await self._commit.run(work, turns=(turn,), is_synced=self._is_synced)

    async def record(
        self, work: Callable[[Connection], Result], subjects: Sequence[Subject], turn: Turn = REGISTRATIONS
    ) -> Result:
        """Do work and record it, in one transaction. Raises: as `GroupCommit.run`."""
        if self._act is None:
            return await self.run(work, turn)
        both = (turn, REGISTRATIONS)
        return await self._commit.run(recorded(work, self._act, subjects), turns=both, is_synced=self._is_synced)

    async def change(self, work: Callable[[Connection], Result], *subjects: Subject) -> Result:
        """Do work on tenants, clients, secrets or keys: recorded, and seen by every process. Raises: as `run`."""
        return await self.record(revised(work, subjects), subjects)


def recorded(
    work: Callable[[Connection], Result], act: Act, subjects: Sequence[Subject]
) -> Callable[[Connection], Result]:
    """Return the same work followed, in the same transaction, by a record of each of its subjects."""

    def run(connection: Connection) -> Result:
        before = [None if subject.is_new else subject.show(connection) for subject in subjects]
        result = work(connection)
        after = [one.show_result(result) if one.show_result else one.show(connection) for one in subjects]
        append(connection, list(map(partial(describe, act), subjects, before, after)))
        return result

    return run


def revised(work: Callable[[Connection], Result], subjects: Sequence[Subject]) -> Callable[[Connection], Result]:
    """Return the same work followed, in the same transaction, by a new revision and by which clients it changed.

    Every write to tenants, clients, secrets and keys is wrapped in this.
    """
    raised = RAISE_BOTH if any(subject.noun in OF_ISSUERS for subject in subjects) else RAISE_REVISION
    listed = list_changed(subjects)

    def run(connection: Connection) -> Result:
        result = work(connection)
        change(connection, raised)
        if listed:
            change(connection, LIST_CLIENT, *listed)
            change(connection, UNLIST)
        note_revision(connection)
        return result

    return run


def list_changed(subjects: Sequence[Subject]) -> list[Mapping[str, str | None]]:
    """Return what a change lists of clients; nothing: it may concern any."""
    changed = {(one.tenant_id, one.name) for one in subjects if not one.is_new}
    if len(changed) > MAX_LISTED or any(one.noun != "client" for one in subjects):
        return []
    return [{"tenant_id": tenant_id, "client_id": name} for tenant_id, name in changed] or [NOBODY]


def describe(act: Act, subject: Subject, before: Shown | None, after: Shown | None) -> Draft:
    """Return the record of a change."""
    tenant_id = subject.tenant_id or (before or after or {}).get("tenant_id")
    return Draft(act, tenant_id, str(subject), {"before": before, "after": after})
