"""A break of the audit log that somebody has looked into: accepted, never silently, and nothing more than it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mintmark.admin.administration import LimitReached, Malformed
from mintmark.admin.audit import accept_break, verify_audit
from mintmark.admin.audit_chain import sign_checkpoint
from mintmark.admin.audit_upkeep import write_checkpoint
from tests.endpoints.deployments import Deployment
from tests.life.world import Clock, World, open_world
from tests.manage.test_audit import TAMPERINGS, open_database, whole_log


@pytest_asyncio.fixture
async def world(bare_deployment: Deployment, tmp_path: Path) -> AsyncIterator[World]:
    opened = await open_world(bare_deployment.copy_to(tmp_path).state_dir, Clock())
    yield opened
    await opened.close()


@pytest.mark.parametrize("way", TAMPERINGS)
async def test_behind_an_accepted_break_the_log_goes_on_and_is_signed_again(world: World, tmp_path: Path, way: str):
    for name in ("a", "b", "c", "d", "e"):
        await world.add_tenant(name)
    await write_checkpoint(world.administration, 300)
    with open_database(tmp_path) as connection:
        connection.executescript(TAMPERINGS[way][0])
    fault = (await verify_audit(world.administration)).fault
    assert fault is not None
    accepted = await accept_break(world.administration, fault.seq, "a disk that lied")
    verdict = await verify_audit(world.administration)
    assert (verdict.fault, [one.fault for one in verdict.accepted]) == (None, [fault])
    [record] = [one for one in await whole_log(world) if one.kind == "accept_audit_break"]
    told = json.loads(record.body)["after"]
    assert (told["fault_text"], told["reason"], told["hash"]) == (fault.text, "a disk that lied", accepted.hash)
    assert (record.seq, record.previous.hex()) == (accepted.last + 1, accepted.hash)

    await world.add_tenant("f")
    world.clock.now += 300
    assert await write_checkpoint(world.administration, 300)
    assert (await verify_audit(world.administration)).fault is None
    with open_database(tmp_path) as connection:
        connection.execute("UPDATE audit_record SET actor = 'local:you' WHERE subject = 'tenant f'")
        connection.commit()
    behind = (await verify_audit(world.administration)).fault
    assert behind is not None
    assert behind.seq > accepted.last


async def accepted_break(world: World, folder: Path) -> int:
    """Break record 3 of a log, and accept it. Return the last record that is not judged."""
    for name in ("a", "b", "c", "d", "e"):
        await world.add_tenant(name)
    with open_database(folder) as connection:
        connection.executescript(TAMPERINGS["changed"][0])
    return (await accept_break(world.administration, 3, "known")).last


async def test_what_was_accepted_must_stay_as_it_stood_and_what_came_before_it_too(world: World, tmp_path: Path):
    last = await accepted_break(world, tmp_path)
    with open_database(tmp_path) as connection:
        changed = ((1, "body"), (3, "actor"), (3, "body"), (last, "subject"), (last + 1, "body"))
        for seq, column in changed:
            [[old]] = connection.execute(f"SELECT {column} FROM audit_record WHERE seq = {seq}").fetchall()
            connection.execute(f"UPDATE audit_record SET {column} = ? WHERE seq = {seq}", (old + " ",))
            connection.commit()
            fault = (await verify_audit(world.administration)).fault
            connection.execute(f"UPDATE audit_record SET {column} = ? WHERE seq = {seq}", (old,))
            connection.commit()
            assert fault is not None, (seq, column)
            assert fault.seq == (seq if seq in {1, last + 1} else 3)
    assert (await verify_audit(world.administration)).fault is None


async def test_an_acceptance_that_this_deployment_did_not_sign_is_none(world: World, tmp_path: Path):
    await accepted_break(world, tmp_path)
    with open_database(tmp_path) as connection:
        connection.execute("UPDATE audit_record SET body = replace(body, 'known', 'other') WHERE body LIKE '%known%'")
        connection.commit()
    verdict = await verify_audit(world.administration)

    assert (verdict.accepted, verdict.fault and verdict.fault.seq) == ([], 3)


async def test_what_was_accepted_and_changed_once_more_may_be_accepted_once_more(world: World, tmp_path: Path):
    await accepted_break(world, tmp_path)
    with open_database(tmp_path) as connection:
        connection.executescript("UPDATE audit_record SET actor = 'local:she' WHERE seq = 4")
    await accept_break(world.administration, 3, "known, too")
    verdict = await verify_audit(world.administration)

    assert (verdict.fault, [one.reason for one in verdict.accepted]) == (None, ["known, too"])


async def test_age_takes_what_was_accepted_as_everything_else(world: World, tmp_path: Path):
    last = await accepted_break(world, tmp_path)
    store, key = world.administration.store.audit, world.administration.audit_key
    for seq in (2, 4, last, last + 1):
        [link] = await store.links(seq - 1, 1)
        await store.purge(sign_checkpoint(key, seq, link.hash, at=world.administration.now(), is_anchor=True))
        assert (await verify_audit(world.administration)).fault is None
    await world.add_tenant("f")
    assert (await verify_audit(world.administration)).fault is None


async def test_only_the_first_fault_that_is_there_is_accepted(world: World, tmp_path: Path):
    await world.add_tenant("a")
    with pytest.raises(LimitReached, match="nothing to accept"):
        await accept_break(world.administration, 1, "in advance")
    await world.add_tenant("b")
    with open_database(tmp_path) as connection:
        connection.executescript("UPDATE audit_record SET actor = 'local:you' WHERE seq = 2")
    with pytest.raises(Malformed, match="the first fault is at record 2"):
        await accept_break(world.administration, 1, "a guess")


async def test_a_break_is_logged_once_and_shown_as_long_as_it_is_there(world: World, tmp_path: Path, capsys: Any):
    await world.add_tenant("a")
    await world.application._tend_audit()
    with open_database(tmp_path) as connection:
        connection.executescript("DELETE FROM audit_record; DELETE FROM audit_checkpoint")
    shown, told = list[bool](), list[int]()
    for _ in range(3):
        await world.add_tenant(f"t{len(shown)}")
        world.clock.now += 300
        await world.application._lead(world.application._tend_audit)
        shown.append(world.application.observation._watched.is_audit_broken())
        told.append(capsys.readouterr().out.count("audit_broken"))
    fault = (await verify_audit(world.administration)).fault
    assert fault is not None
    await accept_break(world.administration, fault.seq, "known")
    await world.application._tend_audit()

    assert (shown, told) == ([True] * 3, [1, 0, 0])
    assert not world.application.observation._watched.is_audit_broken()
