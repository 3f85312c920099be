"""Both drivers against a token server on a real socket."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from mintmark.dialects.catalogue import load_dialects
from mintmark.protocol.errors import InvalidScope, ServerError, TemporarilyUnavailable
from mintmark.protocol.http import HttpResponse
from mintmark.sdk import (
    AsyncTokenAuth,
    AsyncTokenClient,
    ClientCredentialsRequest,
    InvalidClient,
    MintmarkError,
    Secret,
    SettingsError,
    TokenAuth,
    TokenClient,
    TokenEndpointUnreachable,
)
from tests.sdk.token_server import SCOPELESS, SECRET, running_server

every_dialect = pytest.mark.parametrize("name", load_dialects())


def request_for(dialect: str) -> ClientCredentialsRequest:
    scope = None if dialect in SCOPELESS else "read"
    return ClientCredentialsRequest("my-client", Secret(SECRET), scope, "x" if dialect == "omada" else None)


@every_dialect
def test_a_token_is_had_in_every_dialect(name):
    with running_server(name) as server, TokenClient(server.origin, request_for(name), dialect=name) as client:
        token = client.token()
        assert client.authorization() == ("AccessToken=token-1" if name == "omada" else "Bearer token-1")
    assert (token.access_token.reveal(), token.expires_in) == ("token-1", 3600)
    assert len(server.seen) == 1


@every_dialect
async def test_a_token_is_had_in_every_dialect_asynchronously(name):
    with running_server(name) as server:
        async with AsyncTokenClient(server.origin, request_for(name), dialect=name) as client:
            token = await client.token()
            shown = await client.authorization()
    assert token.access_token.reveal() == "token-1"
    assert shown == ("AccessToken=token-1" if name == "omada" else "Bearer token-1")
    assert len(server.seen) == 1


@every_dialect
def test_a_wrong_secret_is_sent_once_in_every_dialect(name):
    wrong = ClientCredentialsRequest("my-client", Secret("wr0ng"), None, "x" if name == "omada" else None)
    with (
        running_server(name) as server,
        TokenClient(server.origin, wrong, dialect=name) as client,
        pytest.raises(InvalidClient) as caught,
    ):
        client.token()
    assert len(server.seen) == 1
    assert "wr0ng" not in "".join(traceback.format_exception(caught.value))


def test_a_fetch_asks_each_time_and_keeps_nothing(server, request_of_a_client):
    with TokenClient(server.origin, request_of_a_client) as client:
        assert [client.fetch().access_token.reveal() for _ in range(2)] == ["token-1", "token-2"]
        assert client.token().access_token.reveal() == "token-3"


def test_an_expired_token_is_asked_for_anew(server, request_of_a_client):
    server.lifetime_s = 0
    with TokenClient(server.origin, request_of_a_client) as client:
        assert [client.token().access_token.reveal() for _ in range(2)] == ["token-1", "token-2"]


def test_parallel_threads_ask_once(server, request_of_a_client):
    server.delay_s = 0.1
    with TokenClient(server.origin, request_of_a_client) as client, ThreadPoolExecutor(20) as pool:
        shown = set(pool.map(lambda _: client.authorization(), range(20)))
    assert shown == {"Bearer token-1"}
    assert len(server.seen) == 1


async def test_parallel_tasks_ask_once(server, request_of_a_client):
    server.delay_s = 0.1
    async with AsyncTokenClient(server.origin, request_of_a_client) as client:
        shown = set(await asyncio.gather(*(client.authorization() for _ in range(20))))
    assert shown == {"Bearer token-1"}
    assert len(server.seen) == 1


def test_a_refused_scope_is_its_own_error(server, request_of_a_client):
    server.answer = server.dialect.encode_error(InvalidScope("scope_not_allowed"))
    with TokenClient(server.origin, request_of_a_client) as client, pytest.raises(InvalidScope):
        client.token()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (HttpResponse(200, (), b"<html>"), ServerError),
        (HttpResponse(502, (), b"<html>"), ServerError),
        (HttpResponse(503, (), b"<html>"), TemporarilyUnavailable),
    ],
)
def test_an_answer_in_no_form_of_the_dialect_is_an_oauth_error(server, request_of_a_client, answer, error):
    server.answer = answer
    with TokenClient(server.origin, request_of_a_client) as client, pytest.raises(error):
        client.token()


@pytest.mark.rfc("9700", "4.12")
def test_a_redirect_is_not_followed_with_the_credentials(server, request_of_a_client):
    server.answer = HttpResponse(307, ((b"location", b"/elsewhere"),), b"")
    with TokenClient(server.origin, request_of_a_client) as client, pytest.raises(ServerError):
        client.token()
    assert server.lines == ["/oauth2/token"]


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def texts_of(error: BaseException) -> str:
    """All that a log could print of an error: its texts, its traceback, and the locals of this program's frames."""
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(trace.format()) + repr(error) + repr(error.__cause__) + repr(error.__context__)


def test_nobody_listening_is_one_clear_error(request_of_a_client):
    port = closed_port()
    with (
        TokenClient(f"http://127.0.0.1:{port}", request_of_a_client) as client,
        pytest.raises(TokenEndpointUnreachable, match=f"127.0.0.1:{port}: .*refused") as caught,
    ):
        client.token()
    assert isinstance(caught.value, MintmarkError)
    assert SECRET not in texts_of(caught.value)
    assert caught.value.__context__ is None


async def test_nobody_listening_is_one_clear_error_asynchronously(request_of_a_client):
    port = closed_port()
    async with AsyncTokenClient(f"http://127.0.0.1:{port}", request_of_a_client) as client:
        with pytest.raises(TokenEndpointUnreachable, match=f"127.0.0.1:{port}"):
            await client.token()


def test_a_slow_server_is_given_up(server, request_of_a_client):
    server.delay_s = 0.5
    with (
        TokenClient(server.origin, request_of_a_client, timeout_s=0.05) as client,
        pytest.raises(TokenEndpointUnreachable, match=r"timed out|Timeout"),
    ):
        client.token()


def hang_up_on(listener: socket.socket) -> None:
    listener.accept()[0].close()


def test_a_server_that_hangs_up_is_one_clear_error(request_of_a_client):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hang_up = threading.Thread(target=hang_up_on, args=[listener])
        hang_up.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with TokenClient(url, request_of_a_client) as client, pytest.raises(TokenEndpointUnreachable):
            client.token()
        hang_up.join()


def test_a_server_that_speaks_no_tls_is_one_clear_error(server, request_of_a_client):
    url = server.origin.replace("http://", "https://")
    with TokenClient(url, request_of_a_client) as client, pytest.raises(TokenEndpointUnreachable, match="SSL"):
        client.token()


@pytest.mark.rfc("6749", "2.3.1")
def test_a_secret_is_not_sent_in_the_clear_to_another_machine(request_of_a_client):
    with pytest.raises(SettingsError, match="https"):
        TokenClient("http://id.example", request_of_a_client)
    with pytest.raises(SettingsError, match="https"):
        AsyncTokenClient("http://id.example", request_of_a_client)
    TokenClient("http://id.example", request_of_a_client, verify=False).close()


@pytest.mark.parametrize("verify", ["/nowhere/ca.pem", __file__])
def test_a_file_without_authorities_is_named(request_of_a_client, verify):
    with pytest.raises(SettingsError, match=r"verify: .*(ca\.pem|test_client\.py)"):
        TokenClient("https://id.example", request_of_a_client, verify=verify)


def test_an_unknown_dialect_is_told_the_known_ones(request_of_a_client):
    with pytest.raises(SettingsError, match="'klingon' is unknown; one of ciam, oauth2, omada, oneaccess, wso2"):
        TokenClient("https://id.example", request_of_a_client, dialect="klingon")


def test_no_log_line_and_no_repr_holds_the_secret_or_the_token(server, request_of_a_client, caplog):
    caplog.set_level(logging.DEBUG)
    with TokenClient(server.origin, request_of_a_client) as client:
        token = client.token()
    shown = caplog.text + repr([client, token, request_of_a_client])
    assert SECRET not in shown
    assert "token-1" not in shown


class Api:
    """An API behind the token: counts calls and answers with the statuses that it is given."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.shown: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.shown.append(request.headers["Authorization"])
        return httpx.Response(self.statuses.pop(0))


@pytest.mark.rfc("6750", "2.1")
def test_the_token_is_put_on_each_request_and_forgotten_when_it_is_refused(server, request_of_a_client):
    api = Api(200, 401, 200)
    with (
        TokenClient(server.origin, request_of_a_client) as client,
        httpx.Client(transport=httpx.MockTransport(api), auth=TokenAuth(client)) as http,
    ):
        statuses = [http.get("https://api.example").status_code for _ in range(3)]
    assert statuses == [200, 401, 200]
    assert api.shown == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


async def test_the_token_is_put_on_each_request_asynchronously(server, request_of_a_client):
    api = Api(200, 401, 200)
    async with (
        AsyncTokenClient(server.origin, request_of_a_client) as client,
        httpx.AsyncClient(transport=httpx.MockTransport(api), auth=AsyncTokenAuth(client)) as http,
    ):
        for _ in range(3):
            await http.get("https://api.example")
    assert api.shown == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]
