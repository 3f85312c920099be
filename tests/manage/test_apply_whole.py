"""All of a plan or nothing of it, wherever it is cut off: at any statement, by an error or the end of the process."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from mintmark.admin.administration import Administration, Outdated
from mintmark.admin.audit import verify_audit
from mintmark.admin.plan import execute
from mintmark.authentication.secrets import generate_secret
from mintmark.protocol.errors import StoreUnavailable
from tests.endpoints.deployments import Deployment
from tests.manage.declaring import ACME, Desk

APPLIED, TOLD = 0, 7
BEFORE = (
    ACME
    + """
[tenants.acme.clients.billing]
secret = { env = "A", label = "a" }
[tenants.acme.clients.old]
secret = { env = "A" }
"""
)
AFTER = (
    ACME
    + """
title = "Acme"
prune = ["clients", "secrets"]
[tenants.acme.clients.billing]
scope = ["read"]
secret = { env = "B" }
[tenants.acme.clients.made]
is_disabled = true
secrets = [{ generate = true, file = "made.secret" }, { env = "A" }]
[tenants.beta]
dialect = "omada"
issuer = "https://beta.example"
is_suspended = true
token_rules = { alg = "ES256" }
[tenants.beta.sites.Office]
region = "Germany"
time_zone = "Europe/Berlin"
scenario = "Office"
[tenants.beta.clients.app]
role = "viewer_id"
sites = ["Office"]
secret = { env = "C" }
"""
)


@pytest.fixture
def desk(bare_deployment: Deployment, tmp_path: Path) -> Desk:
    environment = {name: generate_secret().reveal() for name in "ABC"}
    desk = Desk(bare_deployment.copy_to(tmp_path), tmp_path, environment)
    desk.apply(BEFORE)
    return desk


class Blow:
    """Falls before the statement of a number within a transaction, on whichever connection; `seen` came before it."""

    def __init__(self, strike: Callable[[sqlite3.Connection], None], number: int = 0) -> None:
        self.strike = strike
        self.number = number
        self.seen: list[str] = []

    def watch(self, connection: sqlite3.Connection, _: object) -> None:
        """SQLite itself tells of each statement: not all of them pass SQLAlchemy."""
        connection.set_trace_callback(lambda statement: self.hear(connection, statement))

    def hear(self, connection: sqlite3.Connection, statement: str) -> None:
        if self.seen or statement == "BEGIN IMMEDIATE":
            self.seen.append(statement)
            if len(self.seen) == self.number:
                self.strike(connection)


@contextmanager
def watched(blow: Blow) -> Iterator[None]:
    """Watch the connections that are opened meanwhile."""
    event.listen(Engine, "connect", blow.watch)
    try:
        yield
    finally:
        event.remove(Engine, "connect", blow.watch)


async def apply(administration: Administration, desk: Desk) -> None:
    await execute(administration, await desk.plan_of(administration, AFTER))


def test_an_error_at_any_statement_leaves_everything_as_it_was(desk: Desk):
    before, blow = desk.dump(), Blow(sqlite3.Connection.interrupt)

    async def strike_each(administration: Administration) -> None:
        while True:
            blow.number, blow.seen = blow.number + 1, []
            try:
                await apply(administration, desk)
            except StoreUnavailable:
                assert desk.dump() == before, blow.seen[-1]
                assert not (desk.folder / "made.secret").exists(), blow.seen[-1]
            else:
                return

    with watched(blow):
        desk.administer(strike_each)
    assert blow.number > 60
    assert (desk.folder / "made.secret").exists()
    assert desk.plan(AFTER.replace("generate = true, ", "")).steps == ()


@pytest.mark.parametrize("number", [2, 9, 23, 38, 52, 64, 70])
def test_a_process_that_dies_at_any_statement_leaves_everything_as_it_was(desk: Desk, number: int):
    before = desk.dump()
    assert die_at(desk, number) == 9
    assert desk.dump() == before


def test_a_process_that_dies_just_before_the_commit_leaves_everything_and_the_same_file_applies_after(desk: Desk):
    before = desk.dump()
    blow = Blow(sqlite3.Connection.interrupt)
    with watched(blow):
        desk.plan(AFTER)
    # A rehearsal ends with ROLLBACK where an execution has COMMIT.
    assert blow.seen[-1] == "ROLLBACK"
    assert die_at(desk, len(blow.seen)) == 9
    assert desk.dump() == before
    # What the dead process made is told to nobody: its file is in the way until somebody looks at it.
    (desk.folder / "made.secret").unlink()
    desk.apply(AFTER)
    assert desk.dump() != before


def die_at(desk: Desk, number: int) -> int:
    """Apply in a process that ends at a statement; return how it ended."""
    pid = os.fork()
    if pid == 0:
        with watched(Blow(lambda _: os._exit(9), number)):
            desk.administer(lambda one: apply(one, desk))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_of_two_processes_one_wins_and_the_other_is_told(desk: Desk):
    wait, go = os.pipe()
    children = [race(desk, title, wait) for title in ("one", "two")]
    os.write(go, b"!!")
    ends = sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children)
    assert ends == [APPLIED, TOLD]
    assert desk.rows("SELECT count(*) FROM audit_record WHERE kind = 'change_tenant'") == [(1,)]


def race(desk: Desk, title: str, wait: int) -> int:
    """Make a plan in another process, which executes it at a sign; return that process when its plan is made."""
    made, tell = os.pipe()
    pid = os.fork()
    if pid == 0:

        async def run(administration: Administration) -> int:
            plan = await desk.plan_of(administration, f'{ACME}title = "{title}"')
            os.write(tell, b"!")
            os.read(wait, 1)
            try:
                await execute(administration, plan)
            except Outdated:
                return TOLD
            return APPLIED

        os._exit(desk.administer(run))
    os.read(made, 1)
    os.close(made)
    os.close(tell)
    return pid


def test_the_log_is_whole_after_a_plan(desk: Desk):
    desk.apply(AFTER)
    assert desk.administer(verify_audit).fault is None
    kinds = [kind for (kind,) in desk.rows("SELECT kind FROM audit_record ORDER BY seq")][-12:]
    assert kinds[0] == "remove_client"
    assert {"change_tenant", "create_tenant", "create_site", "register_client", "give_secret"} <= set(kinds)


def test_others_issue_tokens_again_as_soon_as_a_plan_has_ended(desk: Desk):
    async def both(administration: Administration) -> None:
        writing = asyncio.create_task(apply(administration, desk))
        await administration.store.deployment.put_fact("probe", "1")
        await writing
        await administration.store.deployment.put_fact("probe", "2")

    desk.administer(both)
    assert desk.rows("SELECT value FROM deployment_fact WHERE name = 'probe'") == [("2",)]
