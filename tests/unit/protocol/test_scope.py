"""The grammar of scope. RFC: 6749 section 3.3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.protocol.scope import format_scope, is_scope_token, parse_scope

ALLOWED = {0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F)}
scope_tokens = st.text(st.sampled_from(sorted(map(chr, ALLOWED))), min_size=1)

pytestmark = pytest.mark.rfc("6749", "3.3")


@given(st.lists(scope_tokens, min_size=1, unique=True))
def test_scope_tokens_come_back_in_the_order_given(tokens):
    assert parse_scope(format_scope(tuple(tokens))) == tuple(tokens)


@given(scope_tokens, scope_tokens)
def test_a_repeated_scope_token_counts_once(one, other):
    assert parse_scope(f"{one} {other} {one}") == tuple(dict.fromkeys([one, other]))


@given(st.characters())
def test_a_scope_token_is_of_the_rfcs_characters_alone(character):
    assert is_scope_token(character) is (ord(character) in ALLOWED)


@given(st.text())
def test_a_text_is_a_scope_exactly_when_its_parts_are_scope_tokens(text):
    is_scope = all(is_scope_token(part) for part in text.split(" "))
    assert (parse_scope(text) is not None) is is_scope


@pytest.mark.parametrize("text", ["", " ", " a", "a ", "a  b", "a\tb", "a\nb", "a\n", 'say"', "back\\slash", "ä"])
def test_a_text_that_breaks_the_grammar_is_no_scope(text):
    assert parse_scope(text) is None


def test_scope_tokens_keep_their_case_and_every_sign_that_brokers_use():
    assert parse_scope("Read read broker.write:*/*") == ("Read", "read", "broker.write:*/*")
