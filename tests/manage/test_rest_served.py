"""The management API of a served process, called with curl as an administrator would."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.endpoints.servers import Server

SECRET = "admin-secret-not-for-production"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("served") / "var") as running:
        yield running


def curl(*words: str) -> str:
    run = subprocess.run(["curl", "-sS", *words], capture_output=True, text=True, timeout=30, check=True)
    return run.stdout


@pytest.fixture(scope="module")
def bearer(served: Server) -> list[str]:
    answer = curl("-u", f"admin:{SECRET}", "-d", "grant_type=client_credentials", f"{served.url}/t/admin/oauth2/token")
    return ["-H", f"Authorization: Bearer {json.loads(answer)['access_token']}"]


def send(served: Server, bearer: list[str], method: str, path: str, body: Any = None, *more: str) -> tuple[int, Any]:
    words = ["-X", method, "-w", "\n%{http_code}", *bearer, *more]
    if body is not None:
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    octets, _, status = curl(*words, f"{served.url}/api/v1{path}").rpartition("\n")
    return int(status), json.loads(octets) if octets else None


@pytest.mark.foreign
def test_an_administrator_with_curl_makes_a_client_that_gets_a_token(served: Server, bearer: list[str]):
    status, made = send(served, bearer, "POST", "/tenants/default/clients", {"client_id": "a/b", "scope": ["read"]})
    answer = curl(
        "--data-urlencode", "client_id=a/b", "--data-urlencode", f"client_secret={made['client_secret']}",
        "-d", "grant_type=client_credentials", f"{served.url}/oauth2/token",
    )  # fmt: skip
    found = send(served, bearer, "GET", "/tenants/default/clients/a%2Fb")
    disabled = send(served, bearer, "PATCH", "/tenants/default/clients/a%2Fb", {"is_disabled": True})
    checked = curl("-H", f"Authorization: Bearer {json.loads(answer)['access_token']}", f"{served.url}/oauth2/check")

    assert (status, found[0], disabled[0]) == (201, 200, 200)
    assert json.loads(answer)["scope"] == "read"
    assert json.loads(checked)["error"] == "invalid_token"


@pytest.mark.foreign
def test_a_client_registers_itself_with_curl(served: Server, bearer: list[str]):
    send(served, bearer, "PATCH", "/tenants/default", {"allows_registration": True})
    _, initial = send(served, bearer, "POST", "/tenants/default/registration-tokens", {})
    answer = curl(
        "-H", f"Authorization: Bearer {initial['initial_access_token']}", "-H", "Content-Type: application/json",
        "-d", '{"client_name":"Branch 7"}', f"{served.url}/connect/register",
    )  # fmt: skip

    assert json.loads(answer)["client_name"] == "Branch 7"


@pytest.mark.foreign
def test_a_body_that_is_too_large_is_refused_before_it_is_read_and_the_next_request_goes_on(
    served: Server, bearer: list[str], tmp_path: Path
):
    (tmp_path / "large.json").write_text(json.dumps({"client_name": "x" * 300_000}), "utf-8")
    url = f"{served.url}/api/v1/tenants/default/clients"
    large = ["-H", "Content-Type: application/json", "--data-binary", f"@{tmp_path / 'large.json'}", url]

    answers = curl("-w", "%{http_code} ", "-o", "/dev/null", *bearer, *large, "--next", "-sS", "-w", "%{http_code}",
                   "-o", "/dev/null", *bearer, url)  # fmt: skip

    assert answers.split() == ["413", "200"]


@pytest.mark.foreign
def test_the_page_and_the_document_are_there_for_everybody_and_ask_nobody_else(served: Server):
    page = curl("-i", f"{served.url}/api/v1/docs")
    style = curl("-i", f"{served.url}/api/v1/docs.css")
    document = json.loads(curl(f"{served.url}/api/v1/openapi.json"))

    assert document["openapi"].startswith("3.1")
    assert "content-security-policy: default-src 'none'; style-src 'self'" in page
    assert "<script" not in page
    assert "://" not in page.partition("\r\n\r\n")[2].replace("https://id.example", "").replace(
        "https://api.example", ""
    )
    assert "content-type: text/css" in style
    assert "prefers-color-scheme: dark" in style


@pytest.mark.foreign
def test_the_token_routes_answer_as_they_did(served: Server):
    for path, status in (("/api/v2/tenant/nothing", 404), ("/oauth2/jwks", 200), ("/api", 404), ("/api/v1x", 404)):
        assert curl("-o", "/dev/null", "-w", "%{http_code}", f"{served.url}{path}") == str(status)
