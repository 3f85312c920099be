"""Creations: a key makes a repetition harmless, and a secret is shown in one answer and nowhere else."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.manage.asking import problem
from tests.manage.world import World

CLIENTS = "/tenants/own/clients"
DAY_S = 86_400


async def count(world: World) -> int:
    return len(await world.process.administration.store.clients.page("own", "", 1000))


async def test_a_repeated_creation_is_answered_again_and_done_once(world: World):
    token = await world.token("own")
    first = await world.call("POST", CLIENTS, token, {"client_name": "x"}, idempotency_key="k")
    again = await world.call("POST", CLIENTS, token, {"client_name": "x"}, idempotency_key="k")

    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert (first.header("idempotency-replayed"), again.header("idempotency-replayed")) == (None, "true")
    assert (again.header("location"), again.header("etag")) == (first.header("location"), first.header("etag"))
    assert await count(world) == 2


async def test_of_parallel_requests_with_one_key_one_creates(world: World):
    token = await world.token("own")
    calls = [world.call("POST", CLIENTS, token, {"client_name": "x"}, idempotency_key="k") for _ in range(12)]

    answers = await asyncio.gather(*calls)

    assert await count(world) == 2
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert [answer.header("idempotency-replayed") for answer in answers].count(None) == 1


async def test_a_key_stands_for_one_request_of_one_caller(world: World):
    token = await world.token("own")
    await world.call("POST", CLIENTS, token, {"client_name": "x"}, idempotency_key="k")

    other_body = await world.call("POST", CLIENTS, token, {"client_name": "y"}, idempotency_key="k")
    other_path = await world.call("POST", f"{CLIENTS}/manager/secrets", token, {"label": "x"}, idempotency_key="k")
    other_caller = await world.call(
        "POST", CLIENTS, await world.token("admin"), {"client_name": "y"}, idempotency_key="k"
    )

    assert (problem(other_body), problem(other_path)) == ((422, "key-reused"),) * 2
    assert other_caller.status == 201


async def test_a_creation_that_failed_leaves_its_key_free(world: World):
    token = await world.token("own")
    failed = await world.call("POST", CLIENTS, token, {"client_id": "manager"}, idempotency_key="k")

    done = await world.call("POST", CLIENTS, token, {"client_id": "another"}, idempotency_key="k")

    assert (failed.status, done.status) == (409, 201)


async def test_a_key_is_forgotten_after_a_day(world: World):
    token = await world.token("own")
    await world.call("POST", CLIENTS, token, {}, idempotency_key="k")
    world.process.clock.now += DAY_S

    later = await world.call("POST", CLIENTS, await world.token("own"), {}, idempotency_key="k")

    assert (later.status, await count(world)) == (201, 3)


async def test_a_replay_needs_the_permission_as_the_creation_did(world: World):
    await world.call("POST", CLIENTS, await world.token("own"), {}, idempotency_key="k")

    answer = await world.call("POST", CLIENTS, await world.token("own", "clients:read"), {}, idempotency_key="k")

    assert problem(answer) == (403, "insufficient-scope")


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "\xe9"])
async def test_a_key_is_of_printable_ascii(world: World, key: str):
    answer = await world.call("POST", CLIENTS, await world.token("own"), {}, idempotency_key=key)

    assert problem(answer) == (400, "malformed-request")


def octets_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_a_secret_is_shown_once_and_stands_nowhere(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    token = await world.token("own")
    made = await world.call("POST", CLIENTS, token, {"client_id": "a"}, idempotency_key="k")
    secrets = f"{CLIENTS}/a/secrets"
    shown = [made] + [
        await world.call("POST", secrets + path, token, {"label": path}, idempotency_key=f"secret{path}")
        for path in ("", "/rotate", "/reset")
    ]
    found = [one.json["client_secret"] for one in shown]
    read: list[Any] = [
        await world.call("GET", path, token)
        for path in (CLIENTS, f"{CLIENTS}/a", secrets, "/audit?limit=1000", "/expiring-secrets", "/tenants/own")
    ]
    lying = octets_in(tmp_path)
    printed = "".join(capsys.readouterr())

    assert len(set(found)) == 4
    for secret in found:
        assert [secret.encode() in one.body for one in shown].count(True) == 1
        assert not any(secret.encode() in one.body for one in read)
        assert secret.encode() not in lying
        assert secret not in printed
    assert token.encode() not in lying
    assert all(one.header("cache-control") == "no-store" for one in shown)


async def test_a_chosen_secret_is_not_shown_at_all(world: World):
    token = await world.token("own")
    answer = await world.call("POST", CLIENTS, token, {"client_id": "a", "client_secret": "chosen by a person"})

    assert answer.status == 201
    assert "client_secret" not in json.loads(answer.body)
