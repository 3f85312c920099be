"""The buffer between requests and the audit log: bounded, counted, and without a token."""

from __future__ import annotations

import uuid

from mintmark.store.events import EVENTS, AuditBuffer, Events, records_of

NOW = 1_800_000_000
ISSUED = (NOW, "acme", "meter", ("read",), "access", bytes(32), NOW + 60)
REFUSED = (NOW, "acme", "", "unknown_client", "192.0.2.7")


def drained(buffer: AuditBuffer) -> Events:
    events = buffer.drain()
    assert events is not None
    return events


def test_a_buffer_that_took_nothing_gives_nothing():
    buffer = AuditBuffer()

    assert buffer.drain() is None


def test_what_was_drained_is_not_given_again():
    buffer = AuditBuffer()
    buffer.issued(ISSUED)

    assert list(drained(buffer).entries["tokens_issued"]) == [ISSUED]
    assert buffer.drain() is None


def test_issued_tokens_are_left_out_where_nobody_wants_them():
    buffer = AuditBuffer(takes_issued=False)
    buffer.issued(ISSUED)

    assert buffer.drain() is None


def test_what_finds_no_room_is_counted_and_the_count_is_written():
    buffer, room = AuditBuffer(), EVENTS["credentials_refused"].at_most
    for _ in range(room + 7):
        buffer.refused(REFUSED)
    records = list(records_of(drained(buffer), NOW + 1))

    assert sum(len(record.body["entries"]) for record in records[:-1]) == room
    assert records[-1].kind == "events_dropped"
    assert (records[-1].at, records[-1].body) == (NOW + 1, {"dropped": {"credentials_refused": 7}})


def test_what_was_put_back_stands_in_front_and_what_no_longer_fits_is_counted():
    buffer, room = AuditBuffer(), EVENTS["credentials_refused"].at_most
    buffer.refused(REFUSED)
    first = drained(buffer)
    for _ in range(room):
        buffer.refused((NOW + 1, *REFUSED[1:]))
    buffer.put_back(first)
    again = drained(buffer)

    assert again.entries["credentials_refused"][:2] == [REFUSED, (NOW + 1, *REFUSED[1:])]
    assert (len(again.entries["credentials_refused"]), again.dropped["credentials_refused"]) == (room, 1)


def test_a_jwt_is_named_by_its_jti_and_an_opaque_token_by_the_beginning_of_its_digest():
    buffer, jti = AuditBuffer(), uuid.UUID("e8178cab-ffae-4d4e-95d0-35c801a20b2c")
    buffer.issued((*ISSUED[:5], jti.bytes, NOW + 60))
    buffer.issued((*ISSUED[:5], bytes(range(32)), NOW + 60))
    buffer.revoked((NOW, "acme", "meter", "access", str(jti)))
    issued, revoked = records_of(drained(buffer), NOW)

    assert [entry[4] for entry in issued.body["entries"]] == [str(jti), "0001020304050607"]
    assert revoked.body["entries"] == [(NOW, "meter", "access", str(jti))]


def test_no_record_tells_of_two_tenants():
    buffer = AuditBuffer()
    for number in range(30):
        buffer.issued((NOW, f"t{number % 3}", *ISSUED[2:]))
    records = list(records_of(drained(buffer), NOW))

    assert [record.tenant_id for record in records] == ["t0", "t1", "t2"]
    assert all("tenant_id" not in record.body["members"] for record in records)
