"""Traces, as a collector receives them from a running server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mintmark.endpoints.token import TokenEndpoint
from mintmark.observation import EXTRA
from tests.endpoints.deployments import Deployment
from tests.endpoints.in_process import InProcess
from tests.endpoints.servers import Request, Server, clean_environment, find_free_port
from tests.endpoints.systems import DEFAULT, OMADA, SYSTEMS, WSO2, ask, basic, form
from tests.observe.collector import Collector
from tests.observe.watching import PATIENT
from tests.security.test_redaction import WRONG, break_store, found_in, tokens_in

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
ALL = {"trace_sample_ratio": "1", "metrics_listen": ""}
STEPS = {"decode", "authenticate", "authorize", "mint", "store", "encode"}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    # OpenTelemetry's own variable; by default spans wait five seconds.
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    with Collector() as running:
        yield running


@pytest.fixture
def traced(own_deployment: Deployment, collector: Collector) -> Iterator[Server]:
    settings = PATIENT | ALL | {"otlp_endpoint": collector.url}
    with Server(own_deployment.state_dir, "--workers", "2", settings=settings) as server:
        yield server


def with_headers(request: Request, **headers: str) -> Request:
    return request._replace(headers={**request.headers, **headers})


def test_a_token_request_is_a_span_with_a_child_for_each_step(traced: Server, collector: Collector):
    traced.send(ask(OMADA))

    [span] = collector.wait_for("token request")
    children = collector.children(span)

    assert span.parent_id == ""
    assert {child.name for child in children} == STEPS
    assert span.seconds >= max(child.seconds for child in children)
    assert span.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": "200",
        "mintmark.dialect": "omada",
        "mintmark.grant_type": "client_credentials",
        "mintmark.result": "issued",
        "mintmark.tenant": "omada",
    }
    assert collector.paths == {"/v1/traces"}
    assert {dict(resource)["service.name"] for resource in collector.resources} == {"mintmark"}


def test_a_refusal_tells_its_reason_and_the_id_that_the_caller_has(traced: Server, collector: Collector):
    answer = traced.send(ask(WSO2, client_secret=WRONG))

    [span] = collector.wait_for("token request")

    assert span.attributes["mintmark.result"] == "wrong_secret"
    assert span.attributes["mintmark.correlation_id"] == answer.header("x-correlation-id")
    assert {child.name for child in collector.children(span)} == {"decode", "authenticate", "encode"}


def test_a_span_joins_the_trace_that_the_caller_began(traced: Server, collector: Collector):
    traced.send(with_headers(ask(DEFAULT), traceparent=f"00-{TRACE_ID}-{PARENT_ID}-01"))

    [span] = collector.wait_for("token request")

    assert (span.trace_id, span.parent_id) == (TRACE_ID, PARENT_ID)
    assert {child.trace_id for child in collector.children(span)} == {TRACE_ID}


def test_what_the_caller_does_not_sample_is_not_traced(traced: Server, collector: Collector):
    traced.send(with_headers(ask(DEFAULT), traceparent=f"00-{TRACE_ID}-{PARENT_ID}-00"))
    traced.send(with_headers(ask(OMADA), traceparent="nonsense"))

    [span] = collector.wait_for("token request")

    assert span.attributes["mintmark.tenant"] == "omada"
    assert span.trace_id != TRACE_ID


def test_introspection_and_revocation_are_traced(traced: Server, collector: Collector):
    token = traced.send(form({"grant_type": "client_credentials"}, authorization=basic("demo", DEFAULT.client_secret)))
    for endpoint in ("introspect", "revoke"):
        sent = form(
            {"token": token.json["access_token"]},
            f"/oauth2/{endpoint}",
            authorization=basic("demo", DEFAULT.client_secret),
        )
        assert traced.send(sent).status == 200

    [introspection] = collector.wait_for("introspection request")
    [revocation] = collector.wait_for("revocation request")

    assert {child.name for child in collector.children(introspection)} == {"authenticate", "verify", "encode"}
    assert {child.name for child in collector.children(revocation)} == {"authenticate", "verify", "store"}
    assert introspection.attributes["mintmark.result"] == "answered"
    assert introspection.attributes["mintmark.tenant"] == "default"


def test_requests_at_the_same_time_do_not_share_their_spans(traced: Server, collector: Collector):
    # On one connection, one behind the other, as a pipeline: their contexts are one until they have tasks.
    request = ask(OMADA)
    head = f"POST {request.target} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    octets = f"{head}content-length: {len(request.body)}\r\n\r\n".encode() + request.body
    traced.send_octets(octets * 9 + octets.replace(b"\r\nhost", b"\r\nconnection: close\r\nhost", 1))

    spans = collector.wait_for("token request", 10)

    assert [span.parent_id for span in spans] == [""] * 10
    assert len({span.trace_id for span in spans}) == 10
    assert [sorted(child.name for child in collector.children(span)) for span in spans] == [sorted(STEPS)] * 10
    assert "different Context" not in traced.log


def test_no_secret_and_no_token_is_in_a_trace(traced: Server, collector: Collector, own_deployment: Deployment):
    answers = [traced.send(ask(system)) for system in SYSTEMS]
    refusals = [
        *[ask(system, client_secret=WRONG) for system in SYSTEMS],
        form({"grant_type": WRONG, "client_secret": WRONG}, f"/oauth2/token?client_secret={WRONG}"),
        with_headers(form({}, authorization=f"Bearer {WRONG}"), tracestate=f"x={WRONG}", baggage=f"x={WRONG}"),
    ]
    for request in refusals:
        traced.send(request)
    break_store(own_deployment)
    asyncio.run(asyncio.sleep(1.2))
    assert traced.send(ask(OMADA)).status in {500, 503}
    spans = collector.wait_for("token request", len(answers) + len(refusals) + 1)

    faults = [span for span in spans if span.is_error]
    assert [span.attributes["mintmark.result"] for span in faults] == ["server_error"]
    tokens = set().union(*map(tokens_in, answers))
    assert found_in(collector.octets, tokens | {WRONG} | {system.client_secret for system in SYSTEMS}) == []


def test_a_share_of_the_requests_is_sampled(own_deployment: Deployment, collector: Collector):
    settings = PATIENT | ALL | {"otlp_endpoint": collector.url, "trace_sample_ratio": "0.3"}
    with Server(own_deployment.state_dir, settings=settings) as server:
        for _ in range(200):
            server.send(ask(DEFAULT))

    # It has ended, so all that was left has been sent.
    assert 20 < len([span for span in collector.spans if span.name == "token request"]) < 110


def test_a_collector_that_is_away_harms_no_request_and_does_not_hold_up_the_end(own_deployment: Deployment):
    settings = PATIENT | ALL | {"otlp_endpoint": f"http://127.0.0.1:{find_free_port()}"}
    with Server(own_deployment.state_dir, settings=settings) as server:
        assert [server.send(ask(DEFAULT)).status for _ in range(20)] == [200] * 20
        server.process.terminate()
        assert server.process.wait(15) == 0


async def test_without_an_endpoint_nothing_stands_before_the_token_endpoint(application: InProcess):
    assert type(application.application._endpoints["token"]) is TokenEndpoint
    assert not [name for name in vars(application.application._endpoints["token"]) if "trac" in name or "span" in name]


WITHOUT_TELEMETRY = """
import sys
sys.modules["opentelemetry.sdk.trace"] = None
from mintmark.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_without_the_extra_the_start_says_which_one_is_missing(own_deployment: Deployment, tmp_path: Path):
    words = ["serve", "--state-dir", str(own_deployment.state_dir), "--listen", f"http://127.0.0.1:{find_free_port()}"]
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_TELEMETRY, *words],
        cwd=tmp_path,
        env=clean_environment(MINTMARK_OTLP_ENDPOINT="http://127.0.0.1:4318"),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode != 0
    assert EXTRA in ended.stderr
    assert "Traceback" not in ended.stderr
