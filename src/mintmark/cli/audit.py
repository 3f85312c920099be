"""`mintmark audit verify | accept | tail | export`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import msgspec

from mintmark.admin.administration import Administration, AdministrationError
from mintmark.admin.audit import Verdict, accept_break, describe_record, export_audit, list_audit, verify_audit
from mintmark.admin.audit_acceptance import Acceptance
from mintmark.cli.options import (
    add_command,
    add_json,
    add_noun,
    format_moment,
    print_json,
    print_table,
    with_deployment,
)
from mintmark.store.records import AuditRecord

MAX_TAIL = 10_000


def add_parser(parsers: Any) -> None:
    """Add the noun and its commands."""
    commands = add_noun(parsers, "audit", "the audit log", example="mintmark audit verify")
    text = "follow the chain of all records, and name the first that is not as it was written"
    example = "mintmark audit verify --known 4711:9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab"
    verifying = add_command(commands, "verify", run_verify, text=text, example=example)
    verifying.add_argument("--known", default="", metavar="SEQ:HASH", help="a head that an earlier run printed")
    add_json(verifying)
    text = "accept the first break of the chain, once somebody has looked into it; the chain then goes on from its end"
    example = "mintmark audit accept 4711 --reason 'restored from the backup of 3 May'"
    accepting = add_command(commands, "accept", run_accept, text=text, example=example)
    accepting.add_argument("seq", type=int, metavar="SEQ", help="the record of the break, as verify names it")
    accepting.add_argument("--reason", required=True, metavar="TEXT", help="what was found out; it is recorded")
    tail = add_command(commands, "tail", run_tail, text="show the newest records", example="mintmark audit tail -n 50")
    tail.add_argument("--tenant", help="of this tenant alone")
    tail.add_argument("-n", type=_read_count, default=20, metavar="COUNT", help="how many (default: 20)")
    add_json(tail)
    text = "print records as JSON, one a line, oldest first"
    export = add_command(
        commands, "export", run_export, text=text, example="mintmark audit export --after 4711 > audit.jsonl"
    )
    export.add_argument("--tenant", help="of this tenant alone")
    export.add_argument("--after", type=int, default=0, metavar="SEQ", help="begin behind this record")


def _read_count(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= MAX_TAIL):
        raise argparse.ArgumentTypeError(f"must be from 1 to {MAX_TAIL}; export has them all")
    return int(text)


def run_verify(arguments: argparse.Namespace) -> int:
    """Verify the log; 1 where a record is not as it was written."""
    verdict = with_deployment(arguments, lambda one: verify_audit(one, arguments.known))
    if arguments.json:
        print_json(_describe(verdict))
        return 0 if verdict.fault is None else 1
    for one in verdict.accepted:
        print(_tell(one))
    if verdict.fault is not None:
        raise AdministrationError(f"audit log: {verdict.fault.text} ({verdict.fault.kind}, record {verdict.fault.seq})")
    print(f"{verdict.records} records, {verdict.checkpoints} signed checkpoints: all as they were written")
    if verdict.bodies_gone:
        print(f"of {verdict.bodies_gone} the body was removed for its age, and its digest stands")
    print(f"head: {verdict.head}")
    return 0


def _describe(verdict: Verdict) -> dict[str, Any]:
    fault = None if verdict.fault is None else verdict.fault._asdict()
    return {**verdict._asdict(), "accepted": msgspec.to_builtins(verdict.accepted), "fault": fault}


def _tell(one: Acceptance) -> str:
    unjudged = f"; the records {one.first} to {one.last} are not judged" if one.holds_records else ""
    return f"accepted: {one.fault_text} ({one.fault_kind}, record {one.fault_seq}): {one.reason}{unjudged}"


def run_accept(arguments: argparse.Namespace) -> int:
    """Accept a break, and say from where the chain goes on."""
    one = with_deployment(arguments, lambda deployment: accept_break(deployment, arguments.seq, arguments.reason))
    print(_tell(one))
    print(f"the chain goes on from {one.last}:{one.hash}")
    return 0


def run_tail(arguments: argparse.Namespace) -> int:
    """Show the newest records, the newest last."""
    records = with_deployment(arguments, lambda one: list_audit(one, arguments.tenant, limit=arguments.n))
    if arguments.json:
        # A body is JSON text already: read, so that it is written like the rest.
        text = msgspec.json.encode([describe_record(record) for record in reversed(records)])
        print_json(msgspec.json.decode(text))
    else:
        print_table(("SEQ", "AT", "ACTOR", "KIND", "SUBJECT"), [_row(record) for record in reversed(records)])
    return 0


def _row(record: AuditRecord) -> tuple[str, ...]:
    at = format_moment(record.at)
    subject = record.subject if record.body else f"{record.subject} (body removed for its age)"
    return str(record.seq), at, record.actor, record.kind, subject


def run_export(arguments: argparse.Namespace) -> int:
    """Print records as JSON lines."""
    with_deployment(arguments, lambda one: _export(one, arguments.tenant, arguments.after))
    return 0


async def _export(administration: Administration, tenant_id: str | None, after: int) -> None:
    async for record in export_audit(administration, tenant_id, after=after):
        sys.stdout.write(msgspec.json.encode(describe_record(record)).decode() + "\n")
