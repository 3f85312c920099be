"""The request lines of the vendors' own pages, to the letter, sent by curl to the demo on the pages' own ports."""

from __future__ import annotations

import base64
import json
import re
import shlex
import socket
import ssl
import subprocess
from typing import Any

import pytest

from tests.cli.running import PATIENCE_S, Serving

pytestmark = [pytest.mark.foreign, pytest.mark.usefixtures("vendor_demo")]

OMADA = (
    'curl "https://localhost:8043/openapi/authorize/token?grant_type=client_credentials"'
    " -H 'content-type:application/json'"
    """ -d '{"omadacId": "de382a0e78f4deb681f3128c3e75dbd1", "client_id": "185586e0df424f5ea938de13cba91e01","""
    """ "client_secret": "767372a5258a4fc1a03c57f3d071fc35"}' -X POST -i -k --insecure"""
)
WSO2_HEADER = (
    'curl -v -X POST -H "Authorization: Basic <base64 encoded client id:client secret value>" -k'
    ' -d "grant_type=client_credentials" -H "Content-Type:application/x-www-form-urlencoded"'
    " https://localhost:9443/oauth2/token"
)
WSO2_USER = (
    'curl -u <client id>:<client secret> -k -d "grant_type=client_credentials"'
    ' -H "Content-Type:application/x-www-form-urlencoded" https://localhost:9443/oauth2/token'
)
CIAM = """\
POST /oauth2/token HTTP/1.1
Host: sample.portal.tencentciam.com
Content-Type: application/x-www-form-urlencoded

grant_type=client_credentials&client_id=TENANT_CLIENT_ID&client_secret=TENANT_CLIENT_SECRET&scope=identity_proofing"""
ONEACCESS = """\
POST https://{domain_name}/api/v2/tenant/token
Content-Type: application/x-www-form-urlencoded

client_id=ONtQq2igSggfFClyGgzmuXR8ubWEPdemo&client_secret=XdqUmJpG19hNEHz3472XsPcwvfedemo&grant_type=client_credentials\
"""
WSO2_CLIENT = "wso2-demo:wso2-demo-secret"
HEX_TOKEN = re.compile(r"[0-9a-f]{32}")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def shell(line: str) -> str:
    """Run a line as a person does who pastes it, and return what the program wrote on standard output."""
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def members(text: str) -> list[tuple[str, Any]]:
    """The members of a JSON object in the order of the wire."""
    found: list[tuple[str, Any]] = json.loads(text, object_pairs_hook=list)
    return found


def names(text: str) -> list[str]:
    return [name for name, _ in members(text)]


def decode_part(part: str) -> str:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()


def test_omada():
    head, _, body = shell(OMADA).partition("\n\n")
    assert head.splitlines()[0] == "HTTP/1.1 200 OK"
    assert re.search(r"^content-type: application/json(;charset=UTF-8)?$", head, re.MULTILINE | re.IGNORECASE)
    assert re.fullmatch(
        r'\{"errorCode":0,"msg":"Open API Get Access Token successfully\.","result":\{'
        r'"accessToken":"AT-[A-Za-z0-9]{32}","tokenType":"bearer","expiresIn":7200,"refreshToken":"RT-[A-Za-z0-9]{32}"\}\}',
        body,
    )


def wso2_lines() -> list[str]:
    encoded = base64.b64encode(WSO2_CLIENT.encode()).decode()
    return [
        WSO2_HEADER.replace("<base64 encoded client id:client secret value>", encoded),
        WSO2_USER.replace("<client id>:<client secret>", WSO2_CLIENT),
    ]


@pytest.mark.parametrize("line", wso2_lines(), ids=["header", "user"])
@pytest.mark.rfc("6749", "4.4")
def test_wso2(line):
    answer = shell(line)
    assert names(answer) == ["token_type", "expires_in", "access_token"]
    values = json.loads(answer)
    assert values["token_type"] == "Bearer"
    assert 3500 < values["expires_in"] <= 3600
    assert HEX_TOKEN.fullmatch(values["access_token"])
    assert '{"token_type":"Bearer","expires_in":' in answer


def test_wso2_hands_out_its_live_token_again():
    first, second = (json.loads(shell(line)) for line in wso2_lines())
    assert first["access_token"] == second["access_token"]
    assert second["expires_in"] <= first["expires_in"]


def assert_like_the_ciam_page(body: str) -> None:
    assert names(body) == ["access_token", "scope", "token_type", "expires_in"]
    values = json.loads(body)
    assert (values["scope"], values["token_type"], values["expires_in"]) == ("identity_proofing", "Bearer", 299)
    header, payload, _ = values["access_token"].split(".")
    assert [(name, value) for name, value in members(decode_part(header)) if name != "kid"] == [
        ("typ", "JWT"),
        ("alg", "RS256"),
    ]
    assert names(decode_part(header))[0] == "kid"
    claims = json.loads(decode_part(payload))
    assert list(claims) == ["sub", "aud", "nbf", "scope", "iss", "exp", "iat", "jti"]
    assert claims["sub"] == claims["aud"] == "TENANT_CLIENT_ID"
    assert claims["scope"] == ["identity_proofing"]
    assert claims["exp"] - claims["iat"] == 300
    assert claims["nbf"] == claims["iat"]
    assert r'"iss":"https:\/\/sample.portal.tencentciam.com"' in decode_part(payload)


def test_ciam_by_curl():
    head, _, body = CIAM.partition("\n\n")
    content_type = head.splitlines()[2]
    answer = shell(
        f"curl -sS -i --connect-to sample.portal.tencentciam.com:80:127.0.0.1:8080 -H {shlex.quote(content_type)}"
        f" -d {shlex.quote(body)} http://sample.portal.tencentciam.com/oauth2/token"
    )
    head, _, body = answer.partition("\n\n")
    assert head.startswith("HTTP/1.1 200 OK\n")
    assert re.search("^content-type: application/json;charset=UTF-8$", head, re.MULTILINE | re.IGNORECASE)
    assert_like_the_ciam_page(body)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_ciam_by_a_socket(tls):
    """The page's message as it stands; only the length of the body, without which HTTP/1.1 has none, is added."""
    head, _, body = CIAM.partition("\n\n")
    message = f"{head}\nContent-Length: {len(body)}\nConnection: close\n\n".replace("\n", "\r\n") + body
    with socket.create_connection(("127.0.0.1", 8043 if tls else 8080), timeout=PATIENCE_S) as plain:
        stream = ssl._create_unverified_context().wrap_socket(plain) if tls else plain
        stream.sendall(message.encode())
        answer = b"".join(iter(lambda: stream.recv(65536), b"")).decode()
        stream.close()
    assert answer.startswith("HTTP/1.1 200 OK\r\n")
    assert_like_the_ciam_page(answer.partition("\r\n\r\n")[2])


@pytest.mark.parametrize("domain_name", ["localhost:8043", "localhost:9443", "127.0.0.1:8043"])
def test_oneaccess(domain_name):
    head, _, body = ONEACCESS.partition("\n\n")
    line, content_type = head.splitlines()
    method, _, url = line.replace("{domain_name}", domain_name).partition(" ")
    answer = shell(f"curl -sS -k -X {method} -H {shlex.quote(content_type)} -d {shlex.quote(body)} {url}")
    assert names(answer) == ["access_token", "token_type", "expires_in", "scope", "id_token"]
    values = json.loads(answer)
    assert UUID.fullmatch(values["access_token"])
    assert (values["token_type"], values["expires_in"], values["scope"]) == ("Bearer", 1800, "all")
    assert values["id_token"].count(".") == 2


def test_oneaccess_gives_a_new_token_each_time():
    body = shlex.quote(ONEACCESS.partition("\n\n")[2])
    line = f"curl -sS -k -d {body} https://localhost:8043/api/v2/tenant/token"
    assert json.loads(shell(line))["access_token"] != json.loads(shell(line))["access_token"]


@pytest.mark.parametrize(
    ("line", "secret", "said"),
    [
        (OMADA, "767372", '"errorCode":-44106,"msg":"The Client Id Or Client Secret is Invalid"'),
        (wso2_lines()[1], "demo-secret", '"error":"invalid_client"'),
    ],
)
def test_a_wrong_secret_is_refused_in_the_dialect(line, secret, said):
    assert said in shell(line.replace(secret, "wrong"))


def test_every_line_that_the_demo_prints_gives_a_token(vendor_demo: Serving):
    lines = [line for line in vendor_demo.lines if line.startswith("curl ")]
    assert len(lines) == 6
    for line in lines:
        answer = json.loads(shell(line))
        assert answer.get("access_token") or answer["result"]["accessToken"]
