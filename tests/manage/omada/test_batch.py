"""The batch call beyond its transcripts: same code and authorisation, bounds, order, durability, our own faults."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import Any

import msgspec
import pytest

from mintmark.admin.tenants import TenantChanges, change_tenant
from mintmark.api.omada.dispatching import Dispatcher
from mintmark.api.omada.server import read_authorization
from mintmark.protocol.errors import StoreUnavailable
from tests.life.world import open_world
from tests.manage.omada.test_privileges import CONTROLLER_CALLS, CONTROLLER_MATRIX, fill
from tests.manage.omada.world import MSP_ID, OMADAC_ID, SITE, Omada

WRITING = sorted(name for name, (method, _, _) in CONTROLLER_CALLS.items() if method != "GET")


def action(method: str, path: str, body: object = None, under: str = OMADAC_ID) -> dict[str, Any]:
    made = {"method": method, "path": f"/openapi/v1/{under}{path}"}
    return made if body is None else {**made, "body": body}


def new_site(name: str) -> dict[str, Any]:
    return action("POST", "/sites", {**SITE, "name": name})


async def batch(omada: Omada, *actions: dict[str, Any], by: str = "owner", under: str = "", **more: Any) -> Any:
    return await omada.call("POST", "/batch", {"actions": actions, **more}, by=by, under=under)


async def codes(omada: Omada, *actions: dict[str, Any], by: str = "owner", under: str = "", **more: Any) -> list[int]:
    answer = await batch(omada, *actions, by=by, under=under, **more)
    assert answer["errorCode"] == 0, answer
    return [one["errorCode"] for one in answer["result"]["response"]]


async def test_twenty_actions_are_carried_out_and_no_more(omada: Omada) -> None:
    assert await codes(omada, *(new_site(f"s{number}") for number in range(20))) == [0] * 20
    answer = await batch(omada, *(new_site(f"t{number}") for number in range(21)))
    assert answer == {"errorCode": -1001, "msg": "Invalid request parameters."}
    assert (await omada.call("GET", "/sites?page=1&pageSize=1"))["result"]["totalRows"] == 22


async def test_envelopes_stand_in_the_order_of_the_actions(omada: Omada) -> None:
    answer = await batch(omada, *(new_site(name) for name in "abc"))
    ids = [one["result"]["siteId"] for one in answer["result"]["response"]]
    shown = {
        one["siteId"]: one["name"] for one in (await omada.call("GET", "/sites?page=1&pageSize=9"))["result"]["data"]
    }
    assert [shown[one] for one in ids] == ["a", "b", "c"]


async def test_of_alike_actions_those_before_a_failing_one_are_done_and_those_behind_it_not(omada: Omada) -> None:
    sent = [new_site(name) for name in ("a", "b", "Beach", "c", "d")]
    assert await codes(omada, *sent) == [0, 0, -33101, -1619, -1619]
    sent = [new_site(name) for name in ("e", "f", "Beach", "g", "h")]
    assert await codes(omada, *sent, interrupt=False) == [0, 0, -33101, 0, 0]
    found = (await omada.call("GET", "/sites?page=1&pageSize=20"))["result"]["data"]
    assert [one["name"] for one in found] == ["Airport", "Beach", *"abefgh"]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_alike_actions_are_each_held_to_the_privilege(omada: Omada, method: str) -> None:
    body = {name: value for name, value in SITE.items() if name != "name"}
    sent = [action(method, f"/sites/{omada.sites[name]}", body) for name in ("Airport", "Beach")]
    assert await codes(omada, *sent, by="limited", interrupt=False) == [0, -1505]
    beach = (await omada.call("GET", f"/sites/{omada.sites['Beach']}"))["result"]
    assert beach["region"] == "Germany"


async def test_changes_of_one_site_are_done_in_their_order(omada: Omada) -> None:
    path, base = f"/sites/{omada.sites['Airport']}", {name: SITE[name] for name in ("region", "timeZone", "scenario")}
    sent = [
        action("PUT", path, {**base, "address": "1"}),
        action("PUT", path, {**base, "address": "2", "tagIds": ["t"]}),
    ]
    assert await codes(omada, *sent, action("PUT", path, {**base, "latitude": 1})) == [0, 0, 0]
    shown = (await omada.call("GET", path))["result"]
    assert (shown["address"], shown["tagIds"], shown["latitude"]) == ("2", ["t"], 1.0)


async def test_alike_actions_are_recorded_one_by_one(omada: Omada) -> None:
    before = (await omada.administration.store.audit.head())[0]
    await batch(omada, *(new_site(name) for name in "abc"))
    await batch(omada, *(new_site(name) for name in "dDe"), new_site("d"))
    records = [one for one in await omada.administration.store.audit.after(before, 50) if one.kind == "create_site"]
    assert len({one.subject for one in records}) == 6


async def test_an_action_sees_what_those_before_it_did(omada: Omada) -> None:
    assert await codes(omada, new_site("a"), new_site("a"), interrupt=False) == [0, -33101]


@pytest.mark.parametrize("by", CONTROLLER_MATRIX)
async def test_an_action_ends_as_the_same_call_alone(omada: Omada, by: str) -> None:
    for name in WRITING:
        if name in {"copy own site", "import", "reset secret"}:
            continue
        method, path, body = CONTROLLER_CALLS[name]
        sent = action(method, fill(omada, path), fill(omada, body))
        answer = await omada.call("POST", "/batch", {"actions": [sent]}, by=by, under=OMADAC_ID)
        if by in {"msp owner", "north owner"}:
            assert answer["errorCode"] == -7131
            continue
        alone = CONTROLLER_MATRIX[by][name]
        gone = name in {"delete own site", "delete other site", "delete application"}
        assert answer["result"]["response"][0]["errorCode"] == alone, (by, name)
        if gone and alone == 0:
            assert (await codes(omada, sent, by=by))[0] in {-1300, -52602}


async def test_a_batch_under_a_customer_is_a_plain_batch(omada: Omada) -> None:
    north, south = omada.customers["North"], omada.customers["South"]
    sent = [action("POST", "/sites", SITE, under=one) for one in (north, south, f"msp/{MSP_ID}")]
    assert await codes(omada, *sent, by="msp owner", under=north, interrupt=False) == [0, -1600, -1600]


async def test_the_token_is_judged_anew_for_each_action(omada: Omada) -> None:
    me = omada.apps["owner"].client_id
    sent = [new_site("a"), action("PATCH", f"/applications/{me}", {"roleId": "viewer_id"}), new_site("b")]
    assert await codes(omada, *sent) == [0, 0, -44113]
    assert await codes(omada, new_site("c")) == [-1007]


async def test_without_a_writer_no_batch_is_answered(omada: Omada) -> None:
    token = await omada.token("owner")
    reopened = await open_world(omada.state_dir, omada.world.clock, omada.administration)
    # What writes ends: from here on nothing reaches the disk.
    opened = reopened.administration.store._opened  # type: ignore[attr-defined]
    await opened.commit.close()
    opened.blocks.close()
    omada.world.app = reopened.app
    answer = await omada.send("POST", f"/openapi/v1/{OMADAC_ID}/batch", {"actions": [new_site("a")]}, token)
    assert (answer.status, answer.json) == (503, {"errorCode": -1, "msg": "Service unavailable."})
    answer = await omada.send("POST", f"/openapi/v1/{OMADAC_ID}/sites", SITE, token)
    assert (answer.status, answer.json) == (503, {"errorCode": -1, "msg": "Service unavailable."})
    with suppress(StoreUnavailable):
        await reopened.close()


async def test_a_fault_of_ours_is_one_actions_and_its_cause_is_not_told(omada: Omada) -> None:
    with closing(sqlite3.connect(omada.state_dir / "mintmark.db")) as other:
        other.execute("UPDATE site SET details = 'no JSON' WHERE name = 'Airport'")
        other.commit()
    broken = f"/sites/{omada.sites['Airport']}"
    assert await codes(omada, action("DELETE", broken), new_site("a"), interrupt=False) == [-1620, 0]
    token = await omada.token("owner")
    answer = await omada.send("DELETE", f"/openapi/v1/{OMADAC_ID}{broken}", token=token)
    assert (answer.status, answer.json) == (500, {"errorCode": -1, "msg": "General error."})
    assert answer.headers["x-correlation-id"]


async def test_each_action_is_recorded_as_the_callers_act(omada: Omada) -> None:
    before = (await omada.administration.store.audit.head())[0]
    await batch(omada, new_site("a"), new_site("b"))
    records = [one for one in await omada.administration.store.audit.after(before, 50) if one.kind == "create_site"]
    assert {one.actor for one in records} == {f"client:omada/{omada.apps['owner'].client_id}"}
    assert len(records) == 2
    assert len({one.correlation_id for one in records}) == 1
    assert {one.source for one in records} == {"192.0.2.7"}
    assert all(len(one.token) == 16 for one in records)


async def test_a_callers_own_correlation_id_is_taken_and_given_back(omada: Omada) -> None:
    before = (await omada.administration.store.audit.head())[0]
    token = await omada.token("owner")
    path = f"/openapi/v1/{OMADAC_ID}/sites"
    answer = await omada.send("POST", path, SITE, token, x_correlation_id="mine-1")
    assert answer.headers["x-correlation-id"] == "mine-1"
    records = await omada.administration.store.audit.after(before, 50)
    assert [one.correlation_id for one in records if one.kind == "create_site"] == ["mine-1"]
    assert (await omada.send("GET", path, x_correlation_id="not <one>")).headers["x-correlation-id"] != "not <one>"


async def test_a_path_may_be_percent_encoded_as_alone(omada: Omada) -> None:
    site = omada.sites["Airport"]
    assert await codes(omada, action("DELETE", f"/sites/%{ord(site[0]):02x}{site[1:]}")) == [0]


async def test_a_body_that_is_too_large_is_refused(omada: Omada) -> None:
    token = await omada.token("owner")
    big = {**SITE, "address": "x" * 1_100_000}
    answer = await omada.send("POST", f"/openapi/v1/{OMADAC_ID}/sites", big, token)
    assert (answer.status, answer.json["errorCode"], answer.headers["connection"]) == (413, -1001, "close")


def test_a_header_that_stands_twice_shows_no_token() -> None:
    shown = (b"authorization", b"AccessToken=AT-x")
    assert read_authorization([shown, (b"host", b"x")]) == shown[1]
    assert read_authorization([shown, shown]) is None


async def test_in_msp_mode_a_plain_path_of_the_msp_is_not_there(omada: Omada) -> None:
    await change_tenant(omada.administration, "omada", TenantChanges(is_msp=True))
    assert (await batch(omada, new_site("a")))["errorCode"] == -7131
    assert await codes(omada, new_site("a"), under=f"msp/{OMADAC_ID}") == [-1600]


@pytest.mark.parametrize(
    "body", [[], "actions", 1, {"actions": {}}, {"actions": [1]}, {"actions": [{"method": "POST"}]}]
)
async def test_what_is_no_batch_is_refused_as_a_whole(omada: Omada, body: object) -> None:
    answer = await omada.call("POST", "/batch", body)
    assert answer == {"errorCode": -1001, "msg": "Invalid request parameters."}


async def test_no_secret_or_token_is_logged_or_recorded(omada: Omada, capsys: pytest.CaptureFixture[str]) -> None:
    token = await omada.token("owner")
    made = await omada.call_with(
        token,
        "POST",
        "/batch",
        {
            "interrupt": False,
            "actions": [
                action("POST", "/applications", {"appName": "x", "roleId": "viewer_id", "allSites": True}),
                action(
                    "POST", "/sites", {**SITE, "deviceAccountSetting": {"username": "u", "password": "Dev1ce!pass"}}
                ),
                action("POST", "/sites", {"name": 1, "deviceAccountSetting": {"password": "Dev1ce!pass"}}),
            ],
        },
        under=OMADAC_ID,
    )
    secret = made["result"]["response"][0]["result"]["clientSecret"]
    records = await omada.administration.store.audit.after(0, 500)
    told = capsys.readouterr().out + "".join(repr(one) for one in records)
    assert secret not in told
    assert token not in told
    assert "Dev1ce" not in told
    site = made["result"]["response"][1]["result"]["siteId"]
    assert "deviceAccountSetting" not in (await omada.call("GET", f"/sites/{site}"))["result"]


async def test_alike_actions_end_as_they_do_one_by_one(omada: Omada, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = await carry_out_script(omada, "a")
    monkeypatch.setattr(Dispatcher, "find_many", lambda *_: None)
    assert await carry_out_script(omada, "b") == at_once


async def carry_out_script(omada: Omada, name: str) -> tuple[list[list[int]], list[tuple[str, str]]]:
    """Return the codes of batches on customers and applications, and the kinds and titles that were recorded."""
    under = f"msp/{MSP_ID}"
    before = (await omada.administration.store.audit.head())[0]

    async def make(path: str, key: str, bodies: list[dict[str, Any]]) -> tuple[list[int], list[str]]:
        sent = [action("POST", path, body, under) for body in bodies]
        answers = (await batch(omada, *sent, by="msp owner", under=under, interrupt=False))["result"]["response"]
        return [one["errorCode"] for one in answers], [one["result"][key] for one in answers if one["errorCode"] == 0]

    async def change(method: str, paths: list[str], bodies: list[Any]) -> list[int]:
        sent = [action(method, path, body, under) for path, body in zip(paths, bodies, strict=True)]
        return await codes(omada, *sent, by="msp owner", under=under, interrupt=False)

    named = [{"customerName": f"{name}{number}"} for number in (1, 2, 3, 2)]
    made, customers = await make("/customers", "customerId", named)
    new = {"roleId": "viewer_id", "allCustomers": True}
    added, apps = await make(
        "/applications", "clientId", [{**new, "appName": f"{name}{number}"} for number in range(4)]
    )
    paths, app_paths = [f"/customers/{one}" for one in customers], [f"/applications/{one}" for one in apps]
    ends = [
        made,
        added,
        await change("PATCH", paths, [{"customerName": f"{name}{n}"} for n in (4, 1, 6)]),
        await change("PATCH", paths, [{"customerName": f"{name}{n}"} for n in (7, 8, 7)]),
        await change("PATCH", paths[:1] * 2, [{"description": n} for n in "xy"]),
        await change("PATCH", app_paths, [{"appName": f"{name}{n}"} for n in "wxyz"]),
        await change("PATCH", app_paths[:2], [{"roleId": "admin_id"}, {"roleId": "none"}]),
        await change("DELETE", [*app_paths, app_paths[0]], [None] * 5),
        await change("DELETE", [paths[0], f"/customers/{omada.customers['North']}", *paths[1:], paths[0]], [None] * 5),
    ]
    records = await omada.administration.store.audit.after(before, 200)
    told = [
        (one.kind, msgspec.json.decode(one.body)) for one in records if "customer" in one.kind or "client" in one.kind
    ]
    return ends, [(kind, shown_name(body).replace(name, "#")) for kind, body in told]


def shown_name(body: dict[str, Any]) -> str:
    row = body["after"] or body["before"]
    return f"{row.get('client_name', row.get('title'))} {row['version']}"


async def test_of_alike_actions_one_on_the_caller_itself_is_the_last(omada: Omada) -> None:
    names = [omada.apps[name].client_id for name in ("viewer", "owner", "admin")]
    assert await codes(omada, *(action("DELETE", f"/applications/{one}") for one in names)) == [0, 0, -44113]
    assert await omada.administration.store.clients.find("omada", names[2]) is not None
