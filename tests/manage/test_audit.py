"""The audit log of a whole application: what it tells, to whom, and that it never tells a secret."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from mintmark.admin.actor import Actor
from mintmark.admin.administration import Administration, Missing, PermissionRefused
from mintmark.admin.audit import describe_record, export_audit, list_audit, verify_audit
from mintmark.admin.audit_upkeep import AuditBroken, purge_audit, purge_bodies, write_checkpoint
from mintmark.admin.client_secrets import rotate_secret
from mintmark.admin.clients import ClientChanges, change_client, disable_client
from mintmark.admin.tenants import invalidate_tokens, remove_tenant
from mintmark.admin.tokens import find_named_token, revoke_named_token
from mintmark.store.chain import GENESIS, hash_record
from mintmark.store.records import AuditRecord
from tests.endpoints.deployments import Deployment
from tests.life.world import Caller, Clock, World, inquiry, open_world

WRONG = "a-wrong-secret-that-was-typed"


@pytest_asyncio.fixture
async def world(bare_deployment: Deployment, tmp_path: Path) -> AsyncIterator[World]:
    opened = await open_world(bare_deployment.copy_to(tmp_path).state_dir, Clock(), audit_retention_s=3600)
    yield opened
    await opened.close()


async def whole_log(world: World) -> list[AuditRecord]:
    return [record async for record in export_audit(world.administration)]


async def flushed(world: World, kind: str) -> list[dict[str, Any]]:
    """Write what has gathered, and return the entries of one kind."""
    await world.application._recording.write_events()
    entries = []
    for record in await whole_log(world):
        if record.kind == kind:
            body = json.loads(record.body)
            named = [dict(zip(body["members"], entry, strict=True)) for entry in body["entries"]]
            entries += [{"tenant_id": record.tenant_id, **one} for one in named]
    return entries


def open_database(folder: Path) -> closing[sqlite3.Connection]:
    """Whoever gets at the file."""
    return closing(sqlite3.connect(next(folder.rglob("mintmark.db"))))


def limited(*tenants: str, permissions: frozenset[str] = frozenset({"audit:read"})) -> Actor:
    return Actor(name="client:t/c", permissions=permissions, tenants=frozenset(tenants))


@pytest.mark.parametrize(
    ("dialect", "form"), [("oauth2", "jwt"), ("oauth2", "opaque"), ("wso2", "opaque"), ("ciam", "jwt")]
)
async def test_an_issued_token_is_told_of_once_and_by_a_name_of_no_use(world: World, dialect: str, form: str):
    await world.add_tenant("t", dialect, form=form)
    caller = await world.add_client("t")
    token = await world.token(caller)
    if dialect == "wso2":
        assert await world.token(caller) == token
    [entry] = await flushed(world, "tokens_issued")

    assert (entry["tenant_id"], entry["client_id"], entry["kind"]) == ("t", caller.client_id, "access")
    assert entry["expires_at"] - entry["at"] > 0
    assert entry["token"] not in token
    if form == "opaque":
        assert (await find_named_token(world.administration, "t", entry["token"])).client_id == caller.client_id


async def test_a_token_is_ended_by_the_name_that_the_log_has_for_it(world: World):
    for tenant_id, form in (("a", "jwt"), ("b", "opaque")):
        await world.add_tenant(tenant_id, form=form)
        caller = await world.add_client(tenant_id)
        token = await world.token(caller)
        entries = await flushed(world, "tokens_issued")
        name = entries[-1]["token"]
        assert await world.is_active(caller, token)
        await revoke_named_token(world.administration, tenant_id, name)
        assert not await world.is_active(caller, token)
    kinds = [(record.kind, record.tenant_id) for record in await whole_log(world) if record.kind == "revoke_token"]

    assert kinds == [("revoke_token", "a"), ("revoke_token", "b")]


async def test_a_token_of_another_tenant_has_no_name_here(world: World):
    await world.add_tenant("a", form="opaque")
    await world.add_tenant("b")
    await world.token(await world.add_client("a"))
    [entry] = await flushed(world, "tokens_issued")

    for verb in (find_named_token, revoke_named_token):
        with pytest.raises(Missing):
            await verb(world.administration, "b", entry["token"])


async def test_refused_credentials_are_told_of_with_their_reason_and_source(world: World):
    await world.add_tenant("t")
    caller = await world.add_client("t")
    stranger = Caller("t", WRONG, caller.client_secret)
    for one, source in ((caller._replace(client_secret=WRONG), "192.0.2.1"), (stranger, "192.0.2.2")):
        await world.send(inquiry(one, "introspect", "x"), source)
    await disable_client(world.administration, "t", caller.client_id, disabled=True)
    await world.application.refresh()
    await world.send(inquiry(caller, "revoke", "x"), "192.0.2.3")
    entries = await flushed(world, "credentials_refused")

    assert [(one["client_id"], one["reason"], one["source"]) for one in entries] == [
        (caller.client_id, "wrong_secret", "192.0.2.1"),
        ("", "unknown_client", "192.0.2.2"),
        (caller.client_id, "disabled_client", "192.0.2.3"),
    ]


async def test_a_revocation_by_the_client_and_a_second_use_of_a_refresh_token_are_told_of(world: World):
    await world.add_tenant("omada", "omada")
    caller = await world.add_client("omada")
    first = await world.issue(caller)
    await world.refresh(caller, first["refreshToken"])
    world.clock.now += 60
    await world.refresh(caller, first["refreshToken"])
    second = await world.issue(caller)
    await world.revoke(caller, second["accessToken"])
    [reused] = await flushed(world, "refresh_tokens_reused")
    [revoked] = await flushed(world, "tokens_revoked")

    assert (reused["tenant_id"], reused["client_id"]) == ("omada", caller.client_id)
    assert (revoked["client_id"], revoked["kind"]) == (caller.client_id, "access")
    kinds = [one["kind"] for one in await flushed(world, "tokens_issued")]
    assert kinds == ["access", "refresh"] * 3


async def test_events_that_cannot_be_written_wait_and_lose_nothing(world: World, tmp_path: Path):
    await world.add_tenant("t")
    caller = await world.add_client("t")
    await world.token(caller)
    with open_database(tmp_path) as connection:
        connection.execute("ALTER TABLE audit_record RENAME TO away")
        await world.application._recording.write_events()
        connection.execute("ALTER TABLE away RENAME TO audit_record")
    await world.token(caller)

    assert len(await flushed(world, "tokens_issued")) == 2


async def test_who_is_limited_to_tenants_reads_their_records_alone(world: World):
    for name in ("a", "b"):
        await world.add_tenant(name)
        await world.token(await world.add_client(name))
    await flushed(world, "tokens_issued")
    everything = await list_audit(world.administration, limit=100)
    of_a = world.administration.on_behalf_of(limited("a"))
    seen = await list_audit(of_a, limit=100)

    assert {record.tenant_id for record in everything} >= {"a", "b"}
    assert {record.tenant_id for record in seen} == {"a"}
    assert [one.seq for one in seen] == [one.seq for one in everything if one.tenant_id == "a"]
    assert await list_audit(of_a, "a", limit=100) == seen
    with pytest.raises(Missing):
        await list_audit(of_a, "b", limit=100)
    with pytest.raises(PermissionRefused):
        await list_audit(world.administration.on_behalf_of(limited("a", permissions=frozenset())), limit=100)
    with pytest.raises(PermissionRefused):
        await verify_audit(of_a)


async def test_records_outlive_what_they_tell_of(world: World):
    await world.add_tenant("t")
    await world.add_client("t")
    await remove_tenant(world.administration, "t")

    assert [record.kind for record in await whole_log(world)][-1] == "remove_tenant"


async def test_an_act_names_the_actor_its_token_its_address_and_its_correlation_id(world: World):
    await world.add_tenant("t")
    caller = await world.add_client("t")
    actor = Actor(
        name="client:t/boss",
        permissions=frozenset({"clients:write"}),
        tenants=frozenset({"t"}),
        source="192.0.2.9",
        token="0123456789abcdef",
        correlation_id="c-7",
    )
    await rotate_secret(world.administration.on_behalf_of(actor), "t", caller.client_id)
    [record] = await list_audit(world.administration, limit=1)

    assert (record.kind, record.actor, record.source) == ("rotate_secret", "client:t/boss", "192.0.2.9")
    assert (record.token, record.correlation_id) == ("0123456789abcdef", "c-7")


async def test_the_leader_signs_the_head_at_each_interval_and_what_has_not_moved_is_not_signed_again(world: World):
    administration = world.administration
    await world.add_tenant("t")
    assert await write_checkpoint(administration, 300)
    await world.add_client("t")
    assert not await write_checkpoint(administration, 300)
    world.clock.now += 300
    assert await write_checkpoint(administration, 300)
    world.clock.now += 300
    assert not await write_checkpoint(administration, 300)
    verdict = await verify_audit(administration)

    assert (verdict.fault, verdict.checkpoints) == (None, 2)


async def test_old_records_go_and_the_log_still_verifies(world: World):
    for name in ("a", "b", "c"):
        await world.add_tenant(name)
    await write_checkpoint(world.administration, 300)
    world.clock.now += 3000
    await world.add_tenant("d")
    world.clock.now += 1000
    assert await purge_audit(world.administration, 3600) > 0
    assert await purge_audit(world.administration, 3600) == 0

    assert [record.subject for record in await whole_log(world)] == ["tenant d"]
    assert (await verify_audit(world.administration)).fault is None
    world.clock.now += 10_000
    assert await purge_audit(world.administration, 3600) == 1
    assert (await verify_audit(world.administration)).fault is None
    await world.add_tenant("e")
    assert (await verify_audit(world.administration)).fault is None


async def test_bodies_of_old_events_go_and_those_of_acts_stay_and_the_log_still_verifies(world: World, tmp_path: Path):
    await world.add_tenant("t")
    caller = await world.add_client("t")
    for _ in range(3):
        await world.token(caller)
        await flushed(world, "credentials_refused")
    world.clock.now += 3000
    await world.token(caller)
    await flushed(world, "credentials_refused")
    world.clock.now += 700
    gone = await purge_bodies(world.administration, 3600)
    again = await purge_bodies(world.administration, 3600)
    log = await whole_log(world)
    verdict = await verify_audit(world.administration)
    await purge_audit(world.administration, 3600)
    rest = await verify_audit(world.administration)

    assert (gone, again, verdict.bodies_gone, verdict.fault) == (3, 0, 3, None)
    assert [one.kind for one in log if not one.body] == ["tokens_issued"] * 3
    assert [describe_record(one)["body"] for one in log if not one.body] == [None] * 3
    assert (rest.records, rest.bodies_gone, rest.fault) == (1, 0, None)


async def test_a_body_that_somebody_removed_before_its_time_is_found(world: World, tmp_path: Path):
    await world.add_tenant("t")
    await world.token(await world.add_client("t"))
    await flushed(world, "tokens_issued")
    with open_database(tmp_path) as connection:
        connection.executescript("UPDATE audit_record SET body = '' WHERE kind = 'tokens_issued'")
    fault = (await verify_audit(world.administration)).fault

    assert fault is not None
    assert "is gone, and not for its age" in fault.text


TAMPERINGS: dict[str, tuple[str, str]] = {
    "changed": ("UPDATE audit_record SET actor = 'local:you' WHERE seq = 3", "record 3 was changed"),
    "removed": ("DELETE FROM audit_record WHERE seq = 3", "the records 3 to 3 are missing"),
    "cut off": ("DELETE FROM audit_record WHERE seq >= 3", "are missing"),
    "swapped": (
        "UPDATE audit_record SET seq = CASE seq WHEN 3 THEN -4 WHEN 4 THEN -3 END WHERE seq IN (3, 4);"
        "UPDATE audit_record SET seq = -seq WHERE seq < 0",
        "record 3 was moved: it was written as record 4",
    ),
    "cut off with its checkpoint": (
        "DELETE FROM audit_record WHERE seq >= 3; DELETE FROM audit_checkpoint",
        "are missing",
    ),
    "emptied": ("DELETE FROM audit_record; DELETE FROM audit_checkpoint", "are missing"),
    "without checkpoints": ("DELETE FROM audit_checkpoint", "the checkpoint of record 7 is gone"),
    "unsealed": (
        "DELETE FROM audit_record; DELETE FROM audit_checkpoint;DELETE FROM deployment_fact WHERE name = 'audit_head'",
        "the sealed head of the log is gone",
    ),
    "forged": ("UPDATE audit_checkpoint SET at = at + 1", "is not ours"),
}


@pytest.mark.parametrize("way", TAMPERINGS)
async def test_what_was_done_to_the_database_is_found(world: World, tmp_path: Path, way: str):
    for name in ("a", "b", "c", "d", "e"):
        await world.add_tenant(name)
    await write_checkpoint(world.administration, 300)
    assert (await verify_audit(world.administration)).fault is None
    script, text = TAMPERINGS[way]
    with open_database(tmp_path) as connection:
        connection.executescript(script)
    fault = (await verify_audit(world.administration)).fault

    assert fault is not None
    assert text in fault.text


async def test_a_log_that_was_written_anew_is_found_and_never_signed(world: World, tmp_path: Path):
    for name in ("a", "b", "c"):
        await world.add_tenant(name)
    await write_checkpoint(world.administration, 0)
    previous = GENESIS
    with open_database(tmp_path) as connection:
        connection.execute("DELETE FROM audit_checkpoint")
        for old in await world.administration.store.audit.after(0, 100):
            record = msgspec.structs.replace(old, actor="local:another", previous=previous)
            previous = hash_record(record)
            values = (record.actor, record.previous, previous, record.seq)
            connection.execute("UPDATE audit_record SET actor = ?, previous = ?, hash = ? WHERE seq = ?", values)
        connection.commit()
    faults = [(await verify_audit(world.administration)).fault]
    await world.add_tenant("d")
    world.clock.now += 10_000
    with pytest.raises(AuditBroken):
        await write_checkpoint(world.administration, 300)
    removed = await purge_audit(world.administration, 3600)
    faults.append((await verify_audit(world.administration)).fault)

    assert [fault and fault.kind for fault in faults] == ["rewritten", "rewritten"]
    assert removed == 0


async def test_a_head_that_somebody_kept_shows_that_the_end_was_cut_off(world: World, tmp_path: Path):
    for name in ("a", "b", "c"):
        await world.add_tenant(name)
    head = (await verify_audit(world.administration)).head
    with open_database(tmp_path) as connection:
        connection.executescript("DELETE FROM audit_record WHERE seq >= 3")

    assert (await verify_audit(world.administration)).fault is None
    assert (await verify_audit(world.administration, head)).fault is not None


async def test_events_of_the_server_itself_are_recorded_as_its_own(world: World):
    await world.add_tenant("t")
    upkeep: Administration = world.application._upkeep
    await invalidate_tokens(upkeep, "t")
    [record] = await list_audit(world.administration, limit=1)

    assert record.actor == "mintmark"


async def test_the_end_of_a_process_writes_and_signs_what_is_left(bare_deployment: Deployment, tmp_path: Path):
    state_dir = bare_deployment.copy_to(tmp_path).state_dir
    first = await open_world(state_dir, Clock())
    await first.add_tenant("t")
    caller = await first.add_client("t")
    await first.token(caller)
    await first.close()
    second = await open_world(state_dir, Clock())
    log = await whole_log(second)
    verdict = await verify_audit(second.administration)
    found = await second.administration.store.clients.find("t", caller.client_id)
    await second.close()

    assert log[-1].kind == "tokens_issued"
    assert (verdict.fault, verdict.checkpoints) == (None, 1)
    assert found is not None
    assert found.secrets[0].last_used_at == second.clock()


async def test_where_tokens_are_not_audited_none_is_told_of(bare_deployment: Deployment, tmp_path: Path):
    world = await open_world(bare_deployment.copy_to(tmp_path).state_dir, Clock(), audit_tokens=False)
    await world.add_tenant("t")
    await world.token(await world.add_client("t"))
    issued = await flushed(world, "tokens_issued")
    await world.close()

    assert issued == []


async def test_two_administrators_who_meant_the_same_version_do_not_overwrite_each_other(world: World):
    await world.add_tenant("t")
    caller = await world.add_client("t")
    changes = [ClientChanges(client_name=name) for name in ("one", "other")]
    calls = [change_client(world.administration, "t", caller.client_id, one, if_version=1) for one in changes]
    ended = await asyncio.gather(*calls, return_exceptions=True)

    assert sorted(type(one).__name__ for one in ended) == ["ClientRecord", "Outdated"]
    assert [record.kind for record in await whole_log(world)].count("change_client") == 1


async def test_without_a_version_changes_at_once_are_all_made(world: World):
    await world.add_tenant("t")
    caller = await world.add_client("t")
    names = ("a", "b", "c")
    changed = await asyncio.gather(
        *(change_client(world.administration, "t", caller.client_id, ClientChanges(client_name=name)) for name in names)
    )

    assert sorted(one.version for one in changed) == [2, 3, 4]


async def test_a_process_that_is_told_to_end_in_the_middle_of_a_write_loses_nothing(world: World):
    await world.add_tenant("t")
    caller = await world.add_client("t")
    recording = world.application._recording
    running = asyncio.create_task(recording.run())
    await world.token(caller)
    # Cancelled while the writer has the events of this round in hand.
    while recording._round is None:  # noqa: ASYNC110 # nothing tells of it
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await recording.finish()

    assert len(await flushed(world, "tokens_issued")) == 1
