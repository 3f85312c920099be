"""The audit log in a real database: many processes, a log that cannot be written, indexes, and what is synced."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement

from mintmark.protocol.errors import StoreError
from mintmark.store.audit import AFTER
from mintmark.store.audit_search import places
from mintmark.store.chain import GENESIS, hash_record
from mintmark.store.client_secrets import EXPIRING, EXPIRING_IN_TENANT, REMOVE_EXPIRED
from mintmark.store.records import AuditSearch
from mintmark.store.sql_store import SqlStore
from mintmark.store.tokens import FIND_NAMED

from .conformance_audit import ACT
from .samples import client, key, secret, tenant, token
from .test_sqlite_files import read_plan, run_together

PROCESSES, ROUNDS = 8, 15


@pytest.mark.asyncio
async def test_the_records_of_many_processes_are_one_chain(store: SqlStore, url: str, tmp_path: Path) -> None:
    await store.tenants.add(tenant(), [])
    await store.clients.add([client()])
    await asyncio.to_thread(run_together, tmp_path, PROCESSES, "append", url, str(ROUNDS))
    log = await store.audit.after(0, 10_000)
    assert len(log) == PROCESSES * ROUNDS * 4
    previous = GENESIS
    for seq, record in enumerate(log, 1):
        assert (record.seq, record.previous, record.hash) == (seq, previous, hash_record(record))
        previous = record.hash
    found = await store.clients.find("acme", "meter")
    assert found is not None
    assert found.version == 1 + PROCESSES * ROUNDS * 3


CHANGES = {
    "register": lambda store: store.clients.add([client("new")]),
    "change": lambda store: store.clients.change("acme", "meter", {"scope": ("write",)}, bump=True),
    "remove": lambda store: store.clients.remove("acme", "meter"),
    "add a secret": lambda store: store.clients.add_secret(secret("s2"), others_expire_at=1),
    "reset": lambda store: store.clients.reset_secrets(secret("s2"), bump=True),
    "remove a secret": lambda store: store.clients.remove_secret("acme", "meter", "s1"),
    "create a tenant": lambda store: store.tenants.add(tenant("new"), [key("k9", tenant_id="new")]),
    "change a tenant": lambda store: store.tenants.change("acme", {"hosts": ("a.example",)}, bump=True),
    "remove a tenant": lambda store: store.tenants.remove("acme"),
    "add a key": lambda store: store.keys.add(key("k2")),
    "revoke a key": lambda store: store.keys.replace(key("k", revoked_at=1), successor=key("k3")),
    "remove a key": lambda store: store.keys.remove("acme", "k"),
    "end a token": lambda store: store.tokens.remove(token("t").digest),
    "end a JWT": lambda store: store.tokens.revoke_jti("acme", "j", 1),
    "write a fact": lambda store: store.deployment.put_fact("name", "value"),
}


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


@pytest.mark.asyncio
@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_that_cannot_be_recorded_is_not_made(store: SqlStore, path: Path, change: str) -> None:
    await store.tenants.add(tenant(), [key("k")])
    await store.clients.add([client(secrets=(secret("s1"),))])
    await store.tokens.add([token("t")])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON audit_record BEGIN SELECT RAISE(ABORT, 'full'); END")
    before = dump(path)
    with pytest.raises(StoreError):
        await CHANGES[change](store.acting(ACT))
    assert dump(path) == before
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER full")
    await CHANGES[change](store.acting(ACT))
    assert (await store.audit.head())[0] >= 1


@pytest.mark.asyncio
async def test_only_the_transaction_that_asked_for_it_is_not_synced(store: SqlStore) -> None:
    levels = []

    def look(connection: Connection) -> None:
        levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())

    writer = store._opened.commit
    await writer.run(look, is_synced=False)
    await writer.run(look)
    with pytest.raises(ZeroDivisionError):
        await writer.run(lambda _: 1 / 0, is_synced=False)
    await writer.run(look)
    await asyncio.gather(writer.run(look, is_synced=False), writer.run(look))
    assert levels[:3] == [1, 2, 2]
    assert levels[-1] == 2


BY_INDEX: dict[str, tuple[dict[str, Any], str]] = {
    "all": ({}, "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
    "kind": ({"kind": "k"}, "USING COVERING INDEX ix_audit_record_kind_seq (kind=? AND seq>? AND seq<?)"),
    "tenant": (
        {"tenants": ["a"]},
        "USING COVERING INDEX ix_audit_record_tenant_id_seq (tenant_id=? AND seq>? AND seq<?)",
    ),
    "both": (
        {"tenants": ["a"], "kind": "k"},
        "USING COVERING INDEX ix_audit_record_tenant_id_kind_seq (tenant_id=? AND kind=? AND seq>? AND seq<?)",
    ),
}


@pytest.mark.parametrize("end", [{}, {"after": 0}], ids=["newest", "oldest"])
@pytest.mark.parametrize("wanted", BY_INDEX)
def test_records_of_the_log_are_found_and_ordered_by_an_index(path: Path, wanted: str, end: dict[str, Any]) -> None:
    members, plan = BY_INDEX[wanted]
    statement = places(AuditSearch(limit=1, **members, **end), 1, 9)
    text = str(statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    assert read_plan(path, text) == [f"SEARCH audit_record {plan}"]


def test_the_whole_log_is_read_in_its_order(path: Path) -> None:
    assert plan_of(path, AFTER) == ["SEARCH audit_record USING INTEGER PRIMARY KEY (rowid>?)"]


@pytest.mark.parametrize("statement", [EXPIRING, EXPIRING_IN_TENANT], ids=["all", "tenant"])
def test_expiring_secrets_are_found_and_ordered_by_an_index(path: Path, statement: ClauseElement) -> None:
    plan = plan_of(path, statement)
    assert len(plan) == 1
    assert "USING INDEX ix_client_secret" in plan[0]


def test_expired_secrets_are_found_by_an_index(path: Path) -> None:
    assert "SEARCH client_secret USING COVERING INDEX ix_client_secret_expires_at (expires_at<?)" in plan_of(
        path, REMOVE_EXPIRED
    )


def test_a_token_is_found_by_the_beginning_of_its_digest(path: Path) -> None:
    plan = read_plan(path, FIND_NAMED.text(sqlite.dialect()))
    assert plan == ["SEARCH token USING INDEX sqlite_autoindex_token_1 (digest>? AND digest<?)"]


def plan_of(path: Path, statement: ClauseElement) -> list[str]:
    return read_plan(path, str(statement.compile(dialect=sqlite.dialect())))
