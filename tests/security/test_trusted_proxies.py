"""Forwarding headers are believed from a named proxy alone; plain HTTP stays on this machine. RFC 9700 section 4.13."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mintmark.authentication.secrets import generate_secret
from mintmark.http.asgi import AsgiApp
from tests.endpoints.deployments import Deployment
from tests.endpoints.in_process import SECRET, InProcess, send_to
from tests.endpoints.servers import find_free_port, run_mintmark
from tests.endpoints.systems import DEFAULT, ask

WRONG = generate_secret().reveal()
PROXY, STRANGER = "10.1.2.3", "203.0.113.9"
Header = tuple[str, str]


@pytest.fixture
async def behind(make_application: Callable[..., Awaitable[InProcess]]) -> InProcess:
    application = await make_application(
        trusted_proxies=["10.1.2.0/24", "fd00::1"], failures_per_client=1, failures_per_source=1
    )
    await application.add_tenant("main")
    return application


async def fail(app: AsgiApp, peer: str, *headers: Header) -> int:
    """The status of one wrong attempt: 401 when this caller had none before, 429 when it had."""
    return (await send_to(app, ask(DEFAULT, client_id="meter", client_secret=WRONG), peer, headers)).status


def via(*addresses: str) -> Header:
    return ("x-forwarded-for", ", ".join(addresses))


@pytest.mark.rfc("9700", "4.13")
async def test_a_named_proxy_tells_the_caller(behind: InProcess):
    assert await fail(behind.app, PROXY, via("192.0.2.1")) == 401
    assert await fail(behind.app, PROXY, via("192.0.2.1")) == 429
    assert await fail(behind.app, PROXY, via("192.0.2.2")) == 401


@pytest.mark.rfc("9700", "4.13")
async def test_an_unnamed_peer_cannot_choose_its_address(behind: InProcess):
    assert await fail(behind.app, STRANGER, via("192.0.2.1")) == 401
    assert await fail(behind.app, STRANGER, via("192.0.2.2")) == 429
    assert await fail(behind.app, PROXY, via("192.0.2.2")) == 401


@pytest.mark.rfc("9700", "4.13")
async def test_what_a_caller_wrote_before_the_proxy_is_not_believed(behind: InProcess):
    assert await fail(behind.app, PROXY, via("198.51.100.1", "192.0.2.1")) == 401
    assert await fail(behind.app, PROXY, via("198.51.100.2", "192.0.2.1")) == 429
    assert await fail(behind.app, PROXY, ("x-forwarded-for", "198.51.100.3"), via("192.0.2.1")) == 429


async def test_named_proxies_in_a_row_are_walked_back(behind: InProcess):
    assert await fail(behind.app, PROXY, via("192.0.2.1", "fd00::1", "10.1.2.9")) == 401
    assert await fail(behind.app, "fd00::1", via("192.0.2.1")) == 429


@pytest.mark.parametrize("value", ["", "unknown", "192.0.2.1, evil", "999.1.1.1", "\u00e9", ",,,"])
async def test_an_address_that_is_none_leaves_the_proxy_as_the_caller(behind: InProcess, value: str):
    assert await fail(behind.app, PROXY, ("x-forwarded-for", value)) == 401
    assert await fail(behind.app, PROXY) == 429


@pytest.mark.parametrize(("peer", "times"), [("127.0.0.1", 1), ("::1", 1), (STRANGER, 0), (PROXY, 0)])
async def test_a_proxy_on_this_host_that_nobody_named_is_warned_of_once(behind: InProcess, peer: str, times: int):
    with capture_logs() as logged:
        await fail(behind.app, peer)
        assert not [one for one in logged if one["event"] == "forwarded_for_ignored"]
        for _ in range(3):
            await fail(behind.app, peer, via("192.0.2.1"))

    warnings = [one for one in logged if one["event"] == "forwarded_for_ignored"]
    assert [one["log_level"] for one in warnings] == ["warning"] * times
    assert all(f"--trusted-proxy {peer}" in one["hint"] for one in warnings)


# Plain HTTP.


@pytest.mark.rfc("6749", "3.2")
@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        (PROXY, (("x-forwarded-proto", "https"),), 200),
        (PROXY, (("x-forwarded-proto", "HTTPS"),), 200),
        (PROXY, (("x-forwarded-proto", "http, https"),), 200),
        (PROXY, (("x-forwarded-proto", "https, http"),), 403),
        (PROXY, (("x-forwarded-proto", "http"),), 403),
        (PROXY, (), 403),
        (STRANGER, (("x-forwarded-proto", "https"),), 403),
        (STRANGER, (), 403),
    ],
)
async def test_a_plain_listener_off_loopback_serves_named_proxies_that_speak_tls(
    behind: InProcess, peer: str, headers: tuple[Header, ...], status: int
):
    app = behind.application.asgi_app(needs_tls=True)

    answer = await send_to(app, ask(DEFAULT, client_id="meter", client_secret=SECRET), peer, headers)

    assert answer.status == status
    if status == 403:
        assert answer.json["error"] == "invalid_request"
        assert b"access_token" not in answer.body


@pytest.mark.rfc("6749", "3.2")
@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])  # refused is the point
def test_plain_http_off_loopback_is_refused_at_the_start(full_deployment: Deployment, tmp_path: Path, host: str):
    listen = f"http://{host}:{find_free_port()}"

    ended = run_mintmark("serve", "--state-dir", full_deployment.state_dir, "--listen", listen, cwd=tmp_path)

    assert ended.returncode == 1
    assert "plain HTTP off loopback" in ended.stderr
    assert "--trusted-proxy" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_demo_is_refused_off_loopback_even_over_tls(full_deployment: Deployment, tmp_path: Path):
    listen = f"https://0.0.0.0:{find_free_port()}"

    ended = run_mintmark("serve", "--demo", "--state-dir", full_deployment.state_dir, "--listen", listen, cwd=tmp_path)

    assert ended.returncode == 1
    assert "loopback" in ended.stderr
