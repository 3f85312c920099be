"""The figures of a running server with two workers: exact sums, through deaths, whatever is sent."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import suppress
from http.client import HTTPException
from itertools import pairwise

import pytest

from mintmark.grants.policy import GRANTS
from mintmark.metrics.catalogue import FAMILIES
from mintmark.protocol.errors import REASONS
from tests.endpoints.deployments import Deployment
from tests.endpoints.servers import Request, find_free_port, run_mintmark
from tests.endpoints.systems import DEFAULT, OMADA, SYSTEMS, ask, basic, form
from tests.observe.watching import WatchedServer, read_figures
from tests.security.test_redaction import found_in, tokens_in

TOKENS = "mintmark_tokens_issued_total"
REFUSED = "mintmark_tokens_refused_total"
OTHERS = "mintmark_requests_refused_total"
DURATION = "mintmark_request_duration_seconds"
OPAQUE = {"grant_type": "client_credentials"}


def test_of_two_workers_the_sums_are_exact(watched: WatchedServer, full_deployment: Deployment):
    before, began = watched.scrape(), time.monotonic()
    opaque = basic("meter", full_deployment.secrets["opaque/meter"])
    requests = [
        *[ask(DEFAULT)] * 120,
        *[ask(OMADA)] * 30,
        *[ask(DEFAULT, client_secret="wrong")] * 50,
        *[form(OPAQUE, "/t/opaque/oauth2/token", authorization=opaque)] * 40,
        *[form({"token": "x"}, "/oauth2/introspect", authorization=basic("demo", "wrong"))] * 7,
    ]

    watched.send_all(requests)

    after = watched.scrape()

    def grown(name: str, **labels: str) -> float:
        return after.of(name, **labels) - before.of(name, **labels)

    assert grown(TOKENS, tenant="default", dialect="oauth2", grant="client_credentials") == 120
    assert grown(TOKENS, tenant="omada", dialect="omada", grant="client_credentials") == 30
    assert grown(TOKENS, tenant="opaque") == 40
    assert grown(REFUSED, tenant="default", grant="client_credentials", reason="wrong_secret") == 50
    assert grown(OTHERS, tenant="default", endpoint="introspection", reason="wrong_secret") == 7
    assert grown(f"{DURATION}_count", endpoint="token") == 240
    assert grown(f"{DURATION}_bucket", endpoint="token", le="+Inf") == 240
    # Beside these, each worker writes its events when their second is over, and tends what is to be tended.
    beside = 10 + 4 * (time.monotonic() - began)
    writes = grown("mintmark_commit_batch_writes_sum")
    assert 70 <= writes <= 70 + beside
    assert grown("mintmark_commit_duration_seconds_count") == grown("mintmark_commit_batch_writes_count") <= writes


def test_both_workers_had_their_share_and_both_tell_of_themselves(watched: WatchedServer):
    figures = watched.wait_for(lambda seen: seen.of("mintmark_workers") == 2)

    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"):
        assert figures.labels(name, "worker") == {"0", "1"}
        assert min(value for (own, _), value in figures.items() if own == name) > 0
    assert figures.of("mintmark_worker_starts_total") == 2


def test_each_look_for_a_client_is_a_hit_or_a_miss(watched: WatchedServer):
    time.sleep(1.2)  # what the other worker counted is told once a second
    before = watched.scrape()
    watched.send_all([ask(DEFAULT)] * 20)
    time.sleep(1.2)
    after = watched.scrape()

    hits, misses = (f"mintmark_client_cache_{what}_total" for what in ("hits", "misses"))
    assert after.of(hits) + after.of(misses) - before.of(hits) - before.of(misses) == 20
    assert after.of(hits) - before.of(hits) >= 18


def test_what_stands_in_the_database_is_told_by_tenant(watched: WatchedServer):
    figures = watched.scrape()

    assert {system.tenant for system in SYSTEMS} <= figures.labels("mintmark_signing_key_age_seconds", "tenant")
    due = figures.of("mintmark_signing_key_next_rotation_timestamp_seconds", tenant="default", alg="ES256")
    age = figures.of("mintmark_signing_key_age_seconds", tenant="default", alg="ES256")
    assert due - time.time() == pytest.approx(90 * 86_400 - age, abs=5)
    assert figures.of("mintmark_tenants") == len(figures.labels("mintmark_signing_key_age_seconds", "tenant"))
    assert figures.of("mintmark_database_size_bytes", file="database") > 100_000
    assert figures.of("mintmark_build_info") == 1


def test_every_metric_is_on_the_page_and_reads_as_prometheus_reads(watched: WatchedServer):
    answer = watched.watch("/metrics")
    text = answer.body.decode()

    assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    for family in FAMILIES:
        assert f"# HELP {family.name} {family.text}\n# TYPE {family.name} {family.kind}\n" in text
    assert watched.scrape()


def test_the_listener_of_the_metrics_has_nothing_else(watched: WatchedServer):
    assert [watched.watch(path).status for path in ("/", "/oauth2/token", "/metrics/")] == [404] * 3
    assert watched.watch("/metrics", "POST").status == 405
    assert watched.get("/metrics").status == 404


def hostile_requests() -> list[Request]:
    """Names that nobody has, in every place that a label could be taken from."""
    numbers = range(40)
    return [
        *[ask(DEFAULT, grant_type=f"urn:grant:{number}") for number in numbers],
        *[ask(DEFAULT, client_id=f"client-{number}") for number in numbers],
        *[form(OPAQUE, f"/t/tenant-{number}/oauth2/token") for number in numbers],
        *[form(OPAQUE, f"/t/default/oauth2/token/{number}") for number in numbers],
        *[form(OPAQUE, host=f"host-{number}.example") for number in numbers],
        *[ask(OMADA)._replace(body=b'{"omadacId":"%d"}' % number) for number in numbers],
        *[Request(f"M{'X' * (number + 1)}", "/oauth2/token", {}) for number in range(3)],
        *[ask(DEFAULT, scope=f"scope-{number}") for number in numbers],
        form({"x": "y" * 70_000}),
        Request("GET", "/oauth2/authorize", {}),
    ]


def test_no_label_is_taken_from_a_request(watched: WatchedServer):
    watched.send_all(hostile_requests())
    figures = watched.scrape()

    tenants = figures.labels("mintmark_signing_key_age_seconds", "tenant")
    for name in (TOKENS, REFUSED, OTHERS):
        assert figures.labels(name, "tenant") <= tenants | {""}
        assert figures.labels(name, "dialect") <= {system.dialect for system in SYSTEMS}
    assert figures.labels(REFUSED, "grant") <= {*GRANTS, "none", "other"}
    assert figures.labels(REFUSED, "reason") | figures.labels(OTHERS, "reason") <= set(REASONS)
    assert figures.of(REFUSED, grant="other", reason="unsupported_grant_type") == 40
    assert figures.of(REFUSED, reason="body_too_large") == 1
    assert len(figures) < 600


def test_no_secret_and_no_token_is_among_the_figures(watched: WatchedServer):
    answers = [watched.send(ask(system)) for system in SYSTEMS]
    tokens = set().union(*map(tokens_in, answers))
    page = watched.watch("/metrics").body

    assert len(tokens) == 7
    assert found_in(page, tokens | {system.client_secret for system in SYSTEMS}) == []
    assert DEFAULT.client_id.encode() not in page


def test_a_worker_killed_takes_no_count_with_it(own_watched: WatchedServer):
    own_watched.send_all([ask(DEFAULT)] * 40)
    ended, pages = threading.Event(), []

    def watch() -> None:
        while not ended.is_set():
            # The one that is killed may have been about to answer.
            with suppress(ConnectionError, HTTPException):
                pages.append(own_watched.scrape().growing)

    watching = threading.Thread(target=watch)
    watching.start()
    own_watched.kill_worker()
    after = own_watched.wait_for(lambda seen: seen.of("mintmark_worker_starts_total") == 3)
    own_watched.send_all([ask(DEFAULT)] * 40)
    ended.set()
    watching.join()

    assert after.of(TOKENS) == 40
    assert own_watched.scrape().of(TOKENS) == 80
    assert len(pages) > 2
    for earlier, later in pairwise(pages):
        assert {sample for sample, value in earlier.items() if later.get(sample, -1) < value} == set()


def test_the_rows_that_a_leader_removes_are_counted(own_deployment: Deployment):
    settings = {"upkeep_interval_s": "0.2"}
    with WatchedServer(own_deployment.state_dir, "--workers", "2", settings=settings) as server:
        server.send_all([ask(OMADA)] * 5)
        with sqlite3.connect(own_deployment.state_dir / "mintmark.db") as connection:
            connection.execute("UPDATE token SET expires_at = 1")
        connection.close()

        server.wait_for(lambda seen: seen.of("mintmark_purged_rows_total") == 10)
        server.wait_for(lambda seen: seen.of("mintmark_leader") == 1)


def test_without_an_address_there_is_no_listener(own_deployment: Deployment):
    with WatchedServer(own_deployment.state_dir, settings={"metrics_listen": ""}) as server:
        assert server.send(ask(DEFAULT)).status == 200
        with pytest.raises(ConnectionRefusedError):
            server.watch("/metrics")


def test_an_address_that_was_asked_for_and_is_taken_stops_the_start(watched: WatchedServer, own_deployment: Deployment):
    url, listen = f"http://127.0.0.1:{watched.metrics_port}", f"http://127.0.0.1:{find_free_port()}"
    words = ("serve", "--state-dir", own_deployment.state_dir, "--listen", listen)

    ended = run_mintmark(*words, cwd=own_deployment.state_dir, MINTMARK_METRICS_LISTEN=url)

    assert ended.returncode != 0
    assert f"metrics_listen: {url}: Address already in use" in ended.stderr


def test_the_listener_may_have_tls(own_deployment: Deployment):
    port = find_free_port()
    with WatchedServer(own_deployment.state_dir, settings={"metrics_listen": f"https://127.0.0.1:{port}"}) as server:
        server.tls_port = port

        answer = server.send_over_tls(Request("GET", "/metrics", {}))

    assert read_figures(answer.body.decode()).of("mintmark_workers") == 1


def test_the_demo_shows_its_figures_on_loopback_only(own_deployment: Deployment):
    listen, url = f"http://127.0.0.1:{find_free_port()}", f"http://0.0.0.0:{find_free_port()}"
    words = ("serve", "--demo", "--state-dir", own_deployment.state_dir, "--listen", listen)

    ended = run_mintmark(*words, cwd=own_deployment.state_dir, MINTMARK_METRICS_LISTEN=url)

    assert ended.returncode != 0
    assert f"metrics_listen: {url}: the demo listens on loopback addresses only" in ended.stderr
