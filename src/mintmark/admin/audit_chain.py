"""Whether the audit log is as it was written: pure functions of its records and checkpoints.

The first fault ends the search: what comes behind it can be judged no more than a link behind a broken one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from mintmark.authentication.audit_key import AuditKey
from mintmark.store.chain import GENESIS, digest_body, hash_record
from mintmark.store.events import EVENT_KINDS
from mintmark.store.records import AuditCheckpoint, AuditRecord

HEAD_FACT: Final = "audit_head"
"""See `seal_head`."""
BODIES_FACT: Final = "audit_bodies"
"""See `seal_end_of_bodies`."""
LOOK_AROUND: Final = 100
"""How far a record may have been moved to be recognised."""

FaultKind = Literal["changed", "removed", "moved", "inserted", "rewritten", "forged_checkpoint", "unsealed"]


class Fault(NamedTuple):
    """What is wrong, at which record."""

    seq: int
    kind: FaultKind
    text: str


class ChainVerifier:
    """Takes the records in order, pages of any length, and keeps the first fault."""

    def __init__(
        self, checkpoints: Sequence[AuditCheckpoint], key: AuditKey, known: Sequence[tuple[int, bytes]] = ()
    ) -> None:
        """Take what the records are held against. `known`: heads that are certain, of which one may be the sealed."""
        self.records = 0
        self.checkpoints_met = 0
        self.bodies_gone = 0
        self._bodies_end = 0
        self._checkpoints = {one.seq: one for one in checkpoints}
        self._known = known
        self._end: tuple[int, bytes] | None = None
        self._waiting: AuditRecord | None = None
        self._signed_up_to = 0
        self.fault = next((forged(one) for one in checkpoints if not is_genuine(one, key)), None)

    @property
    def head(self) -> str:
        """The last record that stands, as `SEQ:HASH`."""
        seq, hashed = self._end or (0, GENESIS)
        return f"{seq}:{hashed.hex()}"

    def take(self, page: Sequence[AuditRecord], *, bodies_end: int = 0) -> None:
        """Judge the records of a page; what one is may show only beside the one behind it.

        Args:
            bodies_end: up to which record bodies of events may be gone.
        """
        self._bodies_end = bodies_end
        for record in page:
            if self.fault is None and self._waiting is not None:
                self._judge(self._waiting, record)
            self._waiting = record

    def pass_over(self, last: int, hashed: bytes, fault: Fault | None) -> None:
        """Leave out records up to `last`, which has this hash, unless there was a fault before or they have one."""
        self._judge_waiting()
        if self.fault is None:
            self.fault, self._end = fault, (last, hashed)

    def finish(self) -> Fault | None:
        """Judge the last record, and whether there were more. Return the first fault, or None."""
        self._judge_waiting()
        if self.fault is None:
            self.fault = self._find_missing_end()
        return self.fault

    def _judge_waiting(self) -> None:
        if self.fault is None and self._waiting is not None:
            self._judge(self._waiting, None)
        self._waiting = None

    def _judge(self, record: AuditRecord, following: AuditRecord | None) -> None:
        self.fault = self._find_fault(record, following)
        if self.fault is None:
            self.records += 1
            self.bodies_gone += not record.body
            self._end = record.seq, record.hash

    def _find_fault(self, record: AuditRecord, following: AuditRecord | None) -> Fault | None:
        expected = self._expected_seq(record)
        if record.seq > expected:
            return Fault(expected, "removed", f"the records {expected} to {record.seq - 1} are missing")
        if hash_record(record) != record.hash:
            return self._explain_hash(record, following)
        if record.previous != self._previous_hash(record):
            seq = record.seq - 1
            return Fault(seq, "changed", f"record {seq} is not the one that record {record.seq} was written behind")
        return self._find_body_fault(record) or self._hold_against_signed(record)

    def _find_body_fault(self, record: AuditRecord) -> Fault | None:
        if not record.body:
            if record.kind in EVENT_KINDS and record.seq <= self._bodies_end:
                return None
            return Fault(record.seq, "removed", f"the body of record {record.seq} is gone, and not for its age")
        if digest_body(record.body) != record.body_digest:
            return Fault(record.seq, "changed", f"the body of record {record.seq} was changed")
        return None

    def _expected_seq(self, record: AuditRecord) -> int:
        if self._end is not None:
            return self._end[0] + 1
        # The first that is left: what came before has either never been, or was removed for its age and signed away.
        anchors = (seq for seq, one in self._checkpoints.items() if one.is_anchor and seq < record.seq)
        return max(anchors, default=0) + 1

    def _previous_hash(self, record: AuditRecord) -> bytes:
        if self._end is not None:
            return self._end[1]
        anchor = self._checkpoints.get(record.seq - 1)
        return GENESIS if anchor is None else anchor.hash

    def _explain_hash(self, record: AuditRecord, following: AuditRecord | None) -> Fault:
        """Say how a record came to have a hash that is not its own."""
        seq, origin = record.seq, original_seq(record)
        if origin is None:
            return Fault(seq, "changed", f"record {seq} was changed")
        if origin == seq - 1 and record.previous != self._previous_hash(record):
            return Fault(seq - 1, "inserted", f"record {seq - 1} was inserted; what was there is now record {seq}")
        if following is not None and original_seq(following) in {None, following.seq, seq}:
            return Fault(seq, "moved", f"record {seq} was moved: it was written as record {origin}")
        return Fault(seq, "removed", f"record {seq} was removed, and those behind it were numbered anew")

    def _hold_against_signed(self, record: AuditRecord) -> Fault | None:
        checkpoint = self._checkpoints.get(record.seq)
        signed = [checkpoint.hash] if checkpoint else []
        signed += [hashed for seq, hashed in self._known if seq == record.seq]
        if any(one != record.hash for one in signed):
            first = self._signed_up_to + 1
            return Fault(record.seq, "rewritten", f"of the records {first} to {record.seq} some were written anew")
        if signed:
            self._signed_up_to = record.seq
            self.checkpoints_met += checkpoint is not None
        return None

    def _find_missing_end(self) -> Fault | None:
        last = self._end[0] if self._end else 0
        anchored = max((seq for seq, one in self._checkpoints.items() if one.is_anchor), default=0)
        end = max([*self._checkpoints, *(seq for seq, _ in self._known)], default=0)
        if end <= max(last, anchored):
            return None
        first = max(last, anchored) + 1
        return Fault(first, "removed", f"the records {first} to {end}, of which a checkpoint tells, are missing")


def original_seq(record: AuditRecord) -> int | None:
    """Return the place, at or near its own, for which a record has the hash that it bears; None: it was changed."""
    places = range(max(1, record.seq - LOOK_AROUND), record.seq + LOOK_AROUND + 1)
    matches = (one for one in places if hash_record(msgspec.structs.replace(record, seq=one)) == record.hash)
    return next(matches, None)


def sign_checkpoint(key: AuditKey, seq: int, hashed: bytes, *, at: int, is_anchor: bool = False) -> AuditCheckpoint:
    """Return a signed checkpoint. `at`: seconds since 1970-01-01T00:00:00Z."""
    signature = key.sign(signed_octets(seq, at, hashed, is_anchor=is_anchor))
    return AuditCheckpoint(seq=seq, at=at, hash=hashed, is_anchor=is_anchor, signature=signature)


def is_genuine(checkpoint: AuditCheckpoint, key: AuditKey) -> bool:
    """Tell whether this deployment signed a checkpoint."""
    octets = signed_octets(checkpoint.seq, checkpoint.at, checkpoint.hash, is_anchor=checkpoint.is_anchor)
    return key.is_signed(octets, checkpoint.signature)


def signed_octets(seq: int, at: int, hashed: bytes, *, is_anchor: bool) -> bytes:
    """Return what the signature of a checkpoint is over."""
    word = "anchor" if is_anchor else "checkpoint"
    return f"mintmark audit {word} v1\n{seq}\n{at}\n{hashed.hex()}\n".encode()


def seal_head(key: AuditKey, seq: int, hashed: bytes) -> str:
    """Return the fact by which the deployment knows how far its log has come, whoever removes records or checkpoints.

    Only the newest is ever kept: a checkpoint that is put in its place is none, for it is signed as something else.
    """
    return f"{seq}:{hashed.hex()}:{key.sign(_head_octets(seq, hashed)).hex()}"


def open_head(key: AuditKey, fact: str | None) -> tuple[int, bytes] | None:
    """Return place and hash of the sealed head; None: it is gone, or not ours."""
    try:
        seq, hashed, signature = (fact or "").split(":")
        head = int(seq), bytes.fromhex(hashed)
        return head if key.is_signed(_head_octets(*head), bytes.fromhex(signature)) else None
    except ValueError:
        return None


def seal_end_of_bodies(key: AuditKey, seq: int) -> str:
    """Return the fact that says up to which record the bodies of events were removed for their age."""
    return f"{seq}:{key.sign(_bodies_octets(seq)).hex()}"


def open_end_of_bodies(key: AuditKey, fact: str | None) -> int:
    """Return the place that `seal_end_of_bodies` sealed; 0: none was, or it is not ours."""
    try:
        seq, signature = (fact or "").split(":")
        return int(seq) if key.is_signed(_bodies_octets(int(seq)), bytes.fromhex(signature)) else 0
    except ValueError:
        return 0


def _bodies_octets(seq: int) -> bytes:
    return f"mintmark audit bodies v1\n{seq}\n".encode()


def _head_octets(seq: int, hashed: bytes) -> bytes:
    return f"mintmark audit head v1\n{seq}\n{hashed.hex()}\n".encode()


def unsealed(sealed: tuple[int, bytes] | None, checkpoints: Sequence[AuditCheckpoint]) -> Fault | None:
    """Return the fault of a log without its sealed head, or without the checkpoint that was signed with it."""
    if sealed is None:
        return Fault(0, "unsealed", "the sealed head of the log is gone, or not ours")
    seq, hashed = sealed
    kept = {one.seq: one.hash for one in checkpoints}
    # One that was removed for its age lies before an anchor.
    if not seq or any(one.is_anchor and one.seq > seq for one in checkpoints) or kept.get(seq) == hashed:
        return None
    return Fault(seq, "unsealed", f"the checkpoint of record {seq} is gone")


def forged(checkpoint: AuditCheckpoint) -> Fault:
    """Return the fault of a checkpoint that this deployment did not sign."""
    return Fault(checkpoint.seq, "forged_checkpoint", f"the checkpoint of record {checkpoint.seq} is not ours")
