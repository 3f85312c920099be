"""A dialect at work: what the four functions refuse, and a user's own dialect through all of them."""

from __future__ import annotations

import json
import tomllib
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mintmark.dialects.catalogue import load_dialects
from mintmark.dialects.codec import Dialect
from mintmark.dialects.definition import parse_definition
from mintmark.protocol.errors import (
    REASONS,
    InvalidClient,
    InvalidRequest,
    InvalidScope,
    OAuthError,
    ServerError,
    TemporarilyUnavailable,
)
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.protocol.messages import ClientCredentials, TokenRequest, TokenResponse
from mintmark.protocol.secret import Secret
from tests.dialects.transcripts import read_pairs, reveal
from tests.unit.dialects.sixth_dialect import SIXTH

DIALECTS = load_dialects()
OAUTH2, OMADA, WSO2 = DIALECTS["oauth2"], DIALECTS["omada"], DIALECTS["wso2"]
SIXTH_DIALECT = Dialect(parse_definition(tomllib.loads(SIXTH), "sixth.toml"))
FORM, JSON = b"application/x-www-form-urlencoded", b"application/json"

every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
every_reason = pytest.mark.parametrize("reason", REASONS)
content_types = st.sampled_from([b"", FORM, JSON, b"text/plain", FORM + b"; charset=utf-8", b"\xff", b";"])
names = st.sampled_from(["grant_type", "client_id", "client_secret", "scope", "omadacId", "refresh_token", "x"])
values = st.sampled_from(["client_credentials", "a", "", "\x00"]) | st.text(st.characters(exclude_categories=["Cs"]))
forms = st.lists(st.tuples(names, values)).map(lambda pairs: urlencode(pairs).encode())
objects = st.dictionaries(names, values | st.none() | st.integers()).map(lambda fields: json.dumps(fields).encode())
octets = st.binary() | forms | objects


def post(body: bytes, *, query: bytes = b"", content_type: bytes = FORM, **headers: bytes) -> HttpRequest:
    named = {name.encode(): value for name, value in headers.items()}
    return HttpRequest("POST", "/token", query, {b"content-type": content_type, **named}, body, "")


def reason_of(dialect: Dialect, request: HttpRequest) -> str:
    with pytest.raises(OAuthError) as caught:
        dialect.decode_token_request(request)
    return caught.value.reason


def answer(body: bytes, status: int = 200) -> HttpResponse:
    return HttpResponse(status, (), body)


@every_dialect
@given(query=octets, body=octets, content_type=content_types, authorization=st.none() | octets)
@example(query=b"grant_type=client_credentials", body=b"[" * 100_000, content_type=JSON, authorization=None)
@example(query=b"", body=b'{"client_id":"\\ud800"}', content_type=JSON, authorization=b"Basic \xff")
def test_any_request_is_a_token_request_or_an_oauth_error(dialect, query, body, content_type, authorization):
    headers = {b"content-type": content_type, b"authorization": authorization}
    headers = {name: value for name, value in headers.items() if value is not None}
    try:
        request = dialect.decode_token_request(HttpRequest("POST", "/token", query, headers, body, ""))
    except OAuthError:
        return
    for credentials in request.credentials:
        credentials.client_id.encode()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
member_names = st.sampled_from(["error", "errorCode", "msg", "result", "access_token", "expires_in", "accessToken"])
answers = st.dictionaries(member_names, json_values).map(lambda members: json.dumps(members).encode())


@every_dialect
@given(body=st.binary() | answers, status=st.sampled_from([200, 201, 204, 302, 400, 401, 429, 500, 503, 599]))
@example(body=b"[" * 100_000, status=200)
@example(body=b'"\xff"', status=200)
@example(body=b'{"errorCode":0,"msg":"Open API Get Access Token successfully.","result":[]}', status=200)
@example(body=b'{"error":{"error":[]}}', status=400)
def test_any_answer_is_a_token_response_or_an_oauth_error(dialect, body, status):
    try:
        dialect.decode_token_response(answer(body, status))
    except OAuthError as error:
        assert error.reason == error.code


@every_dialect
@every_reason
def test_every_reason_is_written_in_every_dialect_and_no_answer_echoes_the_detail(dialect, reason):
    error = REASONS[reason].error(reason, "s3cret-input")
    written = dialect.encode_error(error, issuer="https://id.example", header_used=True)
    assert isinstance(json.loads(written.body), dict)
    assert b"s3cret-input" not in written.body + b"".join(value for _, value in written.headers)


@pytest.mark.rfc("6749", "5.1")
@pytest.mark.rfc("6749", "5.2")
@every_dialect
@every_reason
def test_no_answer_may_be_stored_by_a_cache(dialect, reason):
    assert dialect.encode_error(REASONS[reason].error(reason)).header(b"Cache-Control") == b"no-store"


@pytest.mark.rfc("6749", "10.10")
@every_dialect
def test_unknown_client_wrong_secret_and_disabled_client_look_alike(dialect):
    written = [dialect.encode_error(InvalidClient(name)) for name in ("unknown_client", "wrong_secret")]
    written.append(dialect.encode_error(InvalidClient("disabled_client")))
    assert written[0] == written[1] == written[2]


@pytest.mark.rfc("6749", "5.2")
def test_a_challenge_is_sent_when_the_header_was_used():
    error = InvalidClient("wrong_secret")
    used = OAUTH2.encode_error(error, issuer="https://id.example/t/acme", header_used=True)
    assert used.header(b"www-authenticate") == b'Basic realm="https://id.example/t/acme"'
    assert OAUTH2.encode_error(error, issuer="https://id.example").header(b"www-authenticate") is None


@pytest.mark.rfc("9110", "15.5.6")
@every_dialect
def test_a_wrong_method_is_told_the_right_one(dialect):
    assert dialect.encode_error(InvalidRequest("method_not_allowed")).header(b"allow") == b"POST"


@every_dialect
def test_too_many_attempts_are_told_to_wait(dialect):
    written = dialect.encode_error(TemporarilyUnavailable("too_many_attempts"))
    assert written.status == 429
    assert written.header(b"retry-after") == b"60"


@pytest.mark.rfc("6749", "2.3")
def test_all_credentials_that_were_sent_are_handed_on():
    request = OAUTH2.decode_token_request(
        post(b"grant_type=client_credentials&client_id=b&client_secret=c", authorization=b"Basic YTpi")
    )
    assert [one.method for one in request.credentials] == ["client_secret_basic", "client_secret_post"]


def test_credentials_in_query_and_body_are_handed_on_twice():
    both = b"grant_type=client_credentials&client_id=a&client_secret=b"
    body = b'{"omadacId":"x","client_id":"c","client_secret":"d"}'
    request = OMADA.decode_token_request(post(body, query=both, content_type=JSON))
    assert [one.client_id for one in request.credentials] == ["c", "a"]


@pytest.mark.rfc("6749", "2.3.1")
@pytest.mark.parametrize("name", ["oauth2", "ciam", "wso2", "oneaccess"])
def test_a_secret_in_the_url_is_refused(name):
    request = post(b"grant_type=client_credentials", query=b"client_secret=x")
    assert reason_of(DIALECTS[name], request) == "credential_in_query"


@pytest.mark.rfc("6749", "3.2")
@pytest.mark.parametrize("name", ["oauth2", "ciam", "wso2", "oneaccess"])
def test_a_repeated_grant_type_is_refused(name):
    request = post(b"grant_type=client_credentials&grant_type=client_credentials")
    assert reason_of(DIALECTS[name], request) == "repeated_parameter"


def test_a_parameter_in_two_of_its_places_is_repeated():
    body = b'{"omadacId":"x","client_id":"c","client_secret":"d"}'
    request = post(body, query=b"grant_type=client_credentials&omadacId=x", content_type=JSON)
    assert reason_of(OMADA, request) == "repeated_parameter"


@pytest.mark.rfc("6749", "3.2")
def test_unknown_parameters_are_ignored():
    request = OAUTH2.decode_token_request(post(b"grant_type=client_credentials&client_info=1&audience=x"))
    assert reveal(request) == reveal(TokenRequest("client_credentials"))


@pytest.mark.rfc("6749", "4.4.2")
@pytest.mark.parametrize("content_type", [JSON, b"text/plain", b"multipart/form-data; boundary=x", b""])
def test_the_standard_dialect_takes_form_bodies_only(content_type):
    request = post(b"grant_type=client_credentials", content_type=content_type)
    assert reason_of(OAUTH2, request) == "unsupported_content_type"


@pytest.mark.parametrize("content_type", [FORM + b";charset=UTF-8", FORM.upper(), b" " + FORM + b" ; x=y"])
def test_a_content_type_is_read_in_any_case_and_without_its_parameters(content_type):
    request = OAUTH2.decode_token_request(post(b"grant_type=client_credentials", content_type=content_type))
    assert request.grant_type == "client_credentials"


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, InvalidRequest), (401, InvalidClient), (429, TemporarilyUnavailable), (503, TemporarilyUnavailable)],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"fault":"else"}'])
def test_an_unlisted_refusal_is_read_by_its_status(status, error, body):
    with pytest.raises(error, match=error.code):
        OAUTH2.decode_token_response(answer(body, status))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"[]",
        b'{"access_token":"a"}',
        b'{"access_token":"","token_type":"Bearer","expires_in":1}',
        b'{"access_token":1,"token_type":"Bearer","expires_in":1}',
        b'{"access_token":"s3cret","token_type":"Bearer","expires_in":-1}',
        b'{"access_token":"s3cret","token_type":"Bearer","expires_in":true}',
        b'{"access_token":"s3cret","token_type":"Bearer","expires_in":"1"}',
    ],
)
def test_a_success_in_no_form_of_the_dialect_is_a_server_error_that_quotes_nothing(body):
    with pytest.raises(ServerError) as caught:
        OAUTH2.decode_token_response(answer(body))
    assert "s3cret" not in caught.value.detail


def test_an_error_is_read_as_its_own_row_though_a_proxy_changed_the_status():
    with pytest.raises(InvalidClient):
        OAUTH2.decode_token_response(answer(b'{"error":"invalid_client"}', 403))


SIXTH_REQUEST = TokenRequest(
    "client_credentials",
    (ClientCredentials("client_secret_post", "röbot", Secret("a:b%+c")),),
    "read write",
    tenant_identifier="acme & sons",
)


def test_a_users_own_dialect_spells_the_request_as_its_file_says():
    written = SIXTH_DIALECT.encode_token_request(SIXTH_REQUEST)
    assert written.path == "/v3/session/open"
    assert written.query == b"kind=client_credentials&org=acme+%26+sons"
    assert json.loads(written.body) == {"user": "röbot", "pass": "a:b%+c", "rights": "read write"}
    assert reveal(SIXTH_DIALECT.decode_token_request(written)) == reveal(SIXTH_REQUEST)


def test_a_users_own_dialect_spells_the_answer_as_its_file_says():
    response = TokenResponse(Secret("k"), "Bearer", 60, "read")
    written = SIXTH_DIALECT.encode_token_response(response)
    assert written.status == 201
    assert written.header(b"content-type") == b"application/vnd.sixth+json"
    assert written.header(b"x-sixth") == b"yes"
    session = [("ttl", 60), ("key", "k"), ("rights", "read")]
    assert read_pairs(written.body) == [("ok", True), ("data", [("session", session)])]
    assert reveal(SIXTH_DIALECT.decode_token_response(written)) == reveal(response)


@pytest.mark.parametrize(
    ("reason", "status", "fault", "error"),
    [
        ("missing_parameter", 422, 1, InvalidRequest),
        ("invalid_scope", 422, 1, InvalidRequest),
        ("wrong_secret", 403, 2, InvalidClient),
        ("scope_not_allowed", 403, 3, InvalidScope),
        ("temporarily_unavailable", 422, 1, InvalidRequest),
    ],
)
def test_a_users_own_dialect_maps_each_reason_to_a_row_and_back(reason, status, fault, error):
    written = SIXTH_DIALECT.encode_error(REASONS[reason].error(reason))
    assert (written.status, json.loads(written.body)["fault"]) == (status, fault)
    with pytest.raises(error):
        SIXTH_DIALECT.decode_token_response(written)


def test_a_users_own_dialect_needs_what_its_file_says_it_needs():
    request = post(b'{"user":"a","pass":"b"}', query=b"kind=client_credentials", content_type=JSON)
    assert reason_of(SIXTH_DIALECT, request) == "missing_parameter"


def test_a_member_that_tells_an_error_counts_whatever_the_others_say():
    with pytest.raises(InvalidClient):
        SIXTH_DIALECT.decode_token_response(answer(b'{"fault":2,"why":"other words"}', 400))
