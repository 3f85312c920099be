"""Two `mintmark serve` on one PostgreSQL are one deployment: what one of them answers, the other stands by."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.endpoints.servers import Answer, Request, Server, run_mintmark
from tests.endpoints.systems import DEFAULT, OMADA, OMADAC_ID, SYSTEMS, WSO2, System, ask, basic, form, omada
from tests.postgresql import PASSWORD, Postgres, run_postgres

PATIENCE_S = 30.0
SEEN_WITHIN_S = 1.0
TOLD_BY_POLL_S = 30.0
"""So seldom do the nodes look by themselves: what is seen before was notified."""


class Nodes(NamedTuple):
    """Two nodes, the database between them, and what an administrator's command needs."""

    a: Server
    b: Server
    database: Postgres
    environment: dict[str, str]
    folder: Path

    def run(self, *words: str) -> str:
        ended = run_mintmark(*words, cwd=self.folder, **self.environment)
        assert ended.returncode == 0, ended.stderr
        assert PASSWORD not in ended.stdout + ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    """One of this module's own: it is ended and started again."""
    yield from run_postgres()


@pytest.fixture(scope="module")
def nodes(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    folder = tmp_path_factory.mktemp("nodes")
    settings = {
        "database_url": database.create(is_empty=True),
        "master_key": base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("="),
        "refresh_interval_s": str(TOLD_BY_POLL_S),
        "metrics_listen": "",
        "failures_per_client": "1000000",
        "failures_per_source": "1000000",
    }
    environment = {f"MINTMARK_{name.upper()}": value for name, value in settings.items()}
    made = run_mintmark("init", "--state-dir", "init", "--no-administrator", cwd=folder, **environment)
    assert made.returncode == 0, made.stderr
    assert PASSWORD not in made.stdout + made.stderr
    with ExitStack() as running:
        for name in ("a", "b"):
            (folder / name).mkdir()
        a = running.enter_context(Server(folder / "a", settings=settings))
        b = running.enter_context(Server(folder / "b", settings=settings))
        yield Nodes(a, b, database, environment, folder)
        assert PASSWORD not in a.log + b.log


def token_of(answer: Answer) -> str:
    body = answer.json
    token = body.get("access_token") or body["result"]["accessToken"]
    assert isinstance(token, str)
    return token


def introspect(system: System, token: str) -> Request:
    caller = basic(system.client_id, system.client_secret)
    return form({"token": token}, f"/t/{system.tenant}/oauth2/introspect", host=system.host, authorization=caller)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.dialect)
def test_a_token_of_one_node_is_alive_on_the_other(nodes: Nodes, system: System):
    for here, there in ((nodes.a, nodes.b), (nodes.b, nodes.a)):
        answer = here.send(ask(system, scope=system.scope))
        assert answer.status == 200
        looked_at = there.send(introspect(system, token_of(answer)))
        assert (looked_at.status, looked_at.json["active"]) == (200, True)


def test_parallel_requests_on_both_nodes_get_one_live_token(nodes: Nodes):
    secret = nodes_secret(nodes, "wso2", "raced")
    request = ask(WSO2, client_id="raced", client_secret=secret)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: (nodes.a, nodes.b)[number % 2].send(request), range(48)))
    assert {answer.status for answer in answers} == {200}
    assert len({token_of(answer) for answer in answers}) == 1


def test_of_parallel_refreshes_on_both_nodes_one_wins(nodes: Nodes):
    caller = {"omadacId": OMADAC_ID, "client_id": OMADA.client_id, "client_secret": OMADA.client_secret}
    for _ in range(5):
        shown = nodes.a.send(ask(OMADA)).json["result"]["refreshToken"]
        request = omada({**caller, "refresh_token": shown}, "?grant_type=refresh_token")
        with ThreadPoolExecutor(8) as pool:
            uses = [pool.submit((nodes.a, nodes.b)[number % 2].send, request) for number in range(8)]
            answers = [use.result().json for use in uses]
        won = [answer["result"] for answer in answers if answer["errorCode"] == 0]
        assert len(won) == 1
        assert nodes.b.send(introspect(OMADA, won[0]["accessToken"])).json["active"] is True


def test_a_disabled_client_is_refused_on_both_nodes_within_a_second(nodes: Nodes):
    secret = nodes_secret(nodes, "default", "fleeting")
    request = ask(DEFAULT, client_id="fleeting", client_secret=secret)
    assert [node.send(request).status for node in (nodes.a, nodes.b)] == [200, 200]
    nodes.run("client", "disable", "--tenant", "default", "fleeting")
    told = time.monotonic()
    for node in (nodes.a, nodes.b):
        while node.send(request).status == 200:
            assert time.monotonic() < told + SEEN_WITHIN_S
        assert node.send(request).status == 401


def nodes_secret(nodes: Nodes, tenant: str, client_id: str) -> str:
    """Register a client and return its secret."""
    shown = nodes.run("client", "create", "--tenant", tenant, "--client-id", client_id, "--json")
    secret = json.loads(shown)["client_secret"]
    assert isinstance(secret, str)
    return secret


def test_without_the_database_writes_are_refused_for_a_while_and_no_node_needs_a_restart(nodes: Nodes):
    before = token_of(nodes.a.send(ask(OMADA)))
    # Who has asked before is in memory.
    assert [node.send(ask(DEFAULT)).status for node in (nodes.a, nodes.b)] == [200, 200]
    nodes.database.stop()
    for node in (nodes.a, nodes.b):
        answer = node.send(ask(OMADA))
        assert (answer.status, answer.header("retry-after")) == (503, "5")
        assert answer.json["errorCode"] != 0
        # A JWT needs no row.
        assert node.send(ask(DEFAULT)).status == 200
    nodes.database.start()
    for node in (nodes.a, nodes.b):
        deadline = time.monotonic() + PATIENCE_S
        while node.send(ask(OMADA)).status != 200:
            assert time.monotonic() < deadline
        assert node.send(introspect(OMADA, before)).json["active"] is True
