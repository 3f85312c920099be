"""How one view of the store writes: in whose name, and whether the answer waits for the disk.

A view that acts for somebody appends to the audit log what each change was, in the transaction of the change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar, cast

from sqlalchemy import Connection

from mintmark.store.chain import Draft, append
from mintmark.store.records import Act, ClientRecord, TenantRecord, TokenRecord
from mintmark.store.revision import ClientName, raise_revision
from mintmark.store.session import REGISTRATIONS, Turn

Result = TypeVar("Result")
Row = TypeVar("Row", TenantRecord, ClientRecord)
Shown = Mapping[str, Any]
"""What a record may say of a row: JSON, without hash, seal or token."""

CLIENT: Final = "client"
OF_ISSUERS: Final = frozenset({"tenant", "key"})
"""The nouns of which every process keeps all that there is."""


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

    def __str__(self) -> str:
        """Return such as `client acme/billing`, or `tenant acme`."""
        return name_subject(self.noun, self.tenant_id, self.name)


class Change(NamedTuple, Generic[Row]):
    """A row as a work found it and as it left it; None: it is not there."""

    before: Row | None
    after: Row | None


class Noun(NamedTuple, Generic[Row]):
    """How rows are named and shown whose works tell what they change: looks for the record would only cost time."""

    name: str
    key: Callable[[Row], str]
    """Its name within its tenant; empty for a tenant itself."""
    show: Callable[[Row], Shown]


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

    async def change_rows(self, noun: Noun[Row], work: Callable[[Connection], list[Change[Row]]]) -> list[Change[Row]]:
        """Do work on rows of a noun, which tells what it changed, as `change` does. Raises: as `run`."""

        def recorded_work(connection: Connection) -> list[Change[Row]]:
            changes = work(connection)
            if self._act is not None:
                append(connection, [describe_row(self._act, noun, one) for one in changes])
            found = {(one.before.tenant_id, noun.key(one.before)) for one in changes if one.before is not None}
            clients = found if noun.name == CLIENT else None
            raise_revision(connection, is_of_issuers=noun.name in OF_ISSUERS, clients=clients)
            return changes

        return await self.run(recorded_work)


def recorded(
    work: Callable[[Connection], Result], act: Act, subjects: Sequence[Subject]
) -> Callable[[Connection], Result]:
    """Return the same work followed, in the same transaction, by a record of each of its subjects."""

    def run(connection: Connection) -> Result:
        before = [None if subject.is_new else subject.show(connection) for subject in subjects]
        result = work(connection)
        after = [subject.show(connection) for subject in subjects]
        append(connection, list(map(partial(describe, act), subjects, before, after)))
        return result

    return run


def revised(work: Callable[[Connection], Result], subjects: Sequence[Subject]) -> Callable[[Connection], Result]:
    """Return the same work followed, in the same transaction, by a new revision.

    Every write to tenants, clients, secrets and keys has one.
    """
    nouns = {one.noun for one in subjects}
    clients = find_clients(subjects) if nouns == {CLIENT} else None

    def run(connection: Connection) -> Result:
        result = work(connection)
        raise_revision(connection, is_of_issuers=not OF_ISSUERS.isdisjoint(nouns), clients=clients)
        return result

    return run


def find_clients(subjects: Sequence[Subject]) -> set[ClientName]:
    """Return the clients among subjects that were there before: new ones are in nobody's memory."""
    return {(one.tenant_id or "", one.name) for one in subjects if not one.is_new}


def describe(act: Act, subject: Subject, before: Shown | None, after: Shown | None) -> Draft:
    """Return the record of a change."""
    tenant_id = subject.tenant_id or (before or after or {}).get("tenant_id")
    return Draft(act, tenant_id, str(subject), {"before": before, "after": after})


def describe_row(act: Act, noun: Noun[Row], change: Change[Row]) -> Draft:
    """Return the record of a change of a row."""
    row = cast(Row, change.after or change.before)
    before, after = (None if one is None else noun.show(one) for one in change)
    subject = name_subject(noun.name, row.tenant_id, noun.key(row))
    return Draft(act, row.tenant_id, subject, {"before": before, "after": after})


def name_subject(noun: str, tenant_id: str | None, name: str) -> str:
    """Return such as `client acme/billing`, or `tenant acme`."""
    return f"{noun} " + "/".join(filter(None, (tenant_id, name)))
