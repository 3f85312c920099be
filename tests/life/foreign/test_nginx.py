"""nginx in front of an API, asking this server about every request: `auth_request`, the module that comes with it."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from mintmark.admin.clients import disable_client
from tests.deploy.balancers import find_program
from tests.life.serving import PATIENCE_S, LifeServer, find_free_port, read_token
from tests.life.world import Caller, inquiry

pytestmark = pytest.mark.foreign

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /api/ {{
            auth_request /check;
            auth_request_set $client_id $upstream_http_x_client_id;
            auth_request_set $scope $upstream_http_x_scope;
            proxy_set_header X-Client-Id $client_id;
            proxy_set_header X-Scope $scope;
            proxy_set_header Authorization "";
            proxy_pass http://127.0.0.1:{behind};
        }}
        location /omada/ {{
            auth_request /check-omada;
            proxy_pass http://127.0.0.1:{behind};
        }}
        location = /check {{
            internal;
            proxy_pass {url}/t/gate/oauth2/check?scope=read;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }}
        location = /check-omada {{
            internal;
            proxy_pass {url}/t/omada2/oauth2/check;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }}
    }}
}}
"""


class Gate(NamedTuple):
    """nginx, the server that it asks, and what reached the API behind it."""

    url: str
    server: LifeServer
    reached: list[dict[str, str]]

    def get(self, authorization: str | None, path: str = "/api/orders") -> requests.Response:
        headers = {} if authorization is None else {"Authorization": authorization}
        return requests.get(self.url + path, headers=headers, timeout=PATIENCE_S)

    def post(self, authorization: str) -> requests.Response:
        return requests.post(
            self.url + "/api/orders", data=b"x" * 2000, headers={"Authorization": authorization}, timeout=PATIENCE_S
        )


class Api(BaseHTTPRequestHandler):
    """What stands behind the gate: it notes the headers that reach it."""

    reached: list[dict[str, str]]

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.reached.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("content-length", "6")
        self.end_headers()
        self.wfile.write(b"orders")

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def gate(pair: LifeServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    nginx = find_program("nginx")
    pair.add_tenant("gate")
    pair.add_tenant("omada2", "omada")
    folder, port = tmp_path_factory.mktemp("nginx"), find_free_port()
    reached: list[dict[str, str]] = []
    api = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Api,), {"reached": reached}))
    threading.Thread(target=api.serve_forever, daemon=True).start()
    file = folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, port=port, behind=api.server_port, url=pair.url))
    with subprocess.Popen([nginx, "-p", str(folder), "-c", str(file)], stderr=subprocess.PIPE) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}", process, folder)
            yield Gate(f"http://127.0.0.1:{port}", pair, reached)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
            api.shutdown()
            api.server_close()


def wait_for(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            requests.get(url, timeout=1)
        except requests.ConnectionError:
            assert process.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


@pytest.fixture(params=["jwt", "opaque"])
def caller(request: pytest.FixtureRequest, gate: Gate) -> Caller:
    return gate.server.add_client("gate", token_rules={"form": request.param})


def issue(gate: Gate, caller: Caller, dialect: str = "oauth2", scope: str | None = None) -> str:
    return read_token(gate.server.connect()[0].issue(caller, dialect, scope))


def test_a_live_token_is_let_through_and_the_api_learns_whose_it_is(gate: Gate, caller: Caller):
    token = issue(gate, caller)
    gate.reached.clear()
    answer = gate.get(f"Bearer {token}")

    assert (answer.status_code, answer.content) == (200, b"orders")
    [headers] = gate.reached
    assert (headers["x-client-id"], headers["x-scope"]) == (caller.client_id, "read write")
    assert "authorization" not in headers


def test_a_post_with_a_body_is_let_through_as_well(gate: Gate, caller: Caller):
    assert gate.post(f"Bearer {issue(gate, caller)}").status_code == 200


@pytest.mark.parametrize("authorization", [None, "Bearer x", "Basic eDp5", "Bearer a.b.c"])
@pytest.mark.rfc("6750", "3")
def test_without_a_live_token_nothing_passes_and_the_challenge_does(gate: Gate, authorization: str | None):
    gate.reached.clear()
    answer = gate.get(authorization)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert "resource_metadata=" in answer.headers["www-authenticate"]
    assert gate.reached == []


def test_a_revoked_token_does_not_pass_again(gate: Gate, caller: Caller):
    token = issue(gate, caller)
    assert gate.get(f"Bearer {token}").status_code == 200
    gate.server.connect()[0].send(inquiry(caller, "revoke", token))

    assert [gate.get(f"Bearer {token}").status_code for _ in range(4)] == [401] * 4


def test_a_disabled_clients_token_does_not_pass(gate: Gate, caller: Caller):
    token = issue(gate, caller)
    gate.server.administer(lambda one: disable_client(one, "gate", caller.client_id, disabled=True))

    assert [gate.get(f"Bearer {token}").status_code for _ in range(4)] == [401] * 4


def test_a_token_of_too_little_scope_does_not_pass(gate: Gate, caller: Caller):
    assert gate.get(f"Bearer {issue(gate, caller, scope='write')}").status_code == 403


def test_omada_passes_by_its_own_spelling_and_its_refusals_stop(gate: Gate):
    """Its errors are HTTP 200 elsewhere; a gateway would let that in."""
    caller = gate.server.add_client("omada2")
    token = issue(gate, caller, "omada")
    gate.reached.clear()
    assert gate.get(f"AccessToken={token}", "/omada/sites").status_code == 200
    assert len(gate.reached) == 1
    for authorization in (None, "AccessToken=x", f"Bearer {token}"):
        assert gate.get(authorization, "/omada/sites").status_code == 401
    assert len(gate.reached) == 1
