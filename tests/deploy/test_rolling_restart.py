"""Nodes restarted one after the other, behind the balancers of `deploy/`: no request fails."""

from __future__ import annotations

import base64
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.deploy.balancers import Balancer, run_haproxy, run_nginx
from tests.deploy.load import over_tls, running_load
from tests.endpoints.servers import PATIENCE_S, Server
from tests.postgresql import Postgres

DELAY_S = "3"
"""As docs/deploying.md advises, or a little less."""


@pytest.fixture(scope="module")
def nodes(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    folder = tmp_path_factory.mktemp("nodes")
    settings = {
        "database_url": postgres.create(is_empty=True),
        "master_key": base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("="),
        "trusted_proxies": "127.0.0.1",
        "shutdown_delay_s": DELAY_S,
        "metrics_listen": "",
    }
    with ExitStack() as running:
        started = [running.enter_context(Server(folder / name, settings=settings)) for name in ("a", "b")]
        yield started
        for node in started:
            node.kill()  # at the end of the test nobody waits for the delay


@pytest.fixture(scope="module")
def balancers(nodes: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Balancer]]:
    addresses = [f"127.0.0.1:{node.port}" for node in nodes]
    with ExitStack() as running:
        starts = {"haproxy": run_haproxy, "nginx": run_nginx}
        yield [
            running.enter_context(start(Path(tmp_path_factory.mktemp(name)), addresses))
            for name, start in starts.items()
        ]


def test_a_rolling_restart_fails_no_request_behind_haproxy_or_nginx(nodes: list[Server], balancers: list[Balancer]):
    with running_load() as load:
        for one in balancers:
            one.wait_for_nodes()
            for kind, keeps in (("kept", True), ("new", False)):
                load.add(f"{one.name}, {kind}", over_tls(one.port, one.certificate), keeps=keeps)
        for node in nodes:
            restart(node)
            for one in balancers:
                one.wait_for_nodes()

    lost = {name: counted for name, counted in load.outcomes.items() if set(counted) != {200}}
    assert not lost, "\n".join(one.log for one in balancers)
    assert all(counted[200] > 20 for counted in load.outcomes.values())


def restart(node: Server) -> None:
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(PATIENCE_S) == 0
    node.stop()
    node.start_again()
