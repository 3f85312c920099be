"""What one process changes counts in every other at its next request, however seldom that looks for changes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from mintmark.admin.clients import ClientChanges, change_client, disable_client
from mintmark.admin.keys import revoke_key
from mintmark.admin.tenants import invalidate_tokens
from tests.life.conftest import Template, make_folder
from tests.life.jwts import read_part
from tests.life.serving import LifeServer, read_token
from tests.life.world import Caller, Clock, World, copy_state, open_world, token_request

SELDOM_S = 60
ROUNDS = 10


@pytest.fixture(scope="module")
def seldom(empty_state: Path) -> Iterator[LifeServer]:
    """A server of two workers that look for changes once a minute."""
    with (
        make_folder() as made,
        LifeServer(copy_state(empty_state, Path(made)), workers=2, refresh_interval_s=f"{SELDOM_S}") as server,
    ):
        began = time.monotonic()
        for form in ("jwt", "opaque"):
            server.add_tenant(form, form=form)
        yield server
        assert time.monotonic() - began < SELDOM_S


def rename(server: LifeServer, caller: Caller, name: str) -> None:
    changes = ClientChanges(client_name=name)
    server.administer(lambda one: change_client(one, caller.tenant, caller.client_id, changes))


@pytest.mark.parametrize("form", ["jwt", "opaque"])
def test_a_token_given_after_a_change_is_never_born_dead(seldom: LifeServer, form: str):
    workers = seldom.connect()
    caller = seldom.add_client(form)
    for number in range(ROUNDS):
        if number % 2:
            seldom.administer(lambda one: invalidate_tokens(one, form))
        else:
            rename(seldom, caller, f"{number}")
        tokens = [read_token(worker.issue(caller)) for worker in workers]
        assert [worker.is_active(caller, token) for worker in workers for token in tokens] == [True] * 4


def test_a_new_client_and_a_disabled_one_are_known_at_once(seldom: LifeServer):
    workers = seldom.connect()
    caller = seldom.add_client("jwt")
    assert [worker.issue(caller).status for worker in workers] == [200, 200]
    seldom.administer(lambda one: disable_client(one, "jwt", caller.client_id, disabled=True))
    assert [worker.issue(caller).status for worker in workers] == [401, 401]


def test_a_revoked_key_signs_nothing_more(seldom: LifeServer):
    workers = seldom.connect()
    caller: Caller = seldom.add_client("jwt")
    kid = seldom.active_kid("jwt")
    seldom.administer(lambda one: revoke_key(one, "jwt", kid))
    tokens = [read_token(worker.issue(caller)) for worker in workers]
    assert kid not in {read_part(token, 0)["kid"] for token in tokens}
    assert [worker.is_active(caller, token) for worker in workers for token in tokens] == [True] * 4


def test_a_new_tenant_is_there_at_once(seldom: LifeServer):
    seldom.add_tenant("later")
    caller = seldom.add_client("later")
    assert [worker.issue(caller).status for worker in seldom.connect()] == [200, 200]


async def open_two(folder: Path, template: Template) -> tuple[World, World]:
    """Open two processes over one deployment, of which the first makes two clients that both remember."""
    state_dir = copy_state(template.state_dir, folder)
    one, two = [await open_world(state_dir, Clock(), template.administration) for _ in range(2)]
    await one.add_tenant("t")
    return one, two


async def test_a_change_of_one_client_leaves_the_others_in_memory_and_a_new_one_leaves_all(
    folder: Path, template: Template
):
    here, there = await open_two(folder, template)
    stays, goes = [await here.add_client("t", client_id) for client_id in ("stays", "goes")]
    there.dialects["t"] = "oauth2"
    for world in (here, there):
        await world.token(stays)
        await world.token(goes)
    asked = [world.application._clients.misses for world in (here, there)]

    await disable_client(here.administration, "t", "goes", disabled=True)
    added = await here.add_client("t")
    for world in (here, there):
        assert (await world.send(token_request(goes))).status == 401
        await world.token(stays)
        await world.token(added)

    assert [world.application._clients.misses for world in (here, there)] == [count + 2 for count in asked]
    for world in (here, there):
        await world.close()


async def test_who_cannot_learn_which_clients_changed_forgets_all_and_takes_all_in_anew(
    folder: Path, template: Template
):
    here, there = await open_two(folder, template)
    caller = await here.add_client("t", "goes")
    there.dialects["t"] = "oauth2"
    await there.token(caller)
    await disable_client(here.administration, "t", "goes", disabled=True)
    with sqlite3.connect(folder / "var" / "mintmark.db") as connection:
        connection.execute("DROP TABLE client_change")

    with structlog.testing.capture_logs() as logs:
        assert (await there.send(token_request(caller))).status == 401
    assert "changed_clients_not_read" in [line["event"] for line in logs]

    with sqlite3.connect(folder / "var" / "mintmark.db") as connection:
        connection.execute("UPDATE tenant SET is_suspended = 1")
    await there.application.refresh()
    assert there.application.find_tenant("t") is None
    for world in (here, there):
        await world.close()
