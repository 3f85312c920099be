"""The buffer between requests and the audit log: bounded, counted, and without a token."""

from __future__ import annotations

import json
from typing import Any

from mintmark.store.events import EVENTS, AuditBuffer, Events, Gathering, cut_scope, name_token, records_of

NOW = 1_800_000_000
ISSUED = (NOW, "meter", "read", "access", "0001020304050607", NOW + 60)
REFUSED = (NOW, "acme", "", "unknown_client", "192.0.2.7")


def drained(buffer: AuditBuffer) -> Events:
    events = buffer.drain()
    assert events is not None
    return events


def bodies(events: Events, now: int = NOW) -> list[Any]:
    return [json.loads(record.body) for record in records_of(events, now)]


def test_a_buffer_that_took_nothing_gives_nothing():
    buffer = AuditBuffer()

    assert buffer.drain() is None


def test_what_was_drained_is_not_given_again():
    buffer = AuditBuffer()
    buffer.issued("acme", ISSUED)

    assert drained(buffer).entries["tokens_issued"] == {"acme": [ISSUED]}
    assert buffer.drain() is None


def test_issued_tokens_are_left_out_where_nobody_wants_them():
    buffer = AuditBuffer(takes_issued=False)
    buffer.issued("acme", ISSUED)

    assert buffer.drain() is None


def test_what_finds_no_room_is_counted_and_the_count_is_written():
    buffer, room = AuditBuffer(), EVENTS["credentials_refused"].at_most
    for number in range(room + 7):
        buffer.refused((*REFUSED[:4], f"192.0.2.{number}"))
    events = drained(buffer)
    *written, dropped = bodies(events, NOW + 1)
    last = list(records_of(events, NOW + 1))[-1]

    assert sum(len(body["entries"]) for body in written) == room
    assert (last.kind, last.at, dropped) == ("events_dropped", NOW + 1, {"dropped": {"credentials_refused": 7}})


def test_a_kind_keeps_so_many_events_and_counts_the_others_over_all_tenants():
    gathering = Gathering(2)
    for tenant_id in ("acme", "other", "acme"):
        gathering.take(tenant_id, ISSUED)

    assert gathering.drain() == ({"acme": [ISSUED], "other": [ISSUED]}, 1)
    assert gathering.drain() == ({}, 0)


def test_refusals_that_are_alike_are_one_entry_with_a_count():
    buffer = AuditBuffer()
    for number in range(5_000):
        buffer.refused((NOW + number, *REFUSED[1:4], f"192.0.2.{number % 2}"))
    [body] = bodies(drained(buffer))

    assert body["entries"] == [[NOW + n, "", "unknown_client", f"192.0.2.{n}", 2_500] for n in (0, 1)]


def test_kinds_that_are_not_drained_go_on_gathering():
    buffer = AuditBuffer()
    buffer.issued("acme", ISSUED)
    buffer.refused(REFUSED)

    assert list(drained(buffer)._replace().entries) == list(EVENTS)
    buffer.refused(REFUSED)
    assert buffer.drain(["tokens_issued"]) is None
    assert drained(buffer).entries["credentials_refused"] == {"acme": [(NOW, *REFUSED[2:], 1)]}


def test_a_long_scope_is_told_of_by_its_beginning_and_a_digest():
    first, second = (cut_scope("s" * 250_000 + " " + last) for last in ("a", "b"))

    assert len(first) < 300
    assert first != second
    assert cut_scope("read write") == "read write"


def test_an_opaque_token_is_named_by_the_beginning_of_its_digest():
    assert name_token(bytes(range(32))) == "0001020304050607"


def test_an_entry_is_written_as_it_was_taken():
    buffer = AuditBuffer()
    buffer.issued("acme", ISSUED)
    buffer.revoked("acme", (NOW, "meter", "access", "0001020304050607"))
    issued, revoked = bodies(drained(buffer))

    assert issued["entries"] == [list(ISSUED)]
    assert revoked["entries"] == [[NOW, "meter", "access", "0001020304050607"]]


def test_no_record_tells_of_two_tenants():
    buffer = AuditBuffer()
    for number in range(30):
        buffer.issued(f"t{number % 3}", ISSUED)
    records = list(records_of(drained(buffer), NOW))

    assert [record.tenant_id for record in records] == ["t0", "t1", "t2"]
    assert all("tenant_id" not in json.loads(record.body)["members"] for record in records)
