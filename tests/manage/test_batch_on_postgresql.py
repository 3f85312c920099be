"""A batch on PostgreSQL: there, too, its actions share a transaction and stand or fall one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mintmark.admin.tenants import list_tenants
from mintmark.api import joint
from tests.endpoints.in_process import Clock, open_in_process
from tests.endpoints.servers import run_mintmark
from tests.manage.test_rest_batch import CLIENTS, action, run, statuses
from tests.manage.world import World, make_world
from tests.postgresql import Postgres


@pytest_asyncio.fixture
async def world(postgres: Postgres, tmp_path: Path) -> AsyncIterator[World]:
    settings: dict[str, Any] = {"database_url": postgres.create(is_empty=True), "state_dir": str(tmp_path)}
    environment = {f"MINTMARK_{name.upper()}": value for name, value in settings.items()}
    begun = await asyncio.to_thread(run_mintmark, "init", cwd=tmp_path, **environment)
    assert begun.returncode == 0, begun.stderr
    process = await open_in_process(tmp_path, Clock(), database_url=settings["database_url"])
    yield await make_world(process)
    await process.application.close()


async def test_on_postgresql_a_batch_is_what_it_is_on_sqlite(world: World, monkeypatch: pytest.MonkeyPatch):
    # Its statements wait for a network: no part of this is about time.
    monkeypatch.setattr(joint, "HELD_S", 60)
    token = await world.token("own")
    audit = world.process.administration.store.audit
    before, _ = await audit.head()

    results = await run(
        world,
        token,
        action("POST", CLIENTS, {"client_id": "a"}),
        action("POST", CLIENTS, {"client_id": "a", "token_rules": {"alg": "EdDSA"}}),
        action("PATCH", f"{CLIENTS}/a", {"client_name": "A"}),
        action("GET", f"{CLIENTS}/a"),
        action("POST", CLIENTS, {"client_id": "b"}, Idempotency_Key="k"),
        action("POST", CLIENTS, {"client_id": "b"}, Idempotency_Key="k"),
        action("PATCH", f"{CLIENTS}/manager", {"is_disabled": True}),
        action("POST", CLIENTS, {"client_id": "c"}),
        interrupt=False,
    )

    assert statuses(results) == [201, 409, 200, 200, 201, 201, 200, 401]
    assert results[3]["body"]["client_name"] == "A"
    records = await audit.after(before, 20)
    assert [(one.kind, one.subject) for one in records if one.actor == "client:own/manager"] == [
        ("register_client", "client own/a"),
        ("change_client", "client own/a"),
        ("register_client", "client own/b"),
        ("disable_client", "client own/manager"),
    ]


async def test_on_postgresql_of_two_batches_at_once_each_action_is_done_once(world: World):
    token = await world.token("admin")
    creations = [
        action("POST", "/tenants", {"tenant_id": f"t{n}", "dialect": "oauth2", "issuer": f"https://id.example/t/t{n}"})
        for n in range(4)
    ]
    for one in creations:
        one["body"]["token_rules"] = {"alg": "ES256"}

    pair = await asyncio.gather(*(run(world, token, *creations, interrupt=False) for _ in range(2)))

    assert [sorted(both) for both in zip(*map(statuses, pair), strict=True)] == [[201, 409]] * 4
    there = await list_tenants(world.process.administration)
    assert {f"t{n}" for n in range(4)} < {one.tenant_id for one in there}
