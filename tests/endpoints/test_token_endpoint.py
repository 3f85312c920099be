"""The token endpoint in the standard dialect, through HTTP. RFC 6749 sections 2.3, 3.2, 3.3, 4.4 and 5."""

from __future__ import annotations

import re
import time
from urllib.parse import quote, quote_plus

import pytest

from tests.endpoints.deployments import ODD_ID, ODD_SECRET, Deployment
from tests.endpoints.servers import Answer, Request, Server
from tests.endpoints.systems import DEFAULT, FORM, ask, basic, form
from tests.endpoints.tokens import read_claims, verify

GRANT = {"grant_type": "client_credentials"}
BASIC = basic(DEFAULT.client_id, DEFAULT.client_secret)
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")


def assert_refused(answer: Answer, error: str, status: int = 400) -> None:
    assert (answer.status, answer.json["error"]) == (status, error)
    assert "access_token" not in answer.json
    assert DESCRIPTION.fullmatch(answer.json["error_description"])


# The request: RFC 6749 sections 3.2 and 4.4.2.


@pytest.mark.rfc("6749", "4.4.2")
@pytest.mark.rfc("6749", "4.4.3")
def test_a_client_gets_a_token_for_its_credentials_alone(server: Server):
    answer = server.send(form(GRANT, authorization=BASIC))

    assert answer.status == 200
    assert answer.members == ["access_token", "token_type", "expires_in", "scope"]
    assert answer.json["token_type"] == "Bearer"
    assert verify(server, answer.json["access_token"])["client_id"] == "demo"


@pytest.mark.rfc("6749", "3.2")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_post_yields_a_token(server: Server, method: str):
    target = "/oauth2/token?grant_type=client_credentials&client_id=demo"

    answer = server.send(Request(method, target, {"authorization": BASIC, "content-type": FORM}, b""))

    assert answer.status == 405
    assert answer.header("allow") == "POST"
    assert b"access_token" not in answer.body


@pytest.mark.rfc("9110", "9.3.2")
def test_a_head_request_has_no_body_in_its_answer(server: Server):
    octets = server.send_octets(b"HEAD /oauth2/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")

    assert octets.startswith(b"HTTP/1.1 405 ")
    assert octets.endswith(b"\r\n\r\n")


@pytest.mark.rfc("6749", "3.2")
@pytest.mark.parametrize("name", ["grant_type", "client_id", "client_secret", "scope", "resources", "foo"])
def test_a_repeated_parameter_is_an_invalid_request(server: Server, name: str):
    fields = [("grant_type", "client_credentials"), ("client_id", "demo"), ("client_secret", DEFAULT.client_secret)]
    given = dict([*fields, ("scope", "read"), ("foo", "1"), ("resources", "1")])[name]

    answer = server.send(form([*fields, ("scope", "read"), ("foo", "1"), ("resources", "1"), (name, given)]))

    assert_refused(answer, "invalid_request")


@pytest.mark.rfc("6749", "3.2")
def test_a_repeated_parameter_in_the_query_is_an_invalid_request(server: Server):
    assert_refused(server.send(form(GRANT, "/oauth2/token?x=1&x=1", authorization=BASIC)), "invalid_request")


@pytest.mark.rfc("6749", "3.2")
@pytest.mark.parametrize("name", ["scope", "client_id", "client_secret", "foo"])
def test_a_parameter_without_a_value_counts_as_absent(server: Server, name: str):
    answer = server.send(form({**GRANT, name: ""}, authorization=BASIC))

    assert answer.status == 200
    assert answer.json["scope"] == "read write"


@pytest.mark.rfc("6749", "3.2")
@pytest.mark.rfc("6749", "5.2")
@pytest.mark.parametrize("fields", [{}, {"grant_type": ""}, {"grant-type": "client_credentials"}])
def test_a_missing_grant_type_is_an_invalid_request(server: Server, fields: dict[str, str]):
    assert_refused(server.send(form(fields, authorization=BASIC)), "invalid_request")


@pytest.mark.rfc("6749", "3.2")
@pytest.mark.parametrize("extra", [{"client_info": "1"}, {"audience": "x"}, {"Scope": "nobody"}, {"code": "1"}])
def test_unknown_parameters_are_ignored(server: Server, extra: dict[str, str]):
    assert server.send(form({**GRANT, **extra}, authorization=BASIC)).json["scope"] == "read write"


def test_parameters_that_their_own_specifications_let_repeat_are_ignored_too(server: Server):
    fields = [*GRANT.items(), ("resource", "https://a"), ("resource", "https://b")]

    assert server.send(form(fields, authorization=BASIC)).status == 200


@pytest.mark.rfc("6749", "4.4.2")
@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded-x", ""],
)
def test_any_other_content_type_is_an_invalid_request(server: Server, content_type: str):
    headers = {"authorization": BASIC} | ({"content-type": content_type} if content_type else {})
    body = b'{"grant_type":"client_credentials"}' if "json" in content_type else b"grant_type=client_credentials"

    assert_refused(server.send(Request("POST", "/oauth2/token", headers, body)), "invalid_request")


@pytest.mark.rfc("6749", "4.4.2")
@pytest.mark.parametrize("content_type", [FORM + ";charset=UTF-8", FORM + "; charset=utf-8", FORM.upper()])
def test_a_content_type_may_be_of_any_case_and_name_its_charset(server: Server, content_type: str):
    request = form(GRANT, authorization=BASIC)

    assert server.send(request._replace(headers={**request.headers, "content-type": content_type})).status == 200


@pytest.mark.parametrize("body", [b"grant_type=%ff%fe", b"\xff\xfe=1", b"&".join([b"a"] * 200)])
def test_a_body_that_cannot_be_read_is_an_invalid_request(server: Server, body: bytes):
    answer = server.send(Request("POST", "/oauth2/token", {"authorization": BASIC, "content-type": FORM}, body))

    assert_refused(answer, "invalid_request")


@pytest.mark.parametrize("path", ["/oauth2/token/", "/oauth2//token", "/oauth2/tokens", "/", "/t/default"])
def test_there_is_nothing_at_a_path_that_only_looks_like_the_endpoint(server: Server, path: str):
    assert server.send(form(GRANT, path, authorization=BASIC)).status == 404


# Client authentication: RFC 6749 section 2.3.1.


@pytest.mark.rfc("6749", "2.3.1")
@pytest.mark.rfc("7617", "2")
@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_basic_scheme_may_be_of_any_case(server: Server, scheme: str):
    header = basic(DEFAULT.client_id, DEFAULT.client_secret, scheme)

    assert server.send(form(GRANT, authorization=header)).status == 200


@pytest.mark.rfc("6749", "2.3.1")
@pytest.mark.parametrize(
    ("client_id", "client_secret"),
    [
        (quote_plus(ODD_ID), quote_plus(ODD_SECRET)),
        (quote(ODD_ID, safe=""), quote(ODD_SECRET, safe="")),
        ("".join(f"%{one:02x}" for one in ODD_ID.encode()), "".join(f"%{one:02X}" for one in ODD_SECRET.encode())),
    ],
    ids=["form-encoded", "percent-encoded", "every octet encoded"],
)
def test_basic_credentials_are_form_decoded_before_the_compare(server: Server, client_id: str, client_secret: str):
    assert server.send(form(GRANT, authorization=basic(client_id, client_secret))).status == 200


@pytest.mark.rfc("6749", "2.3.1")
def test_a_secret_that_was_encoded_down_to_its_hyphens_is_the_same_secret(server: Server):
    header = basic(DEFAULT.client_id, DEFAULT.client_secret.replace("-", "%2D"))

    assert server.send(form(GRANT, authorization=header)).status == 200


@pytest.mark.rfc("6749", "2.3.1")
def test_basic_credentials_that_were_sent_raw_are_taken_as_well(server: Server, own_client_with_raw_secret: str):
    assert server.send(form(GRANT, authorization=basic("raw", own_client_with_raw_secret))).status == 200


@pytest.fixture(scope="module")
def own_client_with_raw_secret(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> str:
    secret = "100%+raw%41 secret"
    file = tmp_path_factory.mktemp("raw") / "secret"
    file.write_text(secret)
    deployment.cli("client", "create", "--client-id", "raw", "--client-secret-file", str(file))
    time.sleep(1)
    return secret


@pytest.mark.rfc("6749", "2.3.1")
def test_an_odd_secret_in_the_body_is_decoded_once(server: Server):
    assert server.send(form({**GRANT, "client_id": ODD_ID, "client_secret": ODD_SECRET})).status == 200


@pytest.mark.rfc("6749", "2.3.1")
def test_a_secret_decoded_twice_is_a_wrong_secret(server: Server):
    fields = {**GRANT, "client_id": ODD_ID, "client_secret": quote_plus(ODD_SECRET)}

    assert_refused(server.send(form(fields)), "invalid_client", 401)


@pytest.mark.rfc("6749", "2.3.1")
@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic ???",
        "Basic ZGVtbw==",
        "Basic OnNlY3JldA==",
        "Basic ZGVtbzpzZWNyZXQ",
        "Basic /////w==",
        "Bearer abc",
        "Negotiate abc",
        "demo:secret",
    ],
)
def test_a_malformed_authorization_header_is_an_invalid_client(server: Server, header: str):
    answer = server.send(form(GRANT, authorization=header))

    assert_refused(answer, "invalid_client", 401)
    assert answer.header("www-authenticate") == 'Basic realm="http://127.0.0.1:8080"'


@pytest.mark.rfc("6749", "2.3.1")
def test_two_authorization_headers_are_no_authentication(server: Server):
    request = f"POST /oauth2/token HTTP/1.1\r\nhost: x\r\nauthorization: {BASIC}\r\nauthorization: {BASIC}\r\n"
    request += f"content-type: {FORM}\r\ncontent-length: 29\r\nconnection: close\r\n\r\ngrant_type=client_credentials"

    assert server.send_octets(request.encode()).startswith(b"HTTP/1.1 401 ")


@pytest.mark.rfc("6749", "2.3.1")
@pytest.mark.parametrize("name", ["client_secret", "client_assertion", "refresh_token", "assertion"])
def test_a_secret_in_the_query_is_refused_even_beside_right_credentials(server: Server, name: str):
    answer = server.send(form(GRANT, f"/oauth2/token?{name}=x", authorization=BASIC))

    assert_refused(answer, "invalid_request")


@pytest.mark.rfc("6749", "2.3.1")
def test_credentials_in_the_query_authenticate_nobody(server: Server):
    target = f"/oauth2/token?client_id=demo&client_secret={DEFAULT.client_secret}"

    assert_refused(server.send(form(GRANT, target)), "invalid_request")


@pytest.mark.rfc("6749", "2.3")
@pytest.mark.rfc("6749", "5.2")
def test_two_credentials_are_an_invalid_request(server: Server):
    fields = {**GRANT, "client_id": "demo", "client_secret": DEFAULT.client_secret}

    assert_refused(server.send(form(fields, authorization=BASIC)), "invalid_request")


@pytest.mark.rfc("6749", "2.3")
def test_two_client_ids_are_an_invalid_request(server: Server):
    assert_refused(server.send(form({**GRANT, "client_id": "another"}, authorization=BASIC)), "invalid_request")


@pytest.mark.rfc("6749", "3.2.1")
def test_the_same_client_id_beside_the_header_is_no_second_credential(server: Server):
    assert server.send(form({**GRANT, "client_id": "demo"}, authorization=BASIC)).status == 200


@pytest.mark.rfc("6749", "2.3.1")
@pytest.mark.rfc("6749", "4.4")
@pytest.mark.parametrize("fields", [{}, {"client_id": "demo"}, {"client_secret": "x"}, {"client_id": "nobody"}])
def test_a_client_that_is_not_authenticated_gets_nothing(server: Server, fields: dict[str, str]):
    assert_refused(server.send(form({**GRANT, **fields})), "invalid_client", 401)


@pytest.mark.rfc("7591", "2")
@pytest.mark.rfc("9700", "2.5")
def test_a_client_cannot_step_down_to_a_method_it_is_not_registered_for(server: Server, deployment: Deployment):
    for client_id, by_header in (("basic-only", 200), ("post-only", 401)):
        secret = deployment.secrets[f"default/{client_id}"]
        in_header = server.send(form(GRANT, authorization=basic(client_id, secret)))
        in_body = server.send(form({**GRANT, "client_id": client_id, "client_secret": secret}))

        assert (in_header.status, in_body.status) == (by_header, 601 - by_header)


# The refusal: RFC 6749 section 5.2.


@pytest.mark.rfc("6749", "5.2")
@pytest.mark.parametrize("client_id", ["demo", "nobody", "disabled"])
def test_a_failed_authentication_by_header_is_401_with_a_challenge(server: Server, client_id: str):
    answer = server.send(form(GRANT, authorization=basic(client_id, "wrong")))

    assert_refused(answer, "invalid_client", 401)
    assert answer.header("www-authenticate") == 'Basic realm="http://127.0.0.1:8080"'


@pytest.mark.rfc("6749", "5.2")
def test_a_failed_authentication_by_body_is_401_without_a_challenge(server: Server):
    answer = server.send(ask(DEFAULT, client_secret="wrong"))

    assert_refused(answer, "invalid_client", 401)
    assert answer.header("www-authenticate") is None


@pytest.mark.rfc("6749", "5.2")
@pytest.mark.parametrize("grant_type", ["password", "authorization_code", "urn:x:y", "CLIENT_CREDENTIALS", " "])
def test_an_unknown_grant_type_is_unsupported(server: Server, grant_type: str):
    assert_refused(server.send(ask(DEFAULT, grant_type=grant_type)), "unsupported_grant_type")


@pytest.mark.rfc("6749", "5.2")
def test_a_client_without_the_grant_is_an_unauthorized_client(server: Server):
    assert_refused(server.send(ask(DEFAULT, client_id="no-grant")), "unauthorized_client")


@pytest.mark.rfc("6749", "5.2")
def test_a_description_never_echoes_what_was_sent(server: Server):
    marker = '"\\<script>\u00e9-mark'
    for fields in ({"grant_type": marker}, {**GRANT, "scope": marker}, {**GRANT, marker: "1", "scope": "x" + marker}):
        answer = server.send(form(fields, authorization=BASIC))
        assert answer.status == 400
        assert b"mark" not in answer.body
        assert DESCRIPTION.fullmatch(answer.json["error_description"])


# Scope: RFC 6749 section 3.3.


@pytest.mark.rfc("6749", "3.3")
@pytest.mark.rfc("6749", "5.1")
@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (None, "read write admin:*/*"),
        ("read", "read"),
        ("write read", "write read"),
        ("read read", "read"),
        ("admin:*/*", "admin:*/*"),
    ],
)
def test_the_scope_is_echoed_in_the_order_asked_for(
    server: Server, deployment: Deployment, asked: str | None, given: str
):
    secret = deployment.secrets["default/generated"]

    answer = server.send(ask(DEFAULT, client_id="generated", client_secret=secret, scope=asked))

    assert answer.json["scope"] == given
    assert read_claims(answer.json["access_token"])["scope"] == given


@pytest.mark.rfc("6749", "3.3")
@pytest.mark.rfc("6749", "5.2")
@pytest.mark.parametrize(
    "scope", ["nobody", "read nobody", "READ", "read  write", " read", "read ", "read\twrite", 'r"', "r\\", "é", "\n"]
)
def test_a_scope_that_is_unknown_malformed_or_too_wide_is_invalid(server: Server, scope: str):
    assert_refused(server.send(ask(DEFAULT, scope=scope)), "invalid_scope")


@pytest.mark.rfc("6749", "3.3")
def test_a_client_without_scope_gets_a_token_without_scope(server: Server, deployment: Deployment):
    secret = deployment.secrets["default/no-scope"]

    answer = server.send(ask(DEFAULT, client_id="no-scope", client_secret=secret))

    assert answer.members == ["access_token", "token_type", "expires_in"]
    assert "scope" not in read_claims(answer.json["access_token"])


# The answer: RFC 6749 section 5.1.


@pytest.mark.rfc("6749", "5.1")
def test_expires_in_is_the_time_from_issue_to_expiry(server: Server):
    answer = server.send(ask(DEFAULT))
    claims = read_claims(answer.json["access_token"])

    assert answer.json["expires_in"] == claims["exp"] - claims["iat"] == 3600
    assert abs(claims["iat"] - time.time()) < 5


@pytest.mark.rfc("6749", "4.4.3")
def test_no_refresh_token_goes_with_client_credentials(server: Server):
    assert "refresh_token" not in server.send(ask(DEFAULT, scope="read")).json


@pytest.mark.rfc("9068", "2.2")
def test_two_tokens_of_the_same_second_differ(server: Server):
    claims = [read_claims(server.send(ask(DEFAULT)).json["access_token"]) for _ in range(8)]

    assert len({one["jti"] for one in claims}) == 8
    assert len({one["iat"] for one in claims}) < 8


def answers_of_every_kind(server: Server) -> list[Answer]:
    return [
        server.send(ask(DEFAULT)),
        server.send(ask(DEFAULT, client_secret="wrong")),
        server.send(ask(DEFAULT, scope="nobody")),
        server.send(ask(DEFAULT, grant_type=None)),
        server.send(form(GRANT, authorization="Basic ???")),
        server.send(Request("GET", "/oauth2/token", {})),
        server.send(form({"x": "y" * 70_000})),
    ]


@pytest.mark.rfc("6749", "5.1")
@pytest.mark.rfc("6749", "5.2")
def test_no_answer_may_be_stored(server: Server):
    for answer in answers_of_every_kind(server):
        assert (answer.header("cache-control"), answer.header("pragma")) == ("no-store", "no-cache")


@pytest.mark.rfc("6749", "5.1")
@pytest.mark.rfc("6749", "5.2")
def test_every_answer_is_json(server: Server):
    for answer in answers_of_every_kind(server):
        assert answer.header("content-type") == "application/json"
        assert isinstance(answer.json, dict)


@pytest.mark.rfc("9700", "4.12")
def test_no_answer_redirects(server: Server):
    answers = [*answers_of_every_kind(server), server.send(form(GRANT, "/oauth2/token/")), server.get("/oauth2")]
    answers.append(server.get("/oauth2/authorize?response_type=code&client_id=demo&redirect_uri=https://evil.example"))

    for answer in answers:
        assert not 300 <= answer.status < 400
        assert answer.header("location") is None


@pytest.mark.rfc("9700", "2.6")
@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
def test_no_answer_invites_other_origins(server: Server, method: str):
    request = form(GRANT, authorization=BASIC, origin="https://evil.example", access_control_request_method="POST")

    answer = server.send(request._replace(method=method))

    assert not [name for name, _ in answer.headers if name.startswith("access-control")]


@pytest.mark.rfc("6749", "4.1.2.1")
def test_the_authorization_endpoint_refuses_in_plain_oauth(server: Server):
    answer = server.get("/oauth2/authorize?response_type=code&client_id=demo")

    assert_refused(answer, "unsupported_response_type")


def test_the_server_does_not_say_what_it_is_made_of(server: Server):
    assert server.send(ask(DEFAULT)).header("server") is None


def test_the_same_answers_come_over_tls(server: Server):
    assert server.send_over_tls(ask(DEFAULT)).members == ["access_token", "token_type", "expires_in", "scope"]
