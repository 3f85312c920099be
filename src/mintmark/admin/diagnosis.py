"""What is wrong with a deployment, and how to mend it: one small check each, in one table. Nothing is changed.

The listeners are looked at in `http/diagnosis.py`.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from mintmark.admin.deployment import check_master_key
from mintmark.authentication.master_key import others_may
from mintmark.protocol.errors import MintmarkError
from mintmark.settings import Settings
from mintmark.store.inspection import DatabaseFacts, ServerFacts, inspect_database
from mintmark.store.schema import REMEDIES
from mintmark.store.sqlite import database_path
from mintmark.store.urls import has_password, is_postgresql, show_url

Level = Literal["ok", "warn", "fail"]

CONNECTIONS_BESIDE_READERS: Final = 7
"""Of a process on PostgreSQL: two that write, one each for slow reads, looks, notices, leading, and a large change."""
CONNECTIONS_OF_COMMANDS: Final = 2
MAX_SKEW_S: Final = 5.0
NOTED_SKEW_S: Final = 1.0
SCARCE_OCTETS: Final = 1024**3
TOO_FEW_OCTETS: Final = 100 * 1024**2
DATABASE_FILES: Final = ("", "-wal", "-shm", "-lock", "-leader")
MISSED_CHECKPOINTS: Final = 3
UNKNOWN: Final = "not known: the database could not be looked at"
AS_THE_USER: Final = "run this as the server's user, or chown it"
ENCODINGS: Final = frozenset({"UTF8", "UTF-8"})


class Finding(NamedTuple):
    """What one check found. `mend` is empty where nothing is to be done."""

    level: Level
    check: str
    said: str
    mend: str = ""


class Case(NamedTuple):
    """A deployment to be looked at: its settings, the file they came from, and how many nodes it is to have."""

    settings: Settings
    settings_file: Path | None = None
    nodes: int = 1
    clock: Callable[[], float] = time.time


Check = Callable[[Case], Iterator[Finding]]
DatabaseCheck = Callable[[Case, DatabaseFacts], Iterator[Finding]]
ServerCheck = Callable[[Case, ServerFacts], Iterator[Finding]]


def diagnose(case: Case) -> Iterator[Finding]:
    """Yield what the checks of this module find; a check that cannot look says why."""
    try:
        facts = inspect_database(case.settings.database, case.clock)
    except MintmarkError as error:
        yield Finding("fail", "database", str(error), "start it, or mend database_url; mintmark init makes a new one")
        yield from (Finding("warn", name, UNKNOWN) for name in DATABASE_CHECKS)
    else:
        yield Finding("ok", "database", f"{facts.product} at {show_url(case.settings.database)}")
        for check in DATABASE_CHECKS.values():
            yield from check(case, facts)
    yield from run_checks(CHECKS, case)


def run_checks(checks: dict[str, Check], case: Case) -> Iterator[Finding]:
    """Yield what the checks find; of one that cannot look, why."""
    for name, check in checks.items():
        try:
            yield from check(case)
        except (MintmarkError, OSError) as error:
            yield Finding("fail", name, str(error))


def check_schema(case: Case, facts: DatabaseFacts) -> Iterator[Finding]:
    """The tables are this release's."""
    if facts.schema == "current":
        yield Finding("ok", "schema", "current")
    else:
        said, _, mend = REMEDIES[facts.schema].partition("; ")
        yield Finding("fail", "schema", said, mend)


def check_encoding(case: Case, facts: DatabaseFacts) -> Iterator[Finding]:
    """Names may be of any script."""
    is_utf8 = facts.encoding in ENCODINGS
    mend = "" if is_utf8 else "make the database anew: createdb --encoding=UTF8 --template=template0"
    yield Finding("ok" if is_utf8 else "fail", "encoding", facts.encoding, mend)


def check_audit(case: Case, facts: DatabaseFacts) -> Iterator[Finding]:
    """A server that runs signs the audit log."""
    if facts.schema != "current":
        return
    age_s = 0 if facts.unsigned_since is None else int(case.clock()) - facts.unsigned_since
    if age_s <= MISSED_CHECKPOINTS * case.settings.audit_checkpoint_interval_s:
        yield Finding("ok", "audit", "signed up to the newest records")
    else:
        mend = "start a server; if one runs, look for audit_broken in its log and run mintmark audit verify"
        yield Finding("warn", "audit", f"records of {age_s} seconds ago are not signed", mend)


def check_durability(case: Case, server: ServerFacts) -> Iterator[Finding]:
    """What was answered must be on disk."""
    if not server.is_lossy:
        yield Finding("ok", "durability", "every commit waits for the server's disk")
    for name in server.is_lossy:
        yield Finding("fail", "durability", f"{name} is off: answered tokens can be lost", f"set {name} = on")


def check_role(case: Case, server: ServerFacts) -> Iterator[Finding]:
    """The server takes writes."""
    if server.is_standby:
        yield Finding(
            "fail", "role", "this is a standby", "name the primary, or all hosts with target_session_attrs=read-write"
        )
    elif server.is_read_only:
        yield Finding("fail", "role", "it only reads", "set default_transaction_read_only = off for this role")
    else:
        yield Finding("ok", "role", "takes writes")


def check_sessions(case: Case, server: ServerFacts) -> Iterator[Finding]:
    """Bounds, locks and notices are of a session, which no other connection may get."""
    if server.keeps_sessions:
        yield Finding("ok", "sessions", "each connection keeps its own")
    else:
        mend = "set pool_mode = session for this database, or name the server itself"
        yield Finding("fail", "sessions", "a pooler gives each transaction another session", mend)


def check_clock(case: Case, server: ServerFacts) -> Iterator[Finding]:
    """Tokens begin and expire by the node's clock."""
    skew_s = abs(server.ahead_s)
    level: Level = "fail" if skew_s > MAX_SKEW_S else "warn" if skew_s > NOTED_SKEW_S else "ok"
    direction = "behind" if server.ahead_s > 0 else "ahead of"
    said = f"{skew_s:.1f} seconds {direction} the database's" if level != "ok" else "with the database's"
    yield Finding(level, "clock", said, "" if level == "ok" else "let both machines keep time (chrony, ntpd)")


def check_pool(case: Case, server: ServerFacts) -> Iterator[Finding]:
    """All nodes find a connection at once."""
    a_process = CONNECTIONS_BESIDE_READERS + case.settings.database_readers
    needed = case.nodes * case.settings.workers * a_process + CONNECTIONS_OF_COMMANDS
    said = f"{needed} connections wanted by {case.nodes} nodes of {case.settings.workers} workers, and for commands"
    if needed <= server.connections:
        yield Finding("ok", "pool", f"{said}; {server.connections} to be had")
    else:
        mend = f"raise max_connections by {needed - server.connections}, or run fewer workers or nodes"
        yield Finding("fail", "pool", f"{said}; only {server.connections} to be had", mend)


def check_server(case: Case, facts: DatabaseFacts) -> Iterator[Finding]:
    """What only a database with a server has."""
    if facts.server is not None:
        for check in SERVER_CHECKS:
            yield from check(case, facts.server)


def check_key(case: Case) -> Iterator[Finding]:
    """The master key is this deployment's."""
    check_master_key(case.settings)
    yield Finding("ok", "master key", "opens the deployment")


class Guarded(NamedTuple):
    """A path that is for the server's user alone, and how bad it is where it is not."""

    path: Path
    mode: str
    level: Level
    bits: int = 0o077


def check_files(case: Case) -> Iterator[Finding]:
    """Nobody else reads what is secret, and the server's user can."""
    found = [finding for one in _guarded(case) for finding in _judge_file(one)]
    yield from found or [Finding("ok", "files", "for their owner alone")]


def _guarded(case: Case) -> Iterator[Guarded]:
    settings = case.settings
    yield Guarded(settings.state_dir, "700", "fail")
    if not is_postgresql(settings.database):
        path = database_path(settings.database)
        yield from (Guarded(Path(f"{path}{suffix}"), "600", "fail") for suffix in DATABASE_FILES)
    if not settings.master_key:
        yield Guarded(settings.key_file, "600", "fail", others_may(settings.key_file))
    if settings.tls_private_key is not None:
        yield Guarded(settings.tls_private_key, "600", "fail")
    if case.settings_file is not None and has_password(settings.database):
        yield Guarded(case.settings_file, "600", "warn")


def _judge_file(guarded: Guarded) -> Iterator[Finding]:
    path = guarded.path
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        yield Finding("fail", "files", f"{path}: {error.strerror}", AS_THE_USER)
        return
    if stat.S_IMODE(status.st_mode) & guarded.bits:
        said = f"{path}: mode {stat.S_IMODE(status.st_mode):o} lets others at it"
        yield Finding(guarded.level, "files", said, f"chmod {guarded.mode} {path}")
    if os.geteuid() not in {0, status.st_uid}:
        level: Level = "warn" if os.access(path, os.R_OK, effective_ids=True) else "fail"
        yield Finding(level, "files", f"{path}: belongs to uid {status.st_uid}", AS_THE_USER)


def check_space(case: Case) -> Iterator[Finding]:
    """The database's disk has room."""
    if not is_postgresql(case.settings.database):
        yield judge_space(shutil.disk_usage(database_path(case.settings.database).parent).free)


def judge_space(free: int) -> Finding:
    """Judge how many octets are free beside a SQLite database."""
    level: Level = "fail" if free < TOO_FEW_OCTETS else "warn" if free < SCARCE_OCTETS else "ok"
    mend = "" if level == "ok" else "make room: a full disk stops opaque tokens, revocation and management"
    return Finding(level, "disk", f"{free // 1024**2} MiB free", mend)


SERVER_CHECKS: Final[Sequence[ServerCheck]] = (check_role, check_sessions, check_durability, check_clock, check_pool)
DATABASE_CHECKS: Final[dict[str, DatabaseCheck]] = {
    "schema": check_schema,
    "encoding": check_encoding,
    "server": check_server,
    "audit": check_audit,
}
CHECKS: Final[dict[str, Check]] = {"master key": check_key, "files": check_files, "disk": check_space}
