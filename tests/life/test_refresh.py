"""The refresh grant of Omada: three placements, single use, theft noticed, one winner among processes.

RFC: 6749 section 6, RFC: 9700 section 4.14.2. The error codes are those of TP-Link's guide.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from mintmark.admin.clients import disable_client
from mintmark.admin.upkeep import KEEP_EXPIRED_S, purge_expired
from tests.life.serving import LifeServer, Worker
from tests.life.world import IDENTIFIERS, Caller, Sent, World, post, post_json, refresh_request, show, token_request

PATH = "/openapi/authorize/token"
EXPIRED = {
    "errorCode": -44114,
    "msg": "The refresh token has expired. Please re-initiate the authentication process to obtain the refresh token.",
}
INVALID = {"errorCode": -1001, "msg": "Invalid request parameters."}
LEEWAY_S = 2


@pytest_asyncio.fixture
async def omada(world: World) -> World:
    await world.add_tenant("omada", "omada")
    return world


@pytest_asyncio.fixture
async def caller(omada: World) -> Caller:
    return await omada.add_client("omada")


# Placements.


def token_in_query_credentials_in_body(caller: Caller, token: str) -> Sent:
    query = urlencode({"grant_type": "refresh_token", "refresh_token": token})
    return post_json(f"{PATH}?{query}", caller.fields)


def all_in_query(caller: Caller, token: str) -> Sent:
    query = urlencode({**caller.fields, "refresh_token": token, "grant_type": "refresh_token"})
    return Sent("POST", f"{PATH}?{query}", {})


def all_in_query_with_content_type(caller: Caller, token: str) -> Sent:
    return all_in_query(caller, token)._replace(headers={"content-type": "application/json"})


def all_in_body(caller: Caller, token: str) -> Sent:
    return post_json(f"{PATH}?grant_type=refresh_token", {**caller.fields, "refresh_token": token})


PLACEMENTS = [token_in_query_credentials_in_body, all_in_query, all_in_query_with_content_type, all_in_body]


@pytest.mark.rfc("6749", "6")
@pytest.mark.parametrize("place", PLACEMENTS)
async def test_a_refresh_token_is_taken_in_every_place_where_clients_put_it(
    omada: World, caller: Caller, place: Callable[[Caller, str], Sent]
):
    first = await omada.issue(caller)
    answer = await omada.send(place(caller, first["refreshToken"]))
    second = answer.json["result"]

    assert answer.status == 200
    assert list(answer.json) == ["errorCode", "msg", "result"]
    assert answer.json["errorCode"] == 0
    assert answer.json["msg"] == "Open API Get Access Token successfully."
    assert list(second) == ["accessToken", "tokenType", "expiresIn", "refreshToken"]
    assert (second["tokenType"], second["expiresIn"]) == ("bearer", 7200)
    for name, prefix in {"accessToken": "AT-", "refreshToken": "RT-"}.items():
        assert second[name] != first[name]
        assert second[name].startswith(prefix)
        assert len(second[name]) == 35
        assert await omada.is_active(caller, second[name])


@pytest.mark.rfc("6749", "3.2")
async def test_a_refresh_token_in_two_places_is_refused_and_not_spent(omada: World, caller: Caller):
    token = (await omada.issue(caller))["refreshToken"]
    query = urlencode({"grant_type": "refresh_token", "refresh_token": token})
    answer = await omada.send(post_json(f"{PATH}?{query}", {**caller.fields, "refresh_token": token}))

    assert answer.json == INVALID
    assert await omada.is_active(caller, token)


@pytest.mark.parametrize("lacking", ["refresh_token", "client_id", "client_secret"])
async def test_a_refresh_request_that_lacks_something_is_refused(omada: World, caller: Caller, lacking: str):
    token = (await omada.issue(caller))["refreshToken"]
    members = {name: value for name, value in {**caller.fields, "refresh_token": token}.items() if name != lacking}

    assert (await omada.send(post_json(f"{PATH}?grant_type=refresh_token", members))).json == INVALID
    assert await omada.is_active(caller, token)


async def test_the_access_token_that_came_before_lives_on(omada: World, caller: Caller):
    first = await omada.issue(caller)
    await omada.refresh(caller, first["refreshToken"])

    assert await omada.is_active(caller, first["accessToken"])


@pytest.mark.rfc("6749", "6")
async def test_scope_stays_what_was_granted(omada: World, caller: Caller):
    """The answer names no scope in this system; introspection shows that it has not grown."""
    first = await omada.issue(caller)
    before = await omada.introspect(caller, first["accessToken"])
    second = (await omada.refresh(caller, first["refreshToken"]))["result"]
    after = await omada.introspect(caller, second["accessToken"])

    assert {name: after.get(name) for name in ("scope", "aud", "client_id")} == {
        name: before.get(name) for name in ("scope", "aud", "client_id")
    }


# Single use.


@pytest.mark.rfc("9700", "4.14.2")
async def test_a_refresh_token_is_used_once(omada: World, caller: Caller):
    token = (await omada.issue(caller))["refreshToken"]
    second = (await omada.refresh(caller, token))["result"]

    assert await omada.refresh(caller, token) == EXPIRED
    assert not await omada.is_active(caller, token)
    assert await omada.is_active(caller, second["accessToken"])
    assert (await omada.refresh(caller, second["refreshToken"]))["errorCode"] == 0


async def test_a_second_use_within_the_leeway_harms_nobody(omada: World, caller: Caller):
    token = (await omada.issue(caller))["refreshToken"]
    second = (await omada.refresh(caller, token))["result"]
    omada.clock.now += LEEWAY_S

    assert await omada.refresh(caller, token) == EXPIRED
    assert await omada.is_active(caller, second["accessToken"])
    assert await omada.is_active(caller, second["refreshToken"])


@pytest.mark.rfc("9700", "4.14.2")
async def test_a_second_use_after_the_leeway_kills_the_whole_family(omada: World, caller: Caller):
    first, apart = await omada.issue(caller), await omada.issue(caller)
    second = (await omada.refresh(caller, first["refreshToken"]))["result"]
    third = (await omada.refresh(caller, second["refreshToken"]))["result"]
    omada.clock.now += LEEWAY_S + 1

    assert await omada.refresh(caller, first["refreshToken"]) == EXPIRED
    for name in ("accessToken", "refreshToken"):
        for issued in (first, second, third):
            assert not await omada.is_active(caller, issued[name])
        assert await omada.is_active(caller, apart[name])
    assert (await omada.refresh(caller, third["refreshToken"]))["errorCode"] == -1001


async def test_a_thiefs_second_use_needs_the_clients_secret_to_kill_the_family(omada: World, caller: Caller):
    first = await omada.issue(caller)
    second = (await omada.refresh(caller, first["refreshToken"]))["result"]
    omada.clock.now += LEEWAY_S + 1
    refused = await omada.refresh(caller._replace(client_secret="no"), first["refreshToken"])

    assert refused["errorCode"] == -44106
    assert await omada.is_active(caller, second["refreshToken"])


# Refusals.


async def test_a_bogus_refresh_token_is_an_invalid_parameter(omada: World, caller: Caller):
    assert await omada.refresh(caller, "RT-" + "0" * 32) == INVALID


async def test_an_access_token_is_no_refresh_token(omada: World, caller: Caller):
    assert await omada.refresh(caller, (await omada.issue(caller))["accessToken"]) == INVALID


@pytest.mark.rfc("6749", "6")
async def test_another_clients_refresh_token_is_refused_and_not_spent(omada: World, caller: Caller):
    token = (await omada.issue(caller))["refreshToken"]
    thief = await omada.add_client("omada")

    assert await omada.refresh(thief, token) == INVALID
    assert (await omada.refresh(caller, token))["errorCode"] == 0


@pytest.mark.parametrize(("age_s", "code"), [(1_209_599, 0), (1_209_600, -44114)])
async def test_a_refresh_token_lives_fourteen_days(omada: World, caller: Caller, age_s: int, code: int):
    token = (await omada.issue(caller))["refreshToken"]
    omada.clock.now += age_s

    assert (await omada.refresh(caller, token))["errorCode"] == code


@pytest.mark.parametrize("change", ["disabled and enabled", "secret wrong", "disabled"])
async def test_a_refresh_token_dies_with_its_clients_generation(omada: World, caller: Caller, change: str):
    token = (await omada.issue(caller))["refreshToken"]
    asking = caller._replace(client_secret="no") if change == "secret wrong" else caller
    if "disabled" in change:
        await disable_client(omada.administration, "omada", caller.client_id, disabled=True)
    if "enabled" in change:
        await disable_client(omada.administration, "omada", caller.client_id, disabled=False)
    await omada.application.refresh()
    code = (await omada.refresh(asking, token))["errorCode"]

    assert code == (-44114 if "enabled" in change else -44106)


@pytest.mark.parametrize("dialect", ["oauth2", "ciam", "wso2", "oneaccess"])
async def test_other_systems_give_and_take_no_refresh_token(world: World, dialect: str):
    await world.add_tenant("std", dialect)
    caller = await world.add_client("std")
    assert "refresh_token" not in await world.issue(caller)
    path = token_request(caller, dialect).target
    answer = await world.send(post(path, {"grant_type": "refresh_token", "refresh_token": "x", **caller.fields}))

    assert answer.status == 400


# Several controllers at one path.


@pytest.mark.parametrize("default", [None, "omada", "omada2"])
async def test_without_omadac_id_the_tenant_of_the_token_is_found(world: World, default: str | None):
    callers = {}
    for tenant in ("omada", "omada2", "omada3"):
        await world.add_tenant(tenant, "omada", default=tenant == default)
        callers[tenant] = await world.add_client(tenant)
    for tenant, caller in callers.items():
        issued = await world.issue(caller)
        for place in PLACEMENTS:
            answer = (await world.send(place(caller, issued["refreshToken"]))).json
            assert answer["errorCode"] == 0, (tenant, place, answer)
            issued = answer["result"]
        assert await world.is_active(caller, issued["accessToken"])


async def test_the_omadac_id_must_be_the_tokens_own(world: World):
    await world.add_tenant("omada", "omada")
    await world.add_tenant("omada2", "omada")
    caller = await world.add_client("omada", "same", client_secret="s" * 32)
    await world.add_client("omada2", "same", client_secret="s" * 32)
    token = (await world.issue(caller))["refreshToken"]
    members = {**caller.fields, "refresh_token": token}

    for identifier, code in ((IDENTIFIERS["omada2"], -1001), ("9" * 32, -7131), (IDENTIFIERS["omada"], 0)):
        sent = post_json(f"{PATH}?grant_type=refresh_token", {**members, "omadacId": identifier})
        assert (await world.send(sent)).json["errorCode"] == code


async def test_a_prefix_of_another_tenant_does_not_spend_the_token(world: World):
    await world.add_tenant("omada", "omada")
    await world.add_tenant("omada2", "omada")
    caller = await world.add_client("omada", "same", client_secret="s" * 32)
    await world.add_client("omada2", "same", client_secret="s" * 32)
    token = (await world.issue(caller))["refreshToken"]

    assert await world.refresh(caller._replace(tenant="omada2"), token) == INVALID
    assert (await world.refresh(caller, token))["errorCode"] == 0


@pytest.mark.parametrize("tenants", [1, 2])
async def test_a_bogus_token_is_the_same_error_with_one_controller_and_with_several(world: World, tenants: int):
    for tenant in ("omada", "omada2")[:tenants]:
        await world.add_tenant(tenant, "omada")
    caller = await world.add_client("omada")

    assert (await world.send(refresh_request(caller, "RT-bogus", tenant_prefix=False))).json == INVALID


# Showing an access token of this system.


async def test_an_expired_access_token_is_told_from_an_invalid_one(omada: World, caller: Caller):
    token = (await omada.issue(caller))["accessToken"]
    assert (await omada.send(show("omada", f"AccessToken={token}"))).status == 200
    bogus = await omada.send(show("omada", "AccessToken=AT-bogus"))
    omada.clock.now += 7200
    expired = await omada.send(show("omada", f"AccessToken={token}"))

    assert bogus.json == {"errorCode": -44113, "msg": "The Access Token is Invalid."}
    assert expired.json == {
        "errorCode": -44112,
        "msg": "The access token has expired. Please re-initiate the refreshToken process to obtain the access token.",
    }


async def test_upkeep_leaves_time_to_tell_the_expired_from_the_unknown(omada: World, caller: Caller):
    """A client refreshes on the one and gives up on the other."""
    token = (await omada.issue(caller))["accessToken"]
    codes = []
    for passed_s in (7200, KEEP_EXPIRED_S - 1, 1):
        omada.clock.now += passed_s
        await purge_expired(omada.administration)
        codes.append((await omada.send(show("omada", f"AccessToken={token}"))).json["errorCode"])

    assert codes == [-44112, -44112, -44113]


async def test_a_refresh_token_shown_as_an_access_token_is_invalid(omada: World, caller: Caller):
    token = (await omada.issue(caller))["refreshToken"]

    assert (await omada.send(show("omada", f"AccessToken={token}"))).json["errorCode"] == -44113


# Processes.


def test_of_parallel_uses_in_two_processes_one_wins_and_its_tokens_live(pair: LifeServer):
    pair.add_tenant("omada3", "omada")
    caller = pair.add_client("omada3")
    workers = [worker for _ in range(3) for worker in pair.connect()]
    assert len({worker.pid for worker in workers}) == 2
    token = workers[0].issue(caller, "omada").json["result"]["refreshToken"]
    with ThreadPoolExecutor(len(workers)) as pool:
        for _ in range(10):
            barrier = Barrier(len(workers))
            answers = list(pool.map(lambda worker, used=token, gate=barrier: use(worker, caller, used, gate), workers))
            winners = [answer["result"] for answer in answers if answer["errorCode"] == 0]
            assert len(winners) == 1, answers
            assert {answer["errorCode"] for answer in answers} <= {0, -44114}
            for worker in workers[:2]:
                assert worker.is_active(caller, winners[0]["accessToken"])
                assert worker.is_active(caller, winners[0]["refreshToken"])
                assert not worker.is_active(caller, token)
            token = winners[0]["refreshToken"]


def use(worker: Worker, caller: Caller, token: str, barrier: Barrier) -> Any:
    sent = refresh_request(caller, token)
    barrier.wait()
    return worker.send(sent).json
