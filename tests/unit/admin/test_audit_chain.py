"""A chain that was tampered with is found, at the record, in whichever way it was done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.admin.audit_chain import (
    ChainVerifier,
    Fault,
    open_end_of_bodies,
    seal_end_of_bodies,
    seal_head,
    sign_checkpoint,
)
from mintmark.authentication.audit_key import AuditKey
from mintmark.store.chain import GENESIS, Draft, digest_body, hash_record, link
from mintmark.store.records import Act, AuditCheckpoint, AuditRecord

KEY = AuditKey(bytes(32))
NOW = 1_800_000_000


def make_log(length: int, kind: str = "test") -> list[AuditRecord]:
    log: list[AuditRecord] = []
    for seq in range(1, length + 1):
        draft = Draft(Act(kind=kind, at=NOW + seq, actor="local:me"), "acme", f"client acme/c{seq}", {"n": seq})
        log.append(link(draft, seq, log[-1].hash if log else GENESIS))
    return log


def sign(log: Sequence[AuditRecord], *places: int, **named: Any) -> list[AuditCheckpoint]:
    return [sign_checkpoint(KEY, log[seq - 1].seq, log[seq - 1].hash, at=NOW, **named) for seq in places]


def verify(
    log: Sequence[AuditRecord],
    checkpoints: Sequence[AuditCheckpoint] = (),
    page: int = 3,
    bodies_end: int = 0,
    **named: Any,
) -> Fault | None:
    verifier = ChainVerifier(checkpoints, KEY, **named)
    for start in range(0, len(log), page):
        verifier.take(log[start : start + page], bodies_end=bodies_end)
    return verifier.finish()


def changed(record: AuditRecord, **changes: Any) -> AuditRecord:
    return msgspec.structs.replace(record, **changes)


def with_own_hash(record: AuditRecord) -> AuditRecord:
    return changed(record, hash=hash_record(record))


def renumbered(records: Sequence[AuditRecord]) -> list[AuditRecord]:
    return [changed(record, seq=seq) for seq, record in enumerate(records, 1)]


def found(fault: Fault | None) -> tuple[int, str] | None:
    return None if fault is None else (fault.seq, fault.kind)


@pytest.mark.parametrize("page", [1, 2, 3, 100])
@pytest.mark.parametrize("length", [0, 1, 2, 9])
def test_a_log_that_nobody_touched_is_whole(length: int, page: int):
    log = make_log(length)

    assert verify(log, sign(log, *range(1, length + 1, 3)), page) is None


@pytest.mark.parametrize("page", [1, 3, 100])
@pytest.mark.parametrize(
    "change",
    [
        {"at": 1},
        {"kind": "other"},
        {"actor": "local:you"},
        {"tenant_id": None},
        {"subject": "client acme/x"},
        {"source": "192.0.2.1"},
        {"token": "t"},
        {"correlation_id": "c"},
        {"body": "{}"},
        {"body_digest": bytes(32)},
        {"body": "{}", "body_digest": digest_body("{}")},
        {"hash": bytes(32)},
        {"previous": bytes(32)},
    ],
    ids="-".join,
)
@pytest.mark.parametrize("seq", [1, 5, 9])
def test_a_changed_record_is_found_whatever_of_it_was_changed(seq: int, change: dict[str, Any], page: int):
    log = make_log(9)
    if seq == 1 and "previous" in change:
        change = {"previous": b"\1" * 32}
    log[seq - 1] = changed(log[seq - 1], **change)

    assert found(verify(log, page=page)) == (seq, "changed")


def test_a_record_that_was_changed_with_its_hash_made_anew_is_found_by_the_one_behind_it():
    log = make_log(9)
    log[4] = with_own_hash(changed(log[4], body='{"n":7}', body_digest=digest_body('{"n":7}')))

    assert found(verify(log)) == (5, "changed")


@pytest.mark.parametrize("bodies_end", [4, 9])
def test_bodies_of_events_may_be_gone_up_to_the_place_that_was_signed_and_no_further(bodies_end: int):
    log = [changed(one, body="") for one in make_log(5, "tokens_issued")]

    assert found(verify(log, bodies_end=bodies_end)) == (None if bodies_end == 9 else (5, "removed"))


def test_the_body_of_an_act_is_never_gone():
    log = make_log(5)
    log[2] = changed(log[2], body="")

    assert found(verify(log, bodies_end=9)) == (3, "removed")


def test_a_record_without_its_body_is_as_much_a_link_as_one_with_it():
    log = make_log(5, "tokens_issued")
    log[2] = changed(log[2], body="")
    log[3] = changed(log[3], body="", at=1)

    assert found(verify(log[:3], bodies_end=5)) is None
    assert found(verify(log, bodies_end=5)) == (4, "changed")


def test_how_far_bodies_are_gone_is_taken_from_this_deployments_own_word_alone():
    assert open_end_of_bodies(KEY, seal_end_of_bodies(KEY, 7)) == 7
    assert open_end_of_bodies(KEY, seal_end_of_bodies(AuditKey(b"\1" * 32), 7)) == 0
    assert open_end_of_bodies(KEY, "8" + seal_end_of_bodies(KEY, 7)[1:]) == 0
    for text in (None, "", "7", "x:y", seal_head(KEY, 7, bytes(32))):
        assert open_end_of_bodies(KEY, text) == 0


def test_a_removed_record_is_found_by_the_gap():
    log = make_log(9)
    del log[4:6]

    assert verify(log) == Fault(5, "removed", "the records 5 to 6 are missing")


def test_a_removed_record_is_found_though_those_behind_it_were_numbered_anew():
    log = make_log(9)
    del log[4]

    assert found(verify(renumbered(log))) == (5, "removed")


def test_a_removed_beginning_is_found_without_its_anchor():
    log = make_log(9)

    assert found(verify(log[3:])) == (1, "removed")
    assert found(verify(log[3:], sign(log, 3))) == (1, "removed")


def test_records_that_changed_places_are_found():
    log = make_log(9)
    log[3], log[4] = log[4], log[3]

    assert found(verify(renumbered(log))) == (4, "moved")


def test_a_record_that_was_moved_far_is_found_where_it_stands():
    log = make_log(9)
    log.insert(2, log.pop(7))

    assert found(verify(renumbered(log))) == (3, "moved")


def test_an_inserted_record_is_found_though_it_links_to_the_one_before_it():
    log = make_log(9)
    made_up = with_own_hash(changed(log[4], previous=log[3].hash, subject="client acme/evil"))
    log.insert(4, made_up)

    assert found(verify(renumbered(log))) == (5, "inserted")


def test_an_inserted_record_with_a_hash_of_nothing_is_found():
    log = make_log(9)
    log.insert(4, changed(log[4], hash=b"\7" * 32))

    assert found(verify(renumbered(log))) == (5, "changed")


@pytest.mark.parametrize("from_seq", [1, 4, 6])
def test_a_log_written_anew_from_a_record_on_is_found_by_the_next_checkpoint(from_seq: int):
    log = make_log(9)
    checkpoints = sign(log, 3, 6)
    log[from_seq - 1] = with_own_hash(changed(log[from_seq - 1], actor="local:you"))
    for place in range(from_seq, 9):
        log[place] = with_own_hash(changed(log[place], previous=log[place - 1].hash))

    assert found(verify(log, checkpoints)) == (3 if from_seq < 4 else 6, "rewritten")


def test_a_cut_off_end_is_found_by_a_checkpoint_or_by_a_head_that_somebody_kept():
    log = make_log(9)

    assert found(verify(log[:5], sign(log, 3, 8))) == (6, "removed")
    assert found(verify(log[:5], known=[(7, log[6].hash)])) == (6, "removed")
    assert verify(log[:5], known=[(4, log[3].hash)]) is None
    assert found(verify(log[:5], known=[(4, bytes(32))])) == (4, "rewritten")


@pytest.mark.parametrize(
    "change", [{"hash": bytes(32)}, {"at": 1}, {"seq": 6}, {"is_anchor": True}, {"signature": b"x" * 64}]
)
def test_a_checkpoint_that_is_not_ours_is_found(change: dict[str, Any]):
    log = make_log(9)
    [checkpoint] = sign(log, 5)
    forged = changed_checkpoint(checkpoint, **change)

    assert found(verify(log, [forged])) == (forged.seq, "forged_checkpoint")


def changed_checkpoint(checkpoint: AuditCheckpoint, **changes: Any) -> AuditCheckpoint:
    return msgspec.structs.replace(checkpoint, **changes)


def test_a_checkpoint_of_another_deployment_is_not_ours():
    log = make_log(3)
    other = sign_checkpoint(AuditKey(b"\1" * 32), 2, log[1].hash, at=NOW)

    assert found(verify(log, [other])) == (2, "forged_checkpoint")


def test_what_was_removed_for_its_age_is_no_fault_and_the_chain_goes_on_from_the_anchor():
    log = make_log(9)
    anchors = sign(log, 4, is_anchor=True)

    assert verify(log[4:], anchors) is None
    assert verify([], sign(log, 9, is_anchor=True)) is None
    assert found(verify(log[5:], anchors)) == (5, "removed")
    log[4] = with_own_hash(changed(log[4], previous=bytes(32)))
    assert found(verify(log[4:5], anchors)) == (4, "changed")


@given(st.data())
def test_no_single_tampering_goes_unseen_before_a_signed_end(data: st.DataObject):
    length = data.draw(st.integers(2, 12))
    log, seq = make_log(length), data.draw(st.integers(1, length))
    checkpoints = sign(log, length)
    way = data.draw(st.sampled_from(["change", "rehash", "remove", "renumber", "swap", "duplicate"]))
    match way:
        case "change":
            log[seq - 1] = changed(log[seq - 1], body=data.draw(st.text(max_size=3)))
        case "rehash":
            log[seq - 1] = with_own_hash(changed(log[seq - 1], actor="local:you"))
        case "remove":
            del log[seq - 1]
        case "renumber":
            del log[seq - 1]
            log = renumbered(log)
        case "swap":
            other = data.draw(st.integers(1, length).filter(lambda place: place != seq))
            log[seq - 1], log[other - 1] = log[other - 1], log[seq - 1]
            log = renumbered(log)
        case _:
            log.insert(seq - 1, log[seq - 1])
            log = renumbered(log)

    assert verify(log, checkpoints) is not None
