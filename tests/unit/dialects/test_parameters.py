"""Reading parameters from form, query, JSON and Basic header, each name once."""

from __future__ import annotations

import json
from base64 import b64encode
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.dialects.parameters import (
    MAX_PARAMETERS,
    encode_form,
    read_basic,
    read_form,
    read_json,
    write_basic,
)
from mintmark.protocol.errors import InvalidClient, InvalidRequest
from mintmark.protocol.messages import ClientCredentials
from mintmark.protocol.secret import Secret
from tests.dialects.transcripts import reveal

characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, min_size=1)


def basic(text: str | bytes, scheme: bytes = b"Basic ") -> bytes:
    return scheme + b64encode(text if isinstance(text, bytes) else text.encode())


def read_pair(header: bytes) -> tuple[str, str | None]:
    credentials = read_basic(header)
    return credentials.client_id, reveal(credentials.client_secret)


def raised_by(read, octets: bytes) -> str:
    with pytest.raises((InvalidRequest, InvalidClient)) as caught:
        read(octets)
    return caught.value.reason


@pytest.mark.rfc("6749", "3.2")
@pytest.mark.parametrize("octets", [b"a=1&a=2", b"a=1&a=1", b"a=1&b=2&%61=3"])
def test_a_repeated_parameter_is_refused(octets):
    assert raised_by(read_form, octets) == "repeated_parameter"


@pytest.mark.rfc("8707", "2")
def test_resource_and_audience_may_repeat():
    assert read_form(b"resource=a&resource=b&audience=c&audience=d").keys() == {"resource", "audience"}


@pytest.mark.rfc("6749", "3.2")
@pytest.mark.parametrize("octets", [b"", b"a=", b"a", b"&&", b"a&a=", b"=&="])
def test_a_parameter_without_a_value_is_absent(octets):
    assert read_form(octets) == {}


@pytest.mark.rfc("6749", "3.2")
def test_a_parameter_without_a_value_does_not_repeat_one_with_a_value():
    assert read_form(b"a=&a=1") == {"a": "1"}


@pytest.mark.rfc("6749", "B")
def test_form_text_is_percent_decoded_utf_8_with_plus_for_space():
    assert read_form(b"scope=a+b%20c%2Bd&%C3%A4=%E2%82%AC") == {"scope": "a b c+d", "ä": "€"}


@pytest.mark.parametrize("octets", [b"a=%ff", b"a=\xff", b"%c3=1", b"a=%ed%a0%80"])
def test_what_is_not_utf_8_is_malformed(octets):
    assert raised_by(read_form, octets) == "malformed_body"


@pytest.mark.parametrize("value", ["%", "%zz", "%4", "100%"])
def test_a_percent_sign_that_escapes_nothing_stands_for_itself(value):
    assert read_form(f"a={value}".encode()) == {"a": value}


def test_a_value_may_hold_the_equals_sign():
    assert read_form(b"a=b=c") == {"a": "b=c"}


def test_too_many_parameters_are_malformed():
    assert len(read_form(b"&".join(b"a%d=1" % n for n in range(MAX_PARAMETERS)))) == MAX_PARAMETERS
    assert raised_by(read_form, b"&" * MAX_PARAMETERS) == "malformed_body"


@pytest.mark.rfc("6749", "B")
@given(st.dictionaries(texts, texts, max_size=10))
def test_a_form_reads_back_as_it_was_written(fields):
    assert read_form(encode_form(fields)) == fields


@given(st.dictionaries(texts, texts))
def test_a_json_object_reads_back_as_it_was_written(fields):
    assert read_json(json.dumps(fields).encode()) == fields


@pytest.mark.parametrize("text", ['{"a":"1","a":"2"}', '{"a":"1","\\u0061":"1"}', '{"a":"1","b":{"c":1,"c":2}}'])
def test_a_repeated_json_member_is_refused(text):
    assert raised_by(read_json, text.encode()) == "repeated_parameter"


def test_json_members_that_are_no_text_or_empty_are_absent():
    members = {"a": None, "b": "", "c": 1, "d": True, "e": ["x"], "f": {"g": "x"}, "h": "x"}
    assert read_json(json.dumps(members).encode()) == {"h": "x"}


@pytest.mark.parametrize(
    "octets",
    [
        b"{",
        b"[]",
        b'"a"',
        b"null",
        b"{}{}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b"{'a':1}",
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b"\xef\xbb\xbf{}",
        '{"a":"1"}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' + b"1" * 5000 + b"}",
    ],
)
def test_what_is_not_one_json_object_in_utf_8_is_malformed(octets):
    assert raised_by(read_json, octets) == "malformed_body"


@pytest.mark.rfc("7617", "2")
@pytest.mark.parametrize("scheme", [b"Basic ", b"basic ", b"BASIC ", b"Basic   "])
def test_the_basic_scheme_is_read_in_any_case(scheme):
    assert read_pair(basic("id:secret", scheme)) == ("id", "secret")


@pytest.mark.rfc("6749", "2.3.1")
@given(texts, texts)
def test_form_encoded_halves_are_decoded(client_id, client_secret):
    header = basic(f"{quote_plus(client_id)}:{quote_plus(client_secret)}")
    assert read_pair(header) == (client_id, client_secret)


@pytest.mark.rfc("6749", "2.3.1")
def test_halves_that_are_escaped_to_the_last_sign_are_decoded():
    assert read_pair(basic("my%2Did:s%2Ee%5Fc%7Er%65t")) == ("my-id", "s.e_c~ret")


@pytest.mark.rfc("6749", "2.3.1")
@given(texts, texts)
def test_percent_encoded_halves_are_decoded(client_id, client_secret):
    assert read_pair(basic(f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}")) == (
        client_id,
        client_secret,
    )


@given(texts.filter(lambda text: ":" not in text), texts)
def test_raw_halves_are_always_one_of_the_readings(client_id, client_secret):
    credentials = read_basic(basic(f"{client_id}:{client_secret}"))
    reading = credentials.raw or credentials
    assert (reading.client_id, reveal(reading.client_secret)) == (client_id, client_secret)


def test_a_raw_secret_with_percent_and_plus_keeps_both_readings():
    credentials = read_basic(basic("id:a%41+b"))
    assert reveal(credentials.client_secret) == "aA b"
    assert credentials.raw is not None
    assert reveal(credentials.raw.client_secret) == "a%41+b"


def test_a_raw_secret_whose_decoded_octets_are_not_utf_8_has_one_reading():
    credentials = read_basic(basic("id:pass%ffword"))
    assert (reveal(credentials.client_secret), credentials.raw) == ("pass%ffword", None)


def test_a_text_that_reads_the_same_either_way_has_one_reading():
    assert read_basic(basic("id:secret")).raw is None


@pytest.mark.rfc("7617", "2")
def test_the_secret_may_hold_colons_and_the_id_may_not():
    assert read_pair(basic("id:a:b:")) == ("id", "a:b:")


def test_a_header_that_ends_after_the_colon_holds_the_empty_secret():
    assert read_pair(basic("id:")) == ("id", "")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Basic",
        b"Basic ",
        b"Bearer aWQ6c2VjcmV0",
        b"Basicx aWQ6c2VjcmV0",
        b"aWQ6c2VjcmV0",
        b"Basic aWQ6c2VjcmV0, Basic aWQ6c2VjcmV0",
        b"Basic aWQ6c2Vj cmV0",
        b"Basic aWQ6cw",
        b"Basic aWQ6c2-_",
        b"Basic ???",
        basic("no colon"),
        basic(":no id"),
        basic(b"id:\xff"),
        basic(b"\xff:secret"),
    ],
)
def test_a_malformed_authorization_header_is_refused(header):
    assert raised_by(read_basic, header) == "malformed_authorization"


@given(st.binary())
def test_any_octets_are_credentials_or_malformed(octets):
    for header in (octets, b"Basic " + octets, basic(octets)):
        try:
            credentials = read_basic(header)
        except InvalidClient as error:
            assert error.reason == "malformed_authorization"
        else:
            assert credentials.client_id


@pytest.mark.rfc("6749", "2.3.1")
@given(texts, texts)
def test_a_basic_header_reads_back_as_it_was_written(client_id, client_secret):
    written = write_basic(ClientCredentials("client_secret_basic", client_id, Secret(client_secret)))
    assert read_pair(written) == (client_id, client_secret)
