"""Every golden transcript in the four directions of a dialect. What is expected is the vendors' text, not our TOML."""

from __future__ import annotations

import re

import pytest

from mintmark.dialects.catalogue import load_dialects
from mintmark.protocol.errors import REASONS, OAuthError
from tests.dialects.transcripts import (
    Transcript,
    is_like,
    read_pairs,
    read_transcripts,
    reveal,
    spell,
)

DIALECTS = load_dialects()
TRANSCRIPTS = read_transcripts()
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")


def those_that_tell(direction: str, *tables: str) -> pytest.MarkDecorator:
    chosen = [one for one in TRANSCRIPTS if one.tells(direction, *tables)]
    return pytest.mark.parametrize("told", chosen, ids=[f"{one.dialect}/{one.path.stem}" for one in chosen])


@those_that_tell("server reads", "request")
def test_the_server_reads_the_request(told):
    request = DIALECTS[told.dialect].decode_token_request(told.request)
    assert reveal(request) == reveal(told.token_request)


@those_that_tell("server reads", "refused_by_decode")
def test_the_server_refuses_what_breaks_the_form(told):
    with pytest.raises(OAuthError) as caught:
        DIALECTS[told.dialect].decode_token_request(told.request)
    assert caught.value.reason == told.meaning["refused_by_decode"]


@those_that_tell("client writes", "request")
def test_the_client_writes_the_request(told):
    written = DIALECTS[told.dialect].encode_token_request(told.token_request)
    assert spell(written) == spell(told.request)


@those_that_tell("server writes", "response")
def test_the_server_writes_the_success_answer(told):
    written = DIALECTS[told.dialect].encode_token_response(told.token_response)
    assert_like_the_transcript(told, written, read_pairs(written.body))


@those_that_tell("server writes", "error")
def test_the_server_writes_the_error_answer(told):
    for reason in told.meaning["error"].get("reasons", []):
        written = DIALECTS[told.dialect].encode_error(
            REASONS[reason].error(reason),
            issuer=f"https://{told.host}",
            header_used=b"authorization" in told.request.headers,
        )
        pairs = read_pairs(written.body)
        if told.meaning["error"].get("is_described"):
            name, description = pairs.pop()
            assert name == "error_description"
            assert DESCRIPTION.fullmatch(description)
        assert_like_the_transcript(told, written, pairs)


@those_that_tell("client reads", "response")
def test_the_client_reads_the_success_answer(told):
    response = DIALECTS[told.dialect].decode_token_response(told.response)
    assert reveal(response) == reveal(told.token_response)


@those_that_tell("client reads", "error")
def test_the_client_reads_the_error_answer(told):
    with pytest.raises(OAuthError) as caught:
        DIALECTS[told.dialect].decode_token_response(told.response)
    assert caught.value.code == told.meaning["error"]["raises"]


def test_every_dialect_has_transcripts_of_a_success_and_of_errors():
    told = {(one.dialect, table) for one in TRANSCRIPTS for table in ("response", "error") if table in one.meaning}
    assert told == {(name, table) for name in DIALECTS for table in ("response", "error")}


def assert_like_the_transcript(told: Transcript, written, pairs) -> None:
    assert written.status == told.response.status
    assert is_like(read_pairs(told.response.body), pairs), pairs
    for name, value in told.response.headers:
        assert written.header(name) == value
    for name in told.meaning.get("absent_headers", []):
        assert written.header(name.encode()) is None
