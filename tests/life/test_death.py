"""Death at once: whatever ends a client's or a tenant's tokens ends them all, in every process, whoever raced it.

RFC: 7662 section 2.2, RFC: 9700 section 2.1.2.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

import pytest

from mintmark.admin.administration import Administration
from mintmark.admin.client_secrets import reset_secret
from mintmark.admin.clients import (
    ClientChanges,
    ClientRequest,
    change_client,
    disable_client,
    register_client,
    remove_client,
)
from mintmark.admin.keys import revoke_key
from mintmark.admin.tenants import invalidate_tokens, suspend_tenant
from tests.life.jwts import read_part
from tests.life.serving import TAKEN_IN_S, LifeServer, Worker, read_token
from tests.life.world import Caller, World, inquiry, token_request

FORMS = ["jwt", "opaque"]

Verb = Callable[[Administration, Caller], Awaitable[object]]


async def disable(one: Administration, caller: Caller) -> None:
    await disable_client(one, caller.tenant, caller.client_id, disabled=True)
    await disable_client(one, caller.tenant, caller.client_id, disabled=False)


async def change_scope(one: Administration, caller: Caller) -> None:
    await change_client(one, caller.tenant, caller.client_id, ClientChanges(scope=("read",)))


async def widen_scope(one: Administration, caller: Caller) -> None:
    await change_client(one, caller.tenant, caller.client_id, ClientChanges(scope=("read", "write", "more")))


async def change_audience(one: Administration, caller: Caller) -> None:
    await change_client(one, caller.tenant, caller.client_id, ClientChanges(audience=("api9",)))


async def invalidate(one: Administration, caller: Caller) -> None:
    await invalidate_tokens(one, caller.tenant)


async def suspend_and_resume(one: Administration, caller: Caller) -> None:
    await suspend_tenant(one, caller.tenant, suspended=True)
    await suspend_tenant(one, caller.tenant, suspended=False)


VERBS = [disable, change_scope, widen_scope, change_audience, invalidate, suspend_and_resume]
DIALECTS = ["oauth2", "ciam", "wso2", "oneaccess", "omada"]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("verb", VERBS)
async def test_a_change_ends_every_earlier_token_and_no_later_one(world: World, dialect: str, verb: Verb):
    for tenant, form in (("omada2", "opaque"), ("other", "jwt")):
        if (dialect, form) == ("omada", "jwt"):
            continue
        await world.add_tenant(tenant, dialect, form=form, reuse=False)
        caller = await world.add_client(tenant)
        before = await world.token(caller)
        await verb(world.administration, caller)

        assert not await world.is_active(caller, before)
        assert await world.is_active(caller, await world.token(caller))
        assert not await world.is_active(caller, before)


@pytest.mark.parametrize("form", FORMS)
async def test_a_change_of_one_client_leaves_the_others_alone(world: World, form: str):
    await world.add_tenant("std", form=form)
    caller, other = await world.add_client("std"), await world.add_client("std")
    token = await world.token(other)
    for verb in (disable, change_scope, change_audience):
        await verb(world.administration, caller)
        await reset_secret(world.administration, "std", caller.client_id)
    await remove_client(world.administration, "std", caller.client_id)

    assert await world.is_active(other, token)


@pytest.mark.parametrize("form", FORMS)
async def test_a_change_of_one_tenant_leaves_the_others_alone(world: World, form: str):
    await world.add_tenant("std", form=form)
    await world.add_tenant("other", form=form)
    caller = await world.add_client("other")
    token = await world.token(caller)
    await invalidate_tokens(world.administration, "std")
    await suspend_tenant(world.administration, "std", suspended=True)

    assert await world.is_active(caller, token)


@pytest.mark.parametrize(
    ("dialect", "form", "dies"),
    [
        ("wso2", "opaque", True),
        ("wso2", "jwt", True),
        ("oneaccess", "opaque", False),
        ("oneaccess", "jwt", False),
        ("oauth2", "opaque", False),
        ("oauth2", "jwt", False),
        ("ciam", "jwt", False),
        ("omada", "opaque", True),
    ],
)
async def test_a_reset_secret_ends_tokens_where_the_system_does_so(world: World, dialect: str, dies: bool, form: str):
    await world.add_tenant("omada", dialect, form=form, reuse=False)
    caller = await world.add_client("omada")
    token = await world.token(caller)
    secret = await reset_secret(world.administration, "omada", caller.client_id)
    await world.application.refresh()
    renewed = caller._replace(client_secret=secret.reveal())

    assert await world.is_active(renewed, token) is not dies
    assert await world.is_active(renewed, await world.token(renewed))
    refused = await world.send(token_request(caller, dialect))
    assert refused.status == 401 or refused.json["errorCode"] == -44106


async def test_an_invalidated_tenants_refresh_tokens_are_dead_too(world: World):
    await world.add_tenant("omada", "omada")
    caller = await world.add_client("omada")
    token = (await world.issue(caller))["refreshToken"]
    await invalidate_tokens(world.administration, "omada")
    await world.application.refresh()

    assert (await world.refresh(caller, token))["errorCode"] == -44114


# Races, with real worker processes.


class Issued(NamedTuple):
    """A token, and when its answer had arrived."""

    token: str
    arrived: float


class Hammer:
    """Asks every worker for tokens, one request after another, until it is told to stop."""

    def __init__(self, workers: list[Worker], caller: Caller, dialect: str = "oauth2") -> None:
        self.issued: list[Issued] = []
        self._caller = caller
        self._dialect = dialect
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(worker,)) for worker in workers]

    def _run(self, worker: Worker) -> None:
        while not self._is_over.is_set():
            answer = worker.issue(self._caller, self._dialect)
            arrived = time.monotonic()
            if answer.status == 200 and "error" not in answer.json:
                self.issued.append(Issued(read_token(answer), arrived))

    @contextlib.contextmanager
    def at_work(self) -> Iterator[Hammer]:
        for thread in self._threads:
            thread.start()
        try:
            self._wait_for(len(self._threads) * 5)
            yield self
        finally:
            self._is_over.set()
            for thread in self._threads:
                thread.join()

    def _wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 20
        while len(self.issued) < count:
            assert time.monotonic() < deadline
            time.sleep(0.005)


def judge(workers: list[Worker], resource: Caller, issued: list[Issued]) -> list[tuple[bool, ...]]:
    return [tuple(worker.is_active(resource, one.token) for worker in workers) for one in issued]


ALL_DEAD = {(False, False)}
RACED = 60
"""So many of the tokens that came last are looked at; earlier ones died with them."""


class Race(NamedTuple):
    """What a change raced against: two workers, a client of either token form, and what was issued when."""

    workers: list[Worker]
    callers: list[Caller]
    resource: Caller
    before: list[Issued]
    during: list[Issued]

    def assert_dead(self, *issued: Issued) -> None:
        assert set(judge(self.workers, self.resource, list(issued))) == ALL_DEAD

    def assert_later_tokens_live(self) -> None:
        time.sleep(TAKEN_IN_S)
        for worker in self.workers:
            for caller in self.callers:
                token = read_token(worker.issue(caller))
                assert [one.is_active(self.resource, token) for one in self.workers] == [True, True]


def race(pair: LifeServer, tenant: str, change: Callable[[list[Caller]], object]) -> Race:
    """Issue JWTs and opaque tokens as fast as both workers can, while a change is made."""
    pair.add_tenant(tenant)
    callers = [pair.add_client(tenant, token_rules={"form": form}) for form in FORMS]
    resource = pair.add_resource(tenant, "api1", f"{pair.url}/t/{tenant}")
    workers = pair.connect()
    hammers = [Hammer(pair.connect(), caller) for caller in callers]
    with hammers[0].at_work(), hammers[1].at_work():
        started = time.monotonic()
        change(callers)
        returned = time.monotonic()
        time.sleep(0.03)
    before, during = [], []
    for hammer in hammers:
        earlier = [one for one in hammer.issued if one.arrived < started]
        assert earlier
        before += earlier[-RACED:]
        during += [one for one in hammer.issued if started <= one.arrived < returned][:RACED]
    assert {one.token.count(".") for one in before} == {0, 2}
    return Race(workers, callers, resource, before, during)


def administer_each(pair: LifeServer, callers: list[Caller], verb: Verb) -> None:
    async def run(one: Administration) -> None:
        for caller in callers:
            await verb(one, caller)

    pair.administer(run)


def test_no_token_of_the_old_scope_outlives_a_change_of_scope(pair: LifeServer):
    """Whenever it came, even from a process that had not yet heard: what says `write` is dead once the change is."""
    raced = race(pair, "race-scope", lambda callers: administer_each(pair, callers, change_scope))
    raced.assert_dead(*raced.before)
    for one in raced.during:
        told = [worker.send(inquiry(raced.resource, "introspect", one.token)).json for worker in raced.workers]
        assert all(not found["active"] or found["scope"] == "read" for found in told)
    raced.assert_later_tokens_live()


async def disable_for_good(one: Administration, caller: Caller) -> None:
    await disable_client(one, caller.tenant, caller.client_id, disabled=True)


async def enable(one: Administration, caller: Caller) -> None:
    await disable_client(one, caller.tenant, caller.client_id, disabled=False)


def test_no_token_outlives_the_suspension_of_its_client(pair: LifeServer):
    raced = race(pair, "race-disable", lambda callers: administer_each(pair, callers, disable_for_good))
    raced.assert_dead(*raced.before, *raced.during)
    administer_each(pair, raced.callers, enable)
    raced.assert_dead(*raced.before, *raced.during)
    raced.assert_later_tokens_live()


def test_no_token_outlives_the_end_of_all_tokens_of_its_tenant(pair: LifeServer):
    """By the command line, as an administrator would."""
    raced = race(pair, "race-end", lambda _: pair.cli("tenant", "invalidate-tokens", "race-end"))
    raced.assert_dead(*raced.before)
    raced.assert_later_tokens_live()


def test_no_token_outlives_its_client_though_the_id_comes_back(pair: LifeServer):
    async def register_again(one: Administration, caller: Caller) -> None:
        await remove_client(one, caller.tenant, caller.client_id)
        form = {"form": FORMS[len(again)]}
        made = await register_client(
            one, ClientRequest(tenant_id=caller.tenant, client_id=caller.client_id, token_rules=form)
        )
        again.append(caller._replace(client_secret=made.client_secret.reveal()))

    again: list[Caller] = []
    raced = race(pair, "race-again", lambda callers: administer_each(pair, callers, register_again))
    raced.assert_dead(*raced.before, *raced.during)
    raced._replace(callers=again).assert_later_tokens_live()


def test_a_suspended_and_resumed_tenant_starts_without_tokens(pair: LifeServer):
    async def suspend(one: Administration) -> None:
        await suspend_tenant(one, "race-suspend", suspended=True)

    async def resume(one: Administration) -> None:
        await suspend_tenant(one, "race-suspend", suspended=False)

    raced = race(pair, "race-suspend", lambda _: pair.administer(suspend))
    pair.administer(resume)
    time.sleep(TAKEN_IN_S)
    raced.assert_dead(*raced.before, *raced.during)
    raced.assert_later_tokens_live()


def test_no_jwt_outlives_its_key(pair: LifeServer):
    """Opaque tokens were never the key's, and live on."""
    kids: list[str] = []

    def revoke(_: list[Caller]) -> None:
        kids.append(pair.active_kid("race-key"))
        pair.administer(lambda one: revoke_key(one, "race-key", kids[0]))

    raced = race(pair, "race-key", revoke)
    jwts = [one for one in raced.before + raced.during if "." in one.token]
    of_old_key = [one for one in jwts if read_part(one.token, 0)["kid"] == kids[0]]
    assert len(of_old_key) >= len([one for one in raced.before if "." in one.token])
    raced.assert_dead(*of_old_key)
    assert set(judge(raced.workers, raced.resource, [one for one in raced.before if "." not in one.token])) == {
        (True, True)
    }
    raced.assert_later_tokens_live()


def test_a_reset_secret_of_wso2_races_with_the_handing_out_of_a_live_token(pair: LifeServer):
    """One token is handed out over and over: after the reset it is dead, and never handed out again."""
    pair.add_tenant("race-reset", "wso2")
    caller = pair.add_client("race-reset")
    resource = pair.add_resource("race-reset", caller.client_id)
    workers = pair.connect()
    with Hammer(workers, caller, "wso2").at_work() as hammer:
        secret = pair.administer(lambda one: reset_secret(one, "race-reset", caller.client_id))
        time.sleep(0.05)
    assert len({one.token for one in hammer.issued[:10]}) == 1
    old = hammer.issued[0]
    assert set(judge(workers, resource, [old])) == ALL_DEAD
    time.sleep(TAKEN_IN_S)
    renewed = caller._replace(client_secret=secret.reveal())
    tokens = {read_token(worker.issue(renewed, "wso2")) for worker in workers}
    assert len(tokens) == 1
    assert old.token not in tokens
    assert [worker.is_active(resource, *tokens) for worker in workers] == [True, True]
