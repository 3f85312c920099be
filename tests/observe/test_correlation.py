"""The id by which the caller and the log speak of the same request."""

from __future__ import annotations

import json
import re

import pytest

from tests.endpoints.deployments import Deployment
from tests.endpoints.servers import Request
from tests.endpoints.systems import DEFAULT, OMADA, SYSTEMS, ask, form
from tests.observe.watching import WatchedServer

ID = "x-correlation-id"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
REFUSED = [
    *[ask(system, client_secret="wrong") for system in SYSTEMS],
    *[ask(system, grant_type="nonsense") for system in SYSTEMS],
    form({"token": "x"}, "/oauth2/introspect"),
    form({"token": "x"}, "/oauth2/revoke"),
    Request("GET", "/oauth2/check", {}),
    Request("GET", "/oauth2/authorize", {}),
    Request("POST", "/oauth2/jwks", {}),
    Request("GET", "/nothing", {}),
    Request("GET", "/openapi/nothing", {}),
    form({"x": "y" * 70_000}),
]


def with_headers(request: Request, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return request._replace(headers={**request.headers, **named})


def events(server: WatchedServer) -> list[dict[str, object]]:
    return [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def logged(full_deployment: Deployment, tmp_path_factory: pytest.TempPathFactory):
    state_dir = full_deployment.copy_to(tmp_path_factory.mktemp("logged")).state_dir
    settings = {"log_format": "json", "log_level": "debug", "log_requests": "true"}
    with WatchedServer(state_dir, settings=settings) as server:
        yield server


@pytest.mark.parametrize("request_", REFUSED, ids=lambda one: f"{one.method} {one.target}")
def test_every_refusal_has_an_id_that_its_event_in_the_log_has_too(logged: WatchedServer, request_: Request):
    told = logged.send(request_).header(ID)

    assert told is not None
    assert UUID.fullmatch(told)
    assert [event for event in events(logged) if event.get("correlation_id") == told] != []


def test_no_token_answer_has_an_id(logged: WatchedServer):
    assert [logged.send(ask(system)).header(ID) for system in SYSTEMS] == [None] * 5


@pytest.mark.parametrize("name", ["x_correlation_id", "x_request_id"])
def test_an_id_that_the_caller_brings_is_taken(logged: WatchedServer, name: str):
    given = f"shop-42_{name}.a"

    assert logged.send(with_headers(ask(OMADA, client_secret="wrong"), **{name: given})).header(ID) == given
    assert [event["reason"] for event in events(logged) if event.get("correlation_id") == given] == ["wrong_secret"]


def test_of_two_names_the_one_that_we_answer_with_counts(logged: WatchedServer):
    request = with_headers(ask(DEFAULT, client_secret="wrong"), x_request_id="one", x_correlation_id="other")

    assert logged.send(request).header(ID) == "other"


@pytest.mark.parametrize(
    "given",
    ["", "a b", "a,b", "x" * 65, "a\tb", "ä", '"', "a%0d%0ab", "{}", "${jndi}"],
    ids=range(10),
)
def test_an_id_that_is_not_well_formed_is_not_taken(logged: WatchedServer, given: str):
    request = with_headers(ask(DEFAULT, client_secret="wrong"), x_correlation_id=given)

    assert UUID.fullmatch(logged.send(request).header(ID) or "")
    assert not [event for event in events(logged) if event.get("correlation_id") == given]


def test_where_it_is_asked_for_each_token_is_a_line_of_the_log(logged: WatchedServer):
    token = logged.send(with_headers(ask(DEFAULT), x_request_id="job-7")).json["access_token"]

    [line] = [event for event in events(logged) if event.get("correlation_id") == "job-7"]
    assert {name: value for name, value in line.items() if name != "timestamp"} == {
        "event": "token_issued",
        "level": "info",
        "tenant_id": "default",
        "client_id": "demo",
        "grant_type": "client_credentials",
        "source": "127.0.0.1",
        "correlation_id": "job-7",
    }
    assert token not in logged.log


def test_else_no_token_is(watched: WatchedServer):
    watched.send(ask(DEFAULT))

    assert "token_issued" not in watched.log
