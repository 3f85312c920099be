"""The exchange without I/O: where it is sent, what is refused before anything is sent."""

from __future__ import annotations

import json

import pytest

from mintmark.dialects.catalogue import load_dialects
from mintmark.protocol.errors import OAuthError, SettingsError
from mintmark.protocol.http import HttpResponse
from mintmark.sdk import ClientCredentialsRequest, Secret, TokenExchange

DIALECTS = load_dialects()
SECRET = "tr0ub4dor&3"
REQUEST = ClientCredentialsRequest("id", Secret(SECRET))


def url_of(url: str, dialect: str = "oauth2", request: ClientCredentialsRequest = REQUEST) -> str:
    return TokenExchange(DIALECTS[dialect], url, request).encode().url


@pytest.mark.parametrize(
    ("given", "sent_to"),
    [
        ("https://id.example", "https://id.example/oauth2/token"),
        ("https://id.example/", "https://id.example/oauth2/token"),
        ("https://id.example:8443", "https://id.example:8443/oauth2/token"),
        ("https://[::1]:8443", "https://[::1]:8443/oauth2/token"),
        ("https://id.example/t/acme", "https://id.example/t/acme/oauth2/token"),
        ("https://id.example/t/acme/", "https://id.example/t/acme/oauth2/token"),
    ],
)
def test_a_url_without_the_endpoint_gets_the_dialects_token_path(given, sent_to):
    assert url_of(given) == sent_to


@pytest.mark.rfc("6749", "3.2")
@pytest.mark.parametrize(
    "given",
    [
        "https://id.example/oauth2/token",
        "https://id.example/t/acme/oauth2/token",
        "https://id.example/connect/token",
        "https://id.example/token",
        "https://id.example/anything?version=2",
    ],
)
def test_a_whole_token_endpoint_is_used_as_it_is(given):
    assert url_of(given) == given


def test_the_query_of_the_endpoint_and_of_the_dialect_are_joined():
    request = ClientCredentialsRequest("id", Secret("s"), tenant_identifier="x")
    sent_to = url_of("https://id.example/openapi/authorize/token?v=2", "omada", request)
    assert sent_to == "https://id.example/openapi/authorize/token?v=2&grant_type=client_credentials"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("id.example", "https://"),
        ("ftp://id.example", "https://"),
        ("https://", "host"),
        ("https:///token", "host"),
        ("https://id.example:x", "URL"),
        (f"https://id:{SECRET}@id.example", "credentials"),
        ("https://id.example/token#here", "fragment"),
    ],
)
def test_a_wrong_url_is_refused_and_not_repeated(url, named):
    with pytest.raises(SettingsError, match=named) as caught:
        url_of(url)
    assert SECRET not in str(caught.value)


@pytest.mark.rfc("6749", "2.3.1")
def test_the_dialects_first_method_is_taken_and_another_on_demand():
    assert TokenExchange(DIALECTS["oauth2"], "https://id.example", REQUEST).encode().body == (
        b"grant_type=client_credentials"
    )
    posted = ClientCredentialsRequest("id", Secret("s"), method="client_secret_post")
    assert b"client_secret=s" in TokenExchange(DIALECTS["oauth2"], "https://id.example", posted).encode().body


@pytest.mark.parametrize(
    ("dialect", "request_", "named"),
    [
        ("omada", ClientCredentialsRequest("id", Secret("s")), "tenant_identifier"),
        ("omada", ClientCredentialsRequest("id", Secret("s"), "read", "x"), "scope"),
        ("omada", ClientCredentialsRequest("id", Secret("s"), None, "x", "client_secret_basic"), "method"),
        ("oauth2", ClientCredentialsRequest("id", Secret("s"), method="none"), "method"),
        ("oauth2", ClientCredentialsRequest("id", Secret("s"), tenant_identifier="x"), "tenant_identifier"),
    ],
)
def test_what_the_dialect_cannot_say_is_refused_before_it_is_sent(dialect, request_, named):
    with pytest.raises(SettingsError, match=named):
        url_of("https://id.example", dialect, request_)


def test_a_secret_must_be_wrapped():
    with pytest.raises(SettingsError, match="client_secret") as caught:
        ClientCredentialsRequest("id", SECRET)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", ["", "half \ud800"])
def test_a_text_must_be_utf_8_and_not_empty(text):
    with pytest.raises(SettingsError, match="client_id"):
        ClientCredentialsRequest(text, Secret("s"))
    with pytest.raises(SettingsError, match="client_secret"):
        ClientCredentialsRequest("id", Secret(text))


@pytest.mark.parametrize("dialect", ["oauth2", "ciam", "wso2", "oneaccess"])
def test_no_repr_shows_the_secret(dialect):
    exchange = TokenExchange(DIALECTS[dialect], "https://id.example", REQUEST)
    assert SECRET not in repr([REQUEST, exchange, exchange.encode()])
    assert "body" not in repr(exchange.encode())


def said_by(dialect: str, status: int, body: object) -> tuple[str, str]:
    exchange = TokenExchange(DIALECTS[dialect], "https://id.example", REQUESTS.get(dialect, REQUEST))
    with pytest.raises(OAuthError) as caught:
        exchange.decode(HttpResponse(status, (), json.dumps(body).encode()))
    assert caught.value.server_description not in repr(caught.value) or not caught.value.server_description
    return caught.value.code, caught.value.server_description


REQUESTS = {"omada": ClientCredentialsRequest("id", Secret(SECRET), tenant_identifier="x")}


@pytest.mark.rfc("6749", "5.2")
@pytest.mark.parametrize(
    ("dialect", "status", "body", "code", "said"),
    [
        (
            "oauth2",
            400,
            {"error": "invalid_scope", "error_description": "no such scope"},
            "invalid_scope",
            "no such scope",
        ),
        ("oauth2", 400, {"error": "invalid_scope"}, "invalid_scope", ""),
        ("oauth2", 400, {"error": "invalid_scope", "error_description": ["x"]}, "invalid_scope", ""),
        ("wso2", 400, {"error": "invalid_request", "error_description": "else"}, "invalid_request", "else"),
        ("ciam", 401, {"error": "invalid_client", "error_description": "why"}, "invalid_client", "why"),
        (
            "omada",
            200,
            {"errorCode": -44106, "msg": "The client is unknown."},
            "invalid_client",
            "The client is unknown.",
        ),
        ("oneaccess", 400, {"error_code": "TOKEN.0009", "error_msg": "too old"}, "invalid_request", "too old"),
        ("oneaccess", 401, {"error": "invalid_client", "error_description": "bad"}, "invalid_client", "bad"),
    ],
)
def test_what_the_server_said_is_kept(dialect, status, body, code, said):
    assert said_by(dialect, status, body) == (code, said)


@pytest.mark.rfc("6749", "5.2")
@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ('a "quoted" \\ \r\n\x1b[31m word', "a ?quoted? ? ???[31m word"),
        ("caf\u00e9 \u202e", "caf? ?"),
        ("x" * 10_000, "x" * 200),
        (f"the secret {SECRET} is wrong", ""),
    ],
)
def test_what_the_server_said_is_safe_to_show(said, kept):
    assert said_by("oauth2", 400, {"error": "invalid_request", "error_description": said})[1] == kept
