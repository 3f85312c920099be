"""Many requests in one: in order, each authorised by itself, with the answers that each would have had alone."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mintmark.api import batch, joint
from mintmark.api.operation import PREFIX
from tests.endpoints.servers import Answer
from tests.manage.world import World

CLIENTS = "/tenants/own/clients"


def action(method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
    made: dict[str, Any] = {"method": method, "path": PREFIX + path}
    if body is not None:
        made["body"] = body
    return made | ({"headers": {name.replace("_", "-"): value for name, value in headers.items()}} if headers else {})


async def run(world: World, token: str, *actions: dict[str, Any], interrupt: bool | None = None) -> list[Any]:
    body: dict[str, Any] = {"actions": actions}
    if interrupt is not None:
        body["interrupt"] = interrupt
    answer = await world.call("POST", "/batch", token, body)
    assert answer.status == 200, answer.body
    results: list[Any] = answer.json["results"]
    assert len(results) == len(actions)
    return results


def statuses(results: list[Any]) -> list[int]:
    return [one["status"] for one in results]


async def test_an_action_is_answered_as_it_would_be_alone(world: World):
    token = await world.token("own")
    await world.call("POST", CLIENTS, token, {"client_id": "a"})
    for method, path, body in (
        ("GET", "/tenants/own", None),
        ("GET", f"{CLIENTS}?limit=1", None),
        ("GET", f"{CLIENTS}/nobody", None),
        ("GET", "/tenants/foreign", None),
        ("GET", f"{CLIENTS}?limit=0", None),
        ("PATCH", f"{CLIENTS}/a", {"clientname": "x"}),
        ("PUT", f"{CLIENTS}/a", {}),
    ):
        alone = await world.call(method, path, token, body, x_correlation_id="same")
        together = await world.call(
            "POST", "/batch", token, {"actions": [action(method, path, body)]}, x_correlation_id="same"
        )
        result = together.json["results"][0]
        assert (result["status"], result["body"]) == (alone.status, alone.json)
        for name in ("etag", "link", "cache-control", "content-type"):
            assert result["headers"].get(name) == alone.header(name)


async def test_what_an_action_made_the_next_one_finds(world: World):
    results = await run(
        world,
        await world.token("admin"),
        action("POST", "/tenants", {"tenant_id": "new", "dialect": "oauth2", "issuer": "https://id.example/t/new"}),
        action("POST", "/tenants/new/clients", {"client_id": "a"}),
        action("PATCH", "/tenants/new/clients/a", {"client_name": "A"}, If_Match='"1"'),
        action("GET", "/tenants/new/clients/a"),
        action("DELETE", "/tenants/new"),
    )

    assert statuses(results) == [201, 201, 200, 200, 204]
    assert results[3]["body"]["client_name"] == "A"
    assert "body" not in results[4]


async def test_a_customer_made_in_a_batch_is_within_its_msps_reach_in_the_next_action(world: World):
    customer = {"tenant_id": "new", "dialect": "oauth2", "issuer": "https://id.example/t/new", "msp_id": "hub"}

    results = await run(
        world, await world.token("hub"), action("POST", "/tenants", customer), action("GET", "/tenants/new")
    )

    assert statuses(results) == [201, 200]


@pytest.mark.parametrize("interrupt", [None, True, False])
async def test_the_first_failure_ends_a_batch_unless_it_is_not_to(world: World, interrupt: bool | None):
    token = await world.token("own")
    actions = [action("POST", CLIENTS, {"client_id": name}) for name in ("a", "a", "b")]

    results = await run(world, token, *actions, interrupt=interrupt)
    there = {one["client_id"] for one in (await world.call("GET", CLIENTS, token)).json["items"]}

    assert statuses(results) == ([201, 409, 201] if interrupt is False else [201, 409, 424])
    assert there == ({"a", "b", "manager"} if interrupt is False else {"a", "manager"})


async def test_many_creations_at_once_are_as_many_one_by_one(world: World):
    token = await world.token("own")
    creations = [action("POST", CLIENTS, {"client_id": f"c{number}"}) for number in range(20)]

    results = await run(world, token, *creations)
    refused = await run(world, token, *creations[:2], action("POST", CLIENTS, {"scope": ['"']}), interrupt=False)
    records = (await world.call("GET", "/audit?kind=register_client&limit=100", token)).json["items"]

    assert [one["body"]["client_id"] for one in results] == [f"c{number}" for number in range(20)]
    assert len({one["body"]["client_secret"] for one in results}) == 20
    assert statuses(refused) == [409, 409, 422]
    assert [one["subject"] for one in records[:20]] == [f"client own/c{number}" for number in reversed(range(20))]
    assert {one["actor"] for one in records[:20]} == {"client:own/manager"}


async def test_each_action_needs_its_own_permission_and_reach(world: World):
    results = await run(
        world,
        await world.token("own", "clients:read"),
        action("GET", CLIENTS),
        action("POST", CLIENTS, {}),
        action("GET", "/tenants/foreign/clients"),
        action("GET", "/tenants/own"),
        interrupt=False,
    )

    assert statuses(results) == [200, 403, 404, 403]
    assert 'scope="clients:write"' in results[1]["headers"]["www-authenticate"]


@pytest.mark.parametrize(
    "ending",
    [
        action("PATCH", f"{CLIENTS}/manager", {"is_disabled": True}),
        action("DELETE", f"{CLIENTS}/manager"),
        action("PATCH", "/tenants/own", {"is_suspended": True}),
        action("POST", "/tenants/own/tokens/revoke-all"),
        action("POST", "/tenants/own/keys/{kid}/revoke"),
        action("POST", "/tenants/own/tokens/revoke", {"token": "its own"}),
    ],
    ids=["disabled", "removed", "suspended", "revoked with all", "its key revoked", "revoked"],
)
async def test_a_batch_that_ends_its_callers_token_goes_no_further(world: World, ending: dict[str, Any]):
    token = await world.token("own")
    keys = await world.process.administration.store.keys.list("own")
    ending = {**ending, "path": ending["path"].format(kid=keys[0].kid)}
    if "token" in ending.get("body", {}):
        ending = {**ending, "body": {"token": token}}

    results = await run(world, token, ending, action("GET", CLIENTS), action("GET", "/tenants"), interrupt=False)

    assert results[0]["status"] < 300
    assert statuses(results)[1:] == [401, 401]


async def test_a_batch_holds_no_batch(world: World):
    results = await run(world, await world.token("own"), action("POST", "/batch", {"actions": []}))

    assert (statuses(results), results[0]["body"]["detail"]) == ([422], "A batch holds no batch.")


@pytest.mark.parametrize(
    "path", ["/tenants", "/api/v2/tenants", "/oauth2/token", "/api/v1", "/api/v1/docs", "/api/v1x/tenants"]
)
async def test_a_batch_reaches_nothing_but_the_operations(world: World, path: str):
    token = await world.token("own")

    answer = await world.call("POST", "/batch", token, {"actions": [{"method": "GET", "path": path}]})

    assert statuses(answer.json["results"]) == [404]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"actions": []},
        {"actions": [action("GET", "/tenants")] * 21},
        {"actions": [action("OPTIONS", "/tenants")]},
        {"actions": [action("GET", "/tenants", Authorization="Bearer x")]},
        {"actions": [{"method": "GET"}]},
        {"actions": [{**action("GET", "/tenants"), "query": "x"}]},
        {"actions": [action("GET", "/tenants")], "interupt": False},
    ],
)
async def test_a_batch_that_is_no_batch_does_nothing(world: World, body: Any):
    answer: Answer = await world.call("POST", "/batch", await world.token("own"), body)

    assert answer.status == 422


async def test_conditions_and_keys_count_for_their_action(world: World):
    token = await world.token("own")
    made = action("POST", CLIENTS, {"client_id": "a"}, Idempotency_Key="k")

    results = await run(
        world,
        token,
        made,
        made,
        action("PATCH", f"{CLIENTS}/a", {"client_name": "x"}, If_Match='"7"'),
        action("GET", f"{CLIENTS}/a", If_None_Match='"1"'),
        interrupt=False,
    )

    assert statuses(results) == [201, 201, 412, 304]
    assert results[0]["body"] == results[1]["body"]
    assert results[1]["headers"]["idempotency-replayed"] == "true"


async def test_a_failed_action_leaves_nothing_at_all_and_those_before_it_stay(world: World):
    token = await world.token("own")
    signed_otherwise = {"client_id": "a", "token_rules": {"alg": "EdDSA"}}
    await world.call("POST", CLIENTS, token, {"client_id": "a"})

    # Its key is made before it turns out that the id is taken.
    actions = (action("POST", CLIENTS, {"client_id": "b"}), action("POST", CLIENTS, signed_otherwise))
    results = await run(world, token, *actions)
    records = (await world.call("GET", "/audit?limit=2", token)).json["items"]
    keys = (await world.call("GET", "/tenants/own/keys", token)).json["items"]

    assert statuses(results) == [201, 409]
    assert [one["subject"] for one in records] == ["client own/b", "client own/a"]
    assert [one["alg"] for one in keys] == ["ES256"]


async def test_every_action_raises_the_revision_as_it_does_alone(world: World):
    token, deployment = await world.token("own"), world.process.administration.store.deployment
    await world.call("POST", CLIENTS, token, {"client_id": "a"})
    before, of_issuers = await deployment.revisions()

    await run(world, token, *(action("PATCH", f"{CLIENTS}/a", {"client_name": name}) for name in "xyz"))
    await run(world, token, action("PATCH", "/tenants/own", {"title": "Own"}))

    assert await deployment.revisions() == (before + 4, before + 4)
    assert before + 4 > of_issuers


async def test_a_batch_that_cannot_be_committed_has_done_nothing(world: World, tmp_path: Path):
    token = await world.token("own")
    database = find_database(tmp_path)
    with closing(sqlite3.connect(database)) as other:
        other.executescript(
            "CREATE TABLE gone (id INTEGER PRIMARY KEY);"
            "CREATE TABLE held (id INTEGER REFERENCES gone DEFERRABLE INITIALLY DEFERRED);"
            "CREATE TRIGGER hold AFTER INSERT ON client BEGIN INSERT INTO held VALUES (1); END;"
        )
    results = await run(world, token, *(action("POST", CLIENTS, {"client_id": name}) for name in "ab"))
    with closing(sqlite3.connect(database)) as other:
        other.execute("DROP TRIGGER hold")
    there = (await world.call("GET", CLIENTS, token)).json["items"]
    again = await run(world, token, action("POST", CLIENTS, {"client_id": "a"}))

    assert statuses(results) == [500, 500]
    assert [one["client_id"] for one in there] == ["manager"]
    assert statuses(again) == [201]


def find_database(folder: Path) -> Path:
    return next(folder.rglob("mintmark.db"))


async def test_a_batch_whose_caller_goes_away_has_done_nothing(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(joint, "RESTS_S", 0)
    token = await world.token("own")
    creations = [action("POST", CLIENTS, {"client_id": f"c{number}"}) for number in range(20)]
    asking = asyncio.create_task(world.call("POST", "/batch", token, {"actions": creations}))
    blocks = world.process.administration.store._opened.blocks  # type: ignore[attr-defined]
    for _ in range(1000):
        await asyncio.sleep(0)
        if blocks._in_hand.locked():
            break
    asking.cancel()
    await asyncio.wait([asking])

    assert asking.cancelled()
    assert len((await world.call("GET", CLIENTS, token)).json["items"]) == 1
    assert statuses(await run(world, token, *creations)) == [201] * 20


async def test_of_two_batches_at_once_each_action_is_done_once(world: World):
    token = await world.token("own")
    creations = [action("POST", CLIENTS, {"client_id": f"c{number}"}) for number in range(10)]

    pair = await asyncio.gather(*(run(world, token, *creations, interrupt=False) for _ in range(2)))

    assert [sorted(both) for both in zip(*map(statuses, pair), strict=True)] == [[201, 409]] * 10


async def test_what_takes_long_is_done_in_its_place_by_itself(world: World):
    token = await world.token("own")
    chosen = {"client_id": "b", "client_secret": "chosen by a person"}
    results = await run(
        world,
        token,
        action("POST", CLIENTS, {"client_id": "a"}),
        action("POST", CLIENTS, chosen),
        action("POST", CLIENTS, {"client_id": "b"}),
        action("POST", "/tenants/own/keys", {"alg": "RS256"}),
        action("POST", CLIENTS, {"client_id": "c"}),
        interrupt=False,
    )
    records = (await world.call("GET", "/audit?limit=4&kind=register_client", token)).json["items"]

    assert statuses(results) == [201, 201, 409, 201, 201]
    assert [one["subject"] for one in records][:3] == [f"client own/{name}" for name in "cba"]


async def test_a_token_is_looked_up_as_it_is_after_the_actions_before(world: World):
    own, other = await world.token("own"), await world.token("spoke")
    looking = action("POST", "/tenants/spoke/tokens/lookup", {"token": other})

    results = await run(
        world, await world.token("hub"), looking, action("POST", "/tenants/spoke/tokens/revoke-all"), looking
    )

    assert [one.get("body", {}).get("active") for one in results] == [True, None, False]
    assert statuses(await run(world, own, action("GET", "/tenants/own"))) == [200]


async def test_a_batch_that_holds_others_up_for_too_long_goes_on_in_another_transaction(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(joint, "HELD_S", 0)
    token = await world.token("own")
    own_end = action("PATCH", f"{CLIENTS}/manager", {"is_disabled": True})

    results = await run(
        world,
        token,
        action("POST", CLIENTS, {"client_id": "a"}),
        action("POST", CLIENTS, {"client_id": "a"}),
        own_end,
        action("POST", CLIENTS, {"client_id": "b"}),
        interrupt=False,
    )

    assert statuses(results) == [201, 409, 200, 401]


async def test_a_batch_that_reads_alone_waits_for_no_writer(world: World):
    token = await world.token("own")

    async with world.process.administration.store.together():
        assert statuses(await run(world, token, action("GET", "/tenants/own"), action("GET", CLIENTS))) == [200, 200]


async def test_alike_actions_end_as_they_do_one_by_one(world: World, monkeypatch: pytest.MonkeyPatch):
    token = await world.token("admin")
    at_once = await carry_out_script(world, token, "a")
    monkeypatch.setattr(batch, "is_alike", lambda *_: False)
    one_by_one = await carry_out_script(world, token, "b")

    assert at_once == one_by_one
    assert {int(status) for status, _ in at_once[0]} == {200, 201, 204, 404, 409, 412, 422}


def write_script(name: str) -> list[list[dict[str, Any]]]:
    """Batches of neighbours that are alike, with failures among them, on clients and tenants that are named so."""
    clients, tenants = [f"/tenants/{name}0/clients/{n}" for n in "xyz"], [f"/tenants/{name}{n}" for n in range(3)]

    def make(number: int, **more: Any) -> dict[str, Any]:
        members = {
            "tenant_id": f"{name}{number}",
            "dialect": "oauth2",
            "issuer": f"https://id.example/t/{name}{number}",
        }
        return action("POST", "/tenants", {**members, "token_rules": {"alg": "ES256"}, **more})

    return [
        [make(0), make(1), make(2), make(1), make(3, issuer=f"https://id.example/t/{name}0"), make(4, dialect="none")],
        [make(5), make(6, issuer=f"https://id.example/t/{name}5"), make(7, msp_id="hub"), make(8, is_msp=True)],
        [action("POST", f"/tenants/{name}0/clients", {"client_id": n}) for n in "xyz"],
        [action("PATCH", path, {"client_name": path}) for path in clients],
        [action("PATCH", path, {"scope": ["read"]}) for path in (clients[0], f"{clients[0]}-none", clients[1])],
        [action("PATCH", clients[0], {"client_name": n}) for n in "12"],
        [action("PATCH", path, {"is_disabled": True}) for path in clients],
        [action("PATCH", clients[0], {"client_name": n}, If_Match='"1"') for n in "12"],
        [action("DELETE", path) for path in (clients[0], clients[1], clients[0])],
        [action("PATCH", path, {"title": path}) for path in tenants],
        [action("PATCH", path, {"is_suspended": True}) for path in (*tenants, f"{tenants[0]}-none")],
        [action("PATCH", path, {"issuer": f"https://id.example/t/{name}9"}) for path in tenants],
        [action("DELETE", path) for path in (tenants[1], tenants[2], tenants[1], "/tenants/hub")],
        [action("DELETE", f"/tenants/{name}{number}") for number in (0, 5, 7, 8)],
    ]


async def carry_out_script(world: World, token: str, name: str) -> tuple[list[Any], list[Any]]:
    """Return what each action was answered and what was recorded, with `#` for the name and no moment or secret."""
    audit = world.process.administration.store.audit
    before, _ = await audit.head()
    results = [result for one in write_script(name) for result in await run(world, token, *one, interrupt=False)]
    records = await audit.after(before, 200)
    assert [one.previous for one in records[1:]] == [one.hash for one in records[:-1]]
    bodies = [(one["status"], one["headers"].get("etag"), one.get("body")) for one in results]
    shown = [(one.kind, one.actor, one.tenant_id, one.subject, one.body) for one in records if one.kind not in LOOKS]
    return [plain(name, one[0], one[1:]) for one in bodies], [plain(name, one[0], one[1:]) for one in shown]


LOOKS = {"tokens_issued"}


def plain(name: str, key: object, value: object) -> tuple[str, str]:
    text = re.sub(
        r'"(?:generation|hash|secret_id|client_secret|correlation_id|kid)\\*": *\\*"?[^,}]*', "", json.dumps(value)
    )
    return str(key), re.sub(rf"\b{name}(?=\d)", "#", text)


@pytest.mark.parametrize(
    "own",
    [action("PATCH", f"{CLIENTS}/manager", {"client_name": "x", "scope": []}), action("DELETE", f"{CLIENTS}/manager")],
)
async def test_of_alike_actions_one_that_ends_the_callers_token_is_the_last(world: World, own: dict[str, Any]):
    token = await world.token("own")
    await run(world, token, *(action("POST", CLIENTS, {"client_id": name}) for name in "ab"))
    first, last = ({**own, "path": own["path"].replace("manager", name)} for name in "ab")

    results = await run(world, token, first, own, last, interrupt=False)
    there = await world.process.administration.store.clients.find("own", "b")

    assert [status < 300 for status in statuses(results)] == [True, True, False]
    assert there is not None
    assert there.version == 1


async def test_actions_in_different_tenants_are_not_alike(world: World):
    token, paths = await world.token("admin"), [f"/tenants/{one}/clients" for one in ("own", "foreign")]
    await run(world, token, *(action("POST", path, {"client_id": name}) for path in paths for name in "xy"))

    results = await run(
        world,
        token,
        *(action("PATCH", f"{path}/{name}", {"client_name": path}) for path, name in zip(paths, "xy", strict=True)),
    )

    assert [(one["body"]["tenant_id"], one["body"]["client_id"]) for one in results] == [("own", "x"), ("foreign", "y")]
    assert (await world.call("GET", f"{paths[0]}/y", token)).json["client_name"] == ""


@pytest.mark.parametrize(("path", "member"), [(f"{CLIENTS}/c#", "client_name"), ("/tenants/t#", "title")])
async def test_neighbours_that_are_alike_are_written_with_few_statements(world: World, path: str, member: str):
    token, tenant = await world.token("admin"), {"dialect": "oauth2", "token_rules": {"alg": "ES256"}}
    await run(world, token, *(action("POST", CLIENTS, {"client_id": f"c{n}"}) for n in range(20)))
    named = ({"tenant_id": f"t{n}", "issuer": f"https://id.example/t/t{n}", **tenant} for n in range(20))
    await run(world, token, *(action("POST", "/tenants", members) for members in named))
    said: list[str] = []
    # The connection that is kept for the next batch.
    kept: Any = world.process.administration.store._opened.blocks._kept  # type: ignore[attr-defined]
    kept._connection.connection.driver_connection.set_trace_callback(said.append)

    results = await run(world, token, *(action("PATCH", path.replace("#", str(n)), {member: "x"}) for n in range(20)))

    assert statuses(results) == [200] * 20
    # Of each: what it is, what else it stands on, what it is when it is written, the change and its record.
    assert len(said) < 20 * 6
