"""Breaks of the audit log that somebody has looked into and accepted: signed statements, in records of the log itself.

From its break to the end that it had, the log is not judged any more; but it must stay as it then stood.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from mintmark.admin.audit_chain import Fault, FaultKind, is_genuine
from mintmark.authentication.audit_key import AuditKey
from mintmark.store.chain import digest_body, hash_record
from mintmark.store.events import EVENT_KINDS
from mintmark.store.records import AuditCheckpoint, AuditRecord

ACCEPTING = "accept_audit_break"
"""The kind of the record that an acceptance is in."""


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """What was accepted, and from where the chain goes on. Octets are in hex."""

    first: int
    """The first record that is not judged; beyond `last`: all are, for the fault was in a seal."""
    last: int
    hash: str
    """Of the last record, behind which the chain goes on."""
    digest: str
    """Over the records from the first to the last as they stand."""
    sealed: str
    """The sealed head that was there before, `SEQ:HASH`; empty: none."""
    fault_seq: int
    fault_kind: FaultKind
    fault_text: str
    reason: str
    """What somebody found out, in his own words."""
    signature: str = ""
    """Ed25519, under the key of the audit log."""

    @property
    def fault(self) -> Fault:
        """What was accepted."""
        return Fault(self.fault_seq, self.fault_kind, self.fault_text)

    @property
    def holds_records(self) -> bool:
        """Whether there are records that are not judged."""
        return self.first <= self.last


class Body(msgspec.Struct, frozen=True):
    """The body of the record."""

    after: Acceptance


def sign_acceptance(key: AuditKey, acceptance: Acceptance) -> Acceptance:
    """Return the same, signed."""
    return msgspec.structs.replace(acceptance, signature=key.sign(_octets(acceptance)).hex())


def read_acceptances(key: AuditKey, records: Iterable[AuditRecord]) -> list[Acceptance]:
    """Return what this deployment accepted, in the order of the log, from the records that say so.

    One that a later one covers, as when what it accepted was changed once more, is left out.
    """
    standing: list[Acceptance] = []
    for record in records:
        if (one := _read(key, record)) is not None:
            standing = [*(other for other in standing if other.first < one.first), one]
    return standing


def _read(key: AuditKey, record: AuditRecord) -> Acceptance | None:
    try:
        one = msgspec.json.decode(record.body, type=Body).after
        return one if key.is_signed(_octets(one), bytes.fromhex(one.signature)) else None
    except (msgspec.DecodeError, ValueError):
        return None


def _octets(acceptance: Acceptance) -> bytes:
    return b"mintmark audit acceptance v1\n" + msgspec.json.encode(msgspec.structs.replace(acceptance, signature=""))


def fingerprint(record: AuditRecord) -> bytes:
    """Return what tells whether a record, right or wrong, stands as it stood; the body of an event may go by age."""
    body = b"" if record.kind in EVENT_KINDS else digest_body(record.body)
    return hash_record(record) + record.hash + body


def checkpoints_that_count(
    key: AuditKey, checkpoints: Sequence[AuditCheckpoint], accepted: Sequence[Acceptance]
) -> list[AuditCheckpoint]:
    """Return the checkpoints without those that stand within what was accepted; what age has left there counts."""
    return [
        one
        for one in checkpoints
        if (one.is_anchor and is_genuine(one, key)) or not any(part.first <= one.seq < part.last for part in accepted)
    ]
