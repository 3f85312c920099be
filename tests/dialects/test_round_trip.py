"""The round-trip law: what one side writes in a dialect, the other side reads back unchanged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.dialects.catalogue import load_dialects
from mintmark.dialects.codec import Dialect
from mintmark.protocol.errors import REASONS, OAuthError
from mintmark.protocol.messages import ClientCredentials, TokenRequest, TokenResponse
from mintmark.protocol.secret import Secret
from tests.dialects.transcripts import reveal

DIALECTS = load_dialects()
LONGEST_S = 9_223_372_036_854_775

awkward = st.sampled_from([":", "%", "+", " ", "a:b", "%2B", "%zz", "&=?#", '"\\', "ä", "秘密", "🗝", "\x7f", "\u2028"])
characters = st.characters(exclude_categories=["Cs"])
texts = st.lists(st.one_of(awkward, st.text(characters, min_size=1)), min_size=1, max_size=6).map("".join)
scope_tokens = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"\\'), min_size=1)
scopes = st.lists(scope_tokens, min_size=1, max_size=5).map(" ".join)
secrets = texts.map(Secret)

every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
every_refusal = pytest.mark.parametrize("reason", REASONS)


def methods_of(dialect: Dialect) -> tuple[str, ...]:
    return dialect.authentication_methods or ("client_secret_post",)


@st.composite
def token_requests(draw, dialect: Dialect) -> TokenRequest:
    rows = {row.canonical: row for row in dialect.definition.wire.request.parameters}
    method = draw(st.sampled_from(methods_of(dialect)))
    credentials = ClientCredentials(method, draw(texts), draw(secrets))
    drawn = {
        name: draw(values if "client_credentials" in rows[name].required_for else st.none() | values)
        for name, values in {"scope": scopes, "refresh_token": secrets, "tenant_identifier": texts}.items()
        if name in rows
    }
    return TokenRequest("client_credentials", (credentials,), **drawn)


@st.composite
def token_responses(draw, dialect: Dialect) -> TokenResponse:
    drawn = {}
    for row in dialect.definition.wire.success.members:
        values = {"token": secrets, "string": texts, "seconds": st.integers(0, LONGEST_S)}[row.codec]
        drawn[row.canonical] = draw(st.none() | values if row.optional else values)
    return TokenResponse(**drawn)


@pytest.mark.rfc("6749", "2.3.1")
@pytest.mark.rfc("6749", "4.4.2")
@every_dialect
@given(data=st.data())
def test_the_server_reads_the_token_request_that_the_client_wrote(dialect, data):
    request = data.draw(token_requests(dialect))
    assert reveal(dialect.decode_token_request(dialect.encode_token_request(request))) == reveal(request)


@pytest.mark.rfc("6749", "5.1")
@every_dialect
@given(data=st.data())
def test_the_client_reads_the_token_response_that_the_server_wrote(dialect, data):
    response = data.draw(token_responses(dialect))
    assert reveal(dialect.decode_token_response(dialect.encode_token_response(response))) == reveal(response)


@every_dialect
@every_refusal
def test_the_client_reads_the_refusal_that_the_server_wrote(dialect, reason):
    answer = dialect.encode_error(REASONS[reason].error(reason))
    with pytest.raises(OAuthError) as caught:
        dialect.decode_token_response(answer)
    errors = dialect.definition.wire.errors
    listed = {name: row.reads_as for row in errors.rows for name in row.reasons}
    code = REASONS[reason].error.code
    assert caught.value.code == listed.get(reason, listed.get(code, listed["invalid_request"]))


@every_dialect
def test_writing_refuses_a_value_that_the_dialect_has_no_place_for(dialect):
    placed = {row.canonical for row in dialect.definition.wire.request.parameters}
    values: dict[str, Any] = {"scope": "a", "refresh_token": Secret("b"), "tenant_identifier": "c"}
    for name in values.keys() - placed:
        with pytest.raises(ValueError, match=name):
            dialect.encode_token_request(TokenRequest("client_credentials", **{name: values[name]}))


def test_writing_refuses_basic_in_a_dialect_without_it():
    credentials = ClientCredentials("client_secret_basic", "id", Secret("secret"))
    with pytest.raises(ValueError, match="Basic"):
        DIALECTS["omada"].encode_token_request(TokenRequest("client_credentials", (credentials,)))
