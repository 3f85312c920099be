"""Events of a serving process on their way to the audit log: a bounded list of each kind, in memory between flushes.

The request path appends a small tuple and nothing more. What those tuples mean, and how they are written, is said here
for each kind; writing them is for the writer's thread.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple

from mintmark.store.json_text import write_json

EventKind = Literal["tokens_issued", "credentials_refused", "refresh_tokens_reused", "tokens_revoked"]

ENTRIES_A_RECORD: Final = 1_000
JTI_OCTETS: Final = 16
DIGEST_SHOWN: Final = 16
"""Hex digits of an opaque token's digest that the audit log names it by."""
SCOPE_SHOWN: Final = 256
"""Characters of a scope that an entry says; of a longer one it says a digest besides."""


class EventRow(NamedTuple):
    """One kind of event."""

    at_most: int
    """Events kept in memory; what comes above is counted."""
    members: tuple[str, ...]
    """What an entry holds. `at` is first and `tenant_id` second, which is said once for all entries of a record."""


EVENTS: Final[Mapping[EventKind, EventRow]] = {
    "tokens_issued": EventRow(50_000, ("at", "tenant_id", "client_id", "scope", "kind", "token", "expires_at")),
    "credentials_refused": EventRow(500, ("at", "tenant_id", "client_id", "reason", "source", "count")),
    "refresh_tokens_reused": EventRow(2_000, ("at", "tenant_id", "client_id", "token")),
    "tokens_revoked": EventRow(10_000, ("at", "tenant_id", "client_id", "kind", "token")),
}

EVENT_KINDS: Final = (*EVENTS, "events_dropped")

Entry = tuple[Any, ...]


class Events(NamedTuple):
    """What one flush writes."""

    entries: Mapping[EventKind, Sequence[Entry]]
    dropped: Mapping[EventKind, int]
    """Events that found no room."""


class EventRecord(NamedTuple):
    """What becomes one record of the audit log."""

    kind: str
    tenant_id: str | None
    at: int
    body: str
    """JSON."""


class AuditBuffer:
    """Takes events. Used from the thread of the event loop."""

    def __init__(self, *, takes_issued: bool = True) -> None:
        self._takes_issued = takes_issued
        self._entries: dict[EventKind, list[Entry]] = {kind: [] for kind in EVENTS}
        self._dropped: dict[EventKind, int] = dict.fromkeys(EVENTS, 0)
        self._refusals: dict[Entry, list[int]] = {}

    def issued(self, entry: tuple[int, str, str, tuple[str, ...] | str, str, bytes, int]) -> None:
        """Take a token: when, tenant, client, scope, kind, the octets of its `jti` or digest, and when it expires."""
        if self._takes_issued:
            self._take("tokens_issued", entry)

    def refused(self, entry: tuple[int, str | None, str, str, str]) -> None:
        """Take a refused credential: when, tenant, client (empty unless registered), reason and caller.

        Anybody can make as many as they like: those that are alike are one entry, of the first's time, with a count.
        """
        at, *members = entry
        alike = tuple(members)
        if (seen := self._refusals.get(alike)) is not None:
            seen[1] += 1
        elif len(self._refusals) < EVENTS["credentials_refused"].at_most:
            self._refusals[alike] = [at, 1]
        else:
            self._dropped["credentials_refused"] += 1

    def reused(self, entry: tuple[int, str, str, bytes]) -> None:
        """Take a second use of a refresh token: when, tenant, client and digest."""
        self._take("refresh_tokens_reused", entry)

    def revoked(self, entry: tuple[int, str, str, str, bytes | str]) -> None:
        """Take a revocation by a token's own client: when, tenant, client, kind, digest or `jti`."""
        self._take("tokens_revoked", entry)

    def _take(self, kind: EventKind, entry: Entry) -> None:
        entries = self._entries[kind]
        if len(entries) < EVENTS[kind].at_most:
            entries.append(entry)
        else:
            self._dropped[kind] += 1

    def drain(self, kinds: Collection[EventKind] = tuple(EVENTS)) -> Events | None:
        """Return what has gathered of these kinds, which begin anew; None: nothing has."""
        if "credentials_refused" in kinds:
            refusals = [(at, *alike, count) for alike, (at, count) in self._refusals.items()]
            self._entries["credentials_refused"], self._refusals = refusals, {}
        entries = {kind: self._entries[kind] for kind in kinds}
        dropped = {kind: self._dropped[kind] for kind in kinds}
        if not any(entries.values()) and not any(dropped.values()):
            return None
        for kind in kinds:
            self._entries[kind], self._dropped[kind] = [], 0
        return Events(entries, dropped)


def records_of(events: Events, now: int) -> Iterator[EventRecord]:
    """Return the records that tell of these events: of one kind and one tenant each, of ENTRIES_A_RECORD at most.

    A tenant's events are apart from all others', because its administrators may read them.
    """
    for kind, entries in events.entries.items():
        by_tenant = defaultdict(list)
        for entry in entries:
            by_tenant[entry[1]].append(entry)
        for tenant_id, own in by_tenant.items():
            for start in range(0, len(own), ENTRIES_A_RECORD):
                chunk = own[start : start + ENTRIES_A_RECORD]
                yield EventRecord(kind, tenant_id, int(chunk[-1][0]), write_json(write_entries(kind, chunk)))
    dropped = {kind: count for kind, count in events.dropped.items() if count}
    if dropped:
        yield EventRecord("events_dropped", None, now, write_json({"dropped": dropped}))


def write_entries(kind: EventKind, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the body of a record: the names of an entry's members once, then the entries as rows."""
    at, _, *members = EVENTS[kind].members
    rows = [(entry[0], *map(write_member, entry[2:])) for entry in entries]
    return {"members": [at, *members], "entries": rows}


def write_member(value: object) -> object:
    """Return a member as JSON has it: scope as one text, and a token by what names it and is of no use otherwise."""
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value)) if len(value) == JTI_OCTETS else value.hex()[:DIGEST_SHOWN]
    return write_scope(value) if isinstance(value, tuple) else value


def write_scope(scope: Sequence[str]) -> str:
    """Return a scope as one text, SCOPE_SHOWN characters of it at most and then a digest of the whole.

    A client of a long scope would else write it again with each of its tokens.
    """
    text = " ".join(scope)
    if len(text) <= SCOPE_SHOWN:
        return text
    return f"{text[:SCOPE_SHOWN]}... (SHA-256 {sha256(text.encode()).hexdigest()[:DIGEST_SHOWN]})"
