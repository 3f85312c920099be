"""Probes: alive, ready, and why not."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from http.client import HTTPConnection

import pytest

from mintmark.http.probes import STUCK_AFTER_S, Probes
from mintmark.metrics.board import Board
from tests.endpoints.deployments import Deployment
from tests.endpoints.in_process import InProcess
from tests.endpoints.servers import Answer, Request, exchange
from tests.endpoints.systems import DEFAULT, OMADA, ask
from tests.observe.watching import WatchedServer

OK = (200, {"status": "ok"})


def told(answer: Answer) -> tuple[int, object]:
    return answer.status, answer.json


def unready(reason: str) -> tuple[int, object]:
    return 503, {"status": "unavailable", "reason": reason}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_server_that_works_is_alive_and_ready_on_every_listener(watched: WatchedServer, path: str):
    answers = [
        watched.watch(path),
        watched.watch(path, "HEAD")._replace(body=b'{"status":"ok"}'),
        watched.get(path),
        watched.get(path, OMADA.host),
        watched.send_over_tls(Request("GET", path, {})),
    ]

    assert [told(answer) for answer in answers] == [OK] * 5
    assert {answer.header("cache-control") for answer in answers} == {"no-store"}


def test_a_server_behind_a_proxy_is_probed_without_one(own_deployment: Deployment):
    with WatchedServer(own_deployment.state_dir, "--trusted-proxy", "10.0.0.5") as server:
        assert told(server.get("/readyz")) == OK


def test_a_database_that_cannot_be_read_makes_it_unready_and_not_dead(own_watched: WatchedServer):
    def rename(old: str, new: str) -> None:
        with sqlite3.connect(own_watched.state_dir / "mintmark.db") as connection:
            connection.execute(f"ALTER TABLE {old} RENAME TO {new}")
        connection.close()

    rename("revision", "revision_away")
    assert told(own_watched.watch("/readyz")) == unready("database_unreadable")
    assert told(own_watched.get("/readyz")) == unready("database_unreadable")
    assert told(own_watched.watch("/healthz")) == OK
    assert own_watched.scrape().of("mintmark_workers") == 2

    rename("revision_away", "revision")
    assert told(own_watched.watch("/readyz")) == OK


async def test_a_writer_that_has_ended_makes_it_unready(application: InProcess):
    before = await application.send(Request("GET", "/readyz", {}))
    await application.administration.store.close()
    after = await application.send(Request("GET", "/readyz", {}))

    assert (told(before), told(after)) == (OK, unready("writer_ended"))


async def test_tenants_that_are_not_loaded_yet_make_it_unready(application: InProcess):
    running = application.application
    running._revision, running._sign = -1, running._sign_of_change()

    assert told(await application.send(Request("GET", "/readyz", {}))) == unready("tenants_not_loaded")


def test_on_the_way_down_it_is_unready_first_and_takes_requests_still(own_deployment: Deployment):
    settings = {"shutdown_delay_s": "2", "shutdown_grace_s": "5"}
    with WatchedServer(own_deployment.state_dir, "--workers", "2", settings=settings) as server:
        kept = HTTPConnection("127.0.0.1", server.metrics_port, timeout=30)
        assert server.watch("/readyz").status == 200
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.7)

        assert told(server.watch("/readyz")) == unready("shutting_down")
        assert told(server.get("/readyz")) == unready("shutting_down")
        assert server.watch("/healthz").status == 200
        assert server.send(ask(DEFAULT)).status == 200

        assert server.process.wait(30) == 0
        kept.close()


def test_while_requests_in_hand_are_finished_the_metrics_are_there(own_deployment: Deployment):
    with WatchedServer(own_deployment.state_dir, settings={"shutdown_grace_s": "3"}) as server:
        with server.connect() as unfinished:
            unfinished.sendall(b"POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n")
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)

            assert told(server.watch("/readyz")) == unready("shutting_down")
            with pytest.raises(ConnectionRefusedError):
                server.connect()
        assert server.process.wait(30) == 0


def test_a_worker_that_hangs_does_not_take_the_metrics_with_it(own_watched: WatchedServer):
    hanging = own_watched.worker_pids()[0]
    os.kill(hanging, signal.SIGSTOP)
    try:
        for _ in range(20):
            connection = HTTPConnection("127.0.0.1", own_watched.metrics_port, timeout=5)
            assert told(exchange(connection, Request("GET", "/healthz", {}))) == OK
    finally:
        os.kill(hanging, signal.SIGCONT)


async def test_a_worker_whose_loop_has_not_turned_for_long_makes_the_server_dead(monkeypatch: pytest.MonkeyPatch):
    board = Board(3)
    probes = Probes(board, {})
    for sheet in board.sheets[:2]:
        sheet.beat()
    later = time.monotonic() + STUCK_AFTER_S + 1
    healthy = await probes.answer("/healthz")

    monkeypatch.setattr(time, "monotonic", lambda: later)
    board.sheets[0].beat()
    stuck = await probes.answer("/healthz")

    assert healthy is not None
    assert stuck is not None
    assert (healthy.status, stuck.status) == (200, 503)
    assert stuck.body == b'{"status":"unavailable","reason":"worker_stuck"}'
