"""Events of a serving process on their way to the audit log: a bounded list of each kind, in memory between flushes.

The request path appends a small tuple and nothing more; it is what is written, and no work is left for the flush but to
write it as JSON. What those tuples mean is said here for each kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Final, Literal, NamedTuple

from mintmark.store.json_text import write_json

EventKind = Literal["tokens_issued", "credentials_refused", "refresh_tokens_reused", "tokens_revoked"]

ENTRIES_A_RECORD: Final = 1_000
DIGEST_SHOWN: Final = 16
"""Hex digits of an opaque token's digest that the audit log names it by."""
SCOPE_SHOWN: Final = 256
"""Characters of a scope that an entry says; of a longer one it says a digest besides."""


class EventRow(NamedTuple):
    """One kind of event."""

    at_most: int
    """Events kept in memory; what comes above is counted."""
    members: tuple[str, ...]
    """What an entry holds. Its tenant is the record's."""


EVENTS: Final[Mapping[EventKind, EventRow]] = {
    "tokens_issued": EventRow(50_000, ("at", "client_id", "scope", "kind", "token", "expires_at")),
    "credentials_refused": EventRow(500, ("at", "client_id", "reason", "source", "count")),
    "refresh_tokens_reused": EventRow(2_000, ("at", "client_id", "token")),
    "tokens_revoked": EventRow(10_000, ("at", "client_id", "kind", "token")),
}

EVENT_KINDS: Final = (*EVENTS, "events_dropped")

Entry = tuple[str | int, ...]
ByTenant = Mapping[str | None, Sequence[Entry]]


class Events(NamedTuple):
    """What one flush writes."""

    entries: Mapping[EventKind, ByTenant]
    dropped: Mapping[EventKind, int]
    """Events that found no room."""


class EventRecord(NamedTuple):
    """What becomes one record of the audit log."""

    kind: str
    tenant_id: str | None
    at: int
    body: str
    """JSON."""


class Gathering:
    """The events of one kind since the last flush.

    A tenant's are apart from all others', because its administrators may read them.
    """

    __slots__ = ("_at_most", "_count", "_dropped", "_entries")

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._begin()

    def _begin(self) -> None:
        self._entries: defaultdict[str | None, list[Entry]] = defaultdict(list)
        self._count = self._dropped = 0

    def take(self, tenant_id: str | None, entry: Entry) -> None:
        """Take an event, its members in their order."""
        if self._count < self._at_most:
            self._count += 1
            self._entries[tenant_id].append(entry)
        else:
            self._dropped += 1

    def drain(self) -> tuple[ByTenant, int]:
        """Return what has gathered and how many found no room, and begin anew."""
        gathered = self._entries, self._dropped
        self._begin()
        return gathered


class Refusals(Gathering):
    """Refused credentials. Anybody can make as many as they like: those that are alike are one entry with a count."""

    __slots__ = ("_alike",)

    def _begin(self) -> None:
        super()._begin()
        self._alike: dict[tuple[str | None, Entry], list[int]] = {}

    def take(self, tenant_id: str | None, entry: Entry) -> None:
        """Take an event; its entry is of the time of the first that was like it."""
        at, *members = entry
        alike = tenant_id, tuple(members)
        if (seen := self._alike.get(alike)) is not None:
            seen[1] += 1
        elif len(self._alike) < self._at_most:
            self._alike[alike] = [int(at), 1]
        else:
            self._dropped += 1

    def drain(self) -> tuple[ByTenant, int]:
        """Return what has gathered, and begin anew."""
        for (tenant_id, members), (at, count) in self._alike.items():
            self._entries[tenant_id].append((at, *members, count))
        return super().drain()


class AuditBuffer:
    """Takes events. Used from the thread of the event loop."""

    def __init__(self, *, takes_issued: bool = True) -> None:
        self._gathered = {
            kind: (Refusals if kind == "credentials_refused" else Gathering)(row.at_most)
            for kind, row in EVENTS.items()
        }
        self.issued = self._gathered["tokens_issued"].take if takes_issued else take_nothing
        """Take a token: its tenant, and (when, client, scope, kind, name, when it expires)."""
        self.reused = self._gathered["refresh_tokens_reused"].take
        """Take a second use of a refresh token: its tenant, and (when, client, name)."""
        self.revoked = self._gathered["tokens_revoked"].take
        """Take a revocation by a token's own client: its tenant, and (when, client, kind, name)."""

    def refused(self, entry: tuple[int, str | None, str, str, str]) -> None:
        """Take a refused credential: when, tenant, client (empty unless registered), reason and caller."""
        at, tenant_id, *members = entry
        self._gathered["credentials_refused"].take(tenant_id, (at, *members))

    def drain(self, kinds: Collection[EventKind] = tuple(EVENTS)) -> Events | None:
        """Return what has gathered of these kinds, which begin anew; None: nothing has."""
        drained = {kind: self._gathered[kind].drain() for kind in kinds}
        entries = {kind: by_tenant for kind, (by_tenant, _) in drained.items()}
        dropped = {kind: count for kind, (_, count) in drained.items() if count}
        return Events(entries, dropped) if dropped or any(entries.values()) else None


def take_nothing(tenant_id: str | None, entry: Entry) -> None:
    """Stand where events of a kind are not wanted."""


def records_of(events: Events, now: int) -> Iterator[EventRecord]:
    """Return the records that tell of these events: of one kind and one tenant each, of ENTRIES_A_RECORD at most."""
    for kind, by_tenant in events.entries.items():
        for tenant_id, entries in by_tenant.items():
            for start in range(0, len(entries), ENTRIES_A_RECORD):
                chunk = entries[start : start + ENTRIES_A_RECORD]
                # The names of an entry's members once, then the entries as rows.
                body = write_json({"members": EVENTS[kind].members, "entries": chunk})
                yield EventRecord(kind, tenant_id, int(chunk[-1][0]), body)
    if events.dropped:
        yield EventRecord("events_dropped", None, now, write_json({"dropped": events.dropped}))


def name_token(digest: bytes) -> str:
    """Return what names an opaque token in the audit log, and is of no use otherwise."""
    return digest.hex()[:DIGEST_SHOWN]


def cut_scope(scope: str) -> str:
    """Return SCOPE_SHOWN characters of a scope at most, and then a digest of the whole.

    A client of a long scope would else write it again with each of its tokens.
    """
    if len(scope) <= SCOPE_SHOWN:
        return scope
    return f"{scope[:SCOPE_SHOWN]}... (SHA-256 {sha256(scope.encode()).hexdigest()[:DIGEST_SHOWN]})"
