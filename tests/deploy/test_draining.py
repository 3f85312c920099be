"""The end of one server: nothing that was sent to it, or connected, is lost."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest

from mintmark.http.listeners import refuse_newcomers, take_newcomers, wait_in_queue
from mintmark.http.systemd import tell_systemd
from tests.cli.running import Serving
from tests.deploy.load import Outcome, over_tls, post
from tests.endpoints.deployments import Deployment
from tests.endpoints.servers import PATIENCE_S, Answer, Server, find_free_port, receive_all
from tests.endpoints.systems import DEFAULT, ask

REQUEST = ask(DEFAULT)
OCTETS = (
    b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\n" % REQUEST.target.encode()
    + b"".join(
        b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in REQUEST.headers.items() if name != "host"
    )
    + b"content-length: %d\r\n\r\n" % len(REQUEST.body)
    + REQUEST.body
)


def ask_again(connection: HTTPConnection) -> Answer:
    connection.request(REQUEST.method, REQUEST.target, REQUEST.body, dict(REQUEST.headers))
    response = connection.getresponse()
    return Answer(response.status, tuple(response.getheaders()), response.read())


@pytest.mark.rfc("9112", "9.6")
def test_while_it_drains_requests_are_answered_and_each_answer_is_its_connections_last(own_deployment: Deployment):
    with Server(own_deployment.state_dir, settings={"shutdown_delay_s": "30"}) as server:
        kept = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
        assert ask_again(kept).header("connection") is None
        server.process.send_signal(signal.SIGTERM)
        wait_until_unready(server)
        answers = [ask_again(kept), server.send(REQUEST)]
        assert [(one.status, one.header("connection")) for one in answers] == [(200, "close")] * 2
        assert kept.sock is None, "http.client closes what the server said it would"
        server.process.kill()


def wait_until_unready(server: Server) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while server.get("/readyz").status != 503:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_requests_that_are_on_their_way_at_the_end_are_answered(own_deployment: Deployment):
    """Of one nothing has come yet, of another half a line, of the third all but an octet."""
    with Server(own_deployment.state_dir) as server, ExitStack() as opened:
        begun = {before: opened.enter_context(server.connect()) for before in (0, 10, len(OCTETS) - 1)}
        for before, connection in begun.items():
            connection.sendall(OCTETS[:before])
        time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        for before, connection in begun.items():
            connection.sendall(OCTETS[before:])
        for connection in begun.values():
            answer = receive_all(connection)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"\r\nconnection: close\r\n" in answer


def test_over_tls_callers_on_kept_connections_lose_nothing_at_the_end(own_deployment: Deployment):
    """They ask without a pause, before the end and through it, until no new connection is taken."""
    with Server(own_deployment.state_dir, "--workers", "2", settings={"shutdown_delay_s": "0.5"}) as server:
        connect = over_tls(server.tls_port, server.state_dir / "localhost.crt")
        with ThreadPoolExecutor(4) as callers:
            asking = [callers.submit(ask_until_refused, connect()) for _ in range(4)]
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            outcomes = [one.result(PATIENCE_S) for one in asking]
        assert server.process.wait(PATIENCE_S) == 0
    assert [set(one) for one in outcomes] == [{200}] * 4
    assert any(one[200] > 1 for one in outcomes)


def ask_until_refused(connection: HTTPConnection) -> Counter[Outcome]:
    """Return what became of the requests, without the last one, for which there was no connection."""
    counted = Counter[Outcome]()
    while "ConnectionRefusedError" not in str(outcome := post(connection)):
        counted[outcome] += 1
    return counted


def test_over_tls_requests_that_are_on_their_way_at_the_end_are_answered(own_deployment: Deployment):
    """Of one the handshake has not begun, of another no octet has come, of the third all but one."""
    with Server(own_deployment.state_dir) as server, ExitStack() as opened:
        context = ssl.create_default_context(cafile=server.state_dir / "localhost.crt")
        bare = [
            opened.enter_context(socket.create_connection(("127.0.0.1", server.tls_port), PATIENCE_S)) for _ in range(3)
        ]
        secured = {
            before: opened.enter_context(context.wrap_socket(one, server_hostname="localhost"))
            for before, one in zip((0, len(OCTETS) - 1), bare[1:], strict=True)
        }
        for before, connection in secured.items():
            connection.sendall(OCTETS[:before])
        time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        for before, connection in secured.items():
            connection.sendall(OCTETS[before:])
        late = opened.enter_context(context.wrap_socket(bare[0], server_hostname="localhost"))
        late.sendall(OCTETS)
        for connection in (*secured.values(), late):
            assert receive_all(connection).startswith(b"HTTP/1.1 200 ")


def test_connections_on_which_nothing_comes_do_not_delay_the_end(own_deployment: Deployment):
    with Server(own_deployment.state_dir, settings={"shutdown_grace_s": "60"}) as server:
        kept = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
        assert ask_again(kept).status == 200
        with server.connect():
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(PATIENCE_S) == 0
        kept.close()


def test_connections_that_wait_to_be_accepted_at_the_end_are_answered(own_deployment: Deployment):
    with Server(own_deployment.state_dir) as server:
        assert server.send(REQUEST).status == 200
        server.process.send_signal(signal.SIGSTOP)
        waiting = [server.connect() for _ in range(50)]
        for one in waiting:
            one.sendall(OCTETS)
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        assert [receive_all(one)[:12] for one in waiting] == [b"HTTP/1.1 200"] * 50
        for one in waiting:
            one.close()
        assert server.process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_socket_that_refuses_newcomers_queues_none_of_them_and_can_take_them_again(family: int, host: str):
    if not can_bind(family, host):
        pytest.skip("no IPv6 here")
    with (
        socket.create_server((host, 0), family=family) as listening,
        socket.socket(family) as before,
        socket.socket(family) as after,
    ):
        before.connect(listening.getsockname())
        refuse_newcomers(listening)
        after.settimeout(0.2)
        with pytest.raises(TimeoutError):
            after.connect(listening.getsockname())
        listening.accept()[0].close()
        assert not wait_in_queue([listening])
        take_newcomers(listening)
        socket.create_connection(listening.getsockname()[:2], PATIENCE_S).close()
        assert wait_in_queue([listening])


def can_bind(family: int, host: str) -> bool:
    try:
        with socket.socket(family) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def test_a_worker_that_has_ended_keeps_no_connection_waiting_while_another_finishes(own_deployment: Deployment):
    """Its socket is gone with it, though other processes were born with a copy."""
    settings = {"shutdown_grace_s": "20"}
    with (
        Server(own_deployment.state_dir, "--workers", "2", settings=settings) as server,
        server.connect() as unfinished,
    ):
        unfinished.sendall(OCTETS[:-1])
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        wait_until_refused(server)
        for _ in range(20):
            with pytest.raises(ConnectionRefusedError):
                server.connect()
        unfinished.sendall(OCTETS[-1:])
        assert receive_all(unfinished).startswith(b"HTTP/1.1 200 ")


def wait_until_refused(server: Server) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            server.connect().close()
        except ConnectionRefusedError:
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_worker_that_was_stopped_alone_leaves_a_socket_that_takes_connections(own_deployment: Deployment):
    with Server(own_deployment.state_dir, "--workers", "2") as server:
        first = wait_for_workers(server)
        os.kill(first[0], signal.SIGTERM)
        wait_for_workers(server, other_than=first)
        assert [server.send(REQUEST).status for _ in range(30)] == [200] * 30


def wait_for_workers(server: Server, other_than: list[int] | None = None) -> list[int]:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = [int(pid) for pid in children.read_text().split()]
        if len(found) == 2 and found != other_than:
            return found
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_systemds_socket_may_have_an_abstract_name(monkeypatch: pytest.MonkeyPatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0mintmark-{os.getpid()}")
        systemd.settimeout(PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@mintmark-{os.getpid()}")
        tell_systemd("READY=1")
        assert systemd.recv(100) == b"READY=1"


def test_systemd_is_told_of_readiness_and_of_the_end_once(own_deployment: Deployment, tmp_path: Path):
    """By the parent. A server of one process is started as systemd does it in `test_packaging`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE_S)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        url = f"http://127.0.0.1:{find_free_port()}"
        with Serving("--listen", url, "--workers", "2", cwd=own_deployment.state_dir.parent, env=environment) as one:
            assert systemd.recv(100) == b"READY=1"
            one.process.send_signal(signal.SIGTERM)
            assert systemd.recv(100) == b"STOPPING=1"
            assert one.wait() == 0
        systemd.settimeout(0)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
