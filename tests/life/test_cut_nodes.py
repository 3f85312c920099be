"""A node that cannot learn what has changed goes on for a while, then stops; when it can again it goes on by itself."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.endpoints.servers import Answer, Request, Server, exchange, run_mintmark
from tests.endpoints.systems import DEFAULT, OMADA, SYSTEMS, ask
from tests.life.namespaces import Namespace, joined_namespace
from tests.postgresql import Postgres, run_postgres

PATIENCE_S = 30.0
MAX_AGE_S = 3.0
SETTINGS = {
    "cache_max_age_s": f"{MAX_AGE_S}",
    "refresh_interval_s": "0.2",
    "refresh_timeout_s": "0.4",
    "database_connect_timeout_s": "2",
    "database_statement_timeout_s": "1",
    "database_lock_timeout_s": "1",
    "database_wait_s": "2",
    "metrics_listen": "",
    "failures_per_client": "1000000",
    "failures_per_source": "1000000",
}
NO_NAMESPACE = "NOT PROVEN HERE: no node's network can be cut, for `ip netns` needs root and is not to be had."


class CutServer(Server):
    """A server in a namespace."""

    def __init__(self, namespace: Namespace, state_dir: Path, settings: Mapping[str, str]) -> None:
        self.namespace = namespace
        super().__init__(state_dir, settings=settings)

    def _start(self) -> subprocess.Popen[str]:
        self._command = ["ip", "netns", "exec", self.namespace.name, *self._command]
        return super()._start()

    def send(self, request: Request) -> Answer:
        return exchange(self.namespace.connect(self.port), request)


class Deployed(NamedTuple):
    """A database, and what a node or a command of it needs."""

    database: Postgres
    name: str
    environment: dict[str, str]
    folder: Path

    def run(self, *words: str) -> str:
        ended = run_mintmark(*words, cwd=self.folder, **self.environment)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def settings(self, host: str = "127.0.0.1") -> dict[str, str]:
        url = self.environment["MINTMARK_DATABASE_URL"].replace("127.0.0.1", host)
        return {**SETTINGS, "database_url": url, "master_key": self.environment["MINTMARK_MASTER_KEY"]}

    def register(self, client_id: str) -> Request:
        """Register a client, and return its request of a token."""
        told = self.run("client", "create", "--tenant", "default", "--client-id", client_id, "--json")
        return ask(DEFAULT, client_id=client_id, client_secret=json.loads(told)["client_secret"])


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace | None]:
    with joined_namespace() as joined:
        yield joined


@pytest.fixture(scope="module")
def deployed(namespace: Namespace | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    addresses = "127.0.0.1" + (f",{namespace.here}" if namespace else "")
    with ExitStack() as running:
        postgres = run_postgres(fsync="off", listen_addresses=addresses)
        database = next(postgres)
        running.callback(lambda: next(postgres, None))
        if namespace:
            database.admit(namespace.network)
        folder = tmp_path_factory.mktemp("cut")
        url = database.create(is_empty=True)
        key = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
        made = Deployed(
            database,
            url.rpartition("/")[2],
            {"MINTMARK_DATABASE_URL": url, "MINTMARK_MASTER_KEY": key},
            folder,
        )
        made.run("init", "--state-dir", "init", "--no-administrator")
        yield made


@pytest.fixture(scope="module")
def node(deployed: Deployed) -> Iterator[Server]:
    (deployed.folder / "a").mkdir()
    with Server(deployed.folder / "a", settings=deployed.settings()) as running:
        yield running


@pytest.fixture
def cut_node(deployed: Deployed, node: Server, namespace: Namespace | None) -> Iterator[CutServer]:
    """One in a network of its own. The demo that it would load is there already."""
    if namespace is None:
        print(NO_NAMESPACE, file=sys.__stderr__)
        pytest.skip(NO_NAMESPACE)
    (deployed.folder / "b").mkdir()
    with CutServer(namespace, deployed.folder / "b", deployed.settings(namespace.here)) as running:
        yield running


def is_refused_for_a_while(answer: Answer) -> bool:
    return answer.status in {502, 503} and answer.header("retry-after") == "5"


def ask_until(server: Server, request: Request, status: int) -> list[tuple[float, int]]:
    """Ask until the answer has this status; return of each request when it was sent and how it was answered."""
    answers: list[tuple[float, int]] = []
    while not answers or answers[-1][1] != status:
        assert time.monotonic() - (answers[0][0] if answers else time.monotonic()) < PATIENCE_S, answers[-1]
        sent = time.monotonic()
        answers.append((sent, server.send(request).status))
        time.sleep(0.02)
    return answers


def judge_a_node_without_its_database(server: Server, away: Callable[[], None], back: Callable[[], None]) -> None:
    """The law of each way to lose the database."""
    before = server.process.pid
    assert server.send(ask(DEFAULT)).status == 200
    lost = time.monotonic()
    away()
    try:
        # A JWT needs no row; what does is refused, and not without end.
        assert server.send(ask(DEFAULT)).status == 200
        began = time.monotonic()
        assert is_refused_for_a_while(server.send(ask(OMADA)))
        assert time.monotonic() - began < PATIENCE_S / 2
        gone = time.monotonic()
        served = [sent for sent, status in ask_until(server, ask(DEFAULT), 503) if status == 200]
        assert max(served, default=0) <= gone + MAX_AGE_S
        assert lost < gone
        assert all(is_refused_for_a_while(server.send(ask(system))) for system in SYSTEMS)
        assert server.get("/oauth2/jwks").status == 503
        ready = server.get("/readyz")
        assert (ready.status, ready.json["reason"]) == (503, "out_of_date")
        assert server.get("/healthz").status == 200
    finally:
        back()
    for request in (ask(DEFAULT), ask(OMADA)):
        ask_until(server, request, 200)
    assert server.get("/readyz").status == 200
    assert (server.process.pid, server.process.poll()) == (before, None)


def test_a_node_whose_network_is_cut_stops_in_time_and_never_serves_who_was_disabled(
    deployed: Deployed, cut_node: CutServer
):
    request = deployed.register("fleeting")
    assert cut_node.send(request).status == 200
    cut_node.namespace.cut()
    assert cut_node.send(request).status == 200
    deployed.run("client", "disable", "--tenant", "default", "fleeting")
    told = time.monotonic()
    answers = ask_until(cut_node, request, 503)
    # It cannot have looked after the change: what it knows is older, and is used no longer than that age.
    assert max((sent for sent, status in answers if status == 200), default=0) <= told + MAX_AGE_S
    assert {status for _, status in answers} <= {200, 503}
    ready = cut_node.get("/readyz")
    assert (ready.status, ready.json["reason"]) == (503, "out_of_date")
    cut_node.namespace.heal()
    answers = ask_until(cut_node, request, 401)
    assert {status for _, status in answers} == {503, 401}
    assert cut_node.process.poll() is None
    judge_a_node_without_its_database(cut_node, cut_node.namespace.cut, cut_node.namespace.heal)


def test_a_node_whose_database_hangs_goes_on_for_a_while_and_again_when_it_answers(deployed: Deployed, node: Server):
    judge_a_node_without_its_database(node, deployed.database.freeze, deployed.database.thaw)


def test_a_node_whose_database_has_ended_goes_on_for_a_while_and_again_when_it_is_there(
    deployed: Deployed, node: Server
):
    judge_a_node_without_its_database(node, deployed.database.stop, deployed.database.start)


def test_a_change_of_which_no_word_comes_is_found_by_the_next_look(deployed: Deployed, node: Server):
    request = deployed.register("unheard")
    assert node.send(request).status == 200
    # As an administrator of the database would, whom no trigger helps.
    deployed.database.tell("UPDATE client SET is_disabled = true WHERE client_id = 'unheard'", deployed.name)
    deployed.database.tell("UPDATE revision SET number = number + 1", deployed.name)
    ask_until(node, request, 401)
