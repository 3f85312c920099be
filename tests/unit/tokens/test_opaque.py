"""Opaque tokens: their form, and that every character is as likely as another."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mintmark.authentication.keyed_hash import KeyedHash, name_generation
from mintmark.grants.rules import Alphabet, OpaqueForm
from mintmark.tokens.opaque import ALPHANUMERIC, digest_token, format_uuid, mint_opaque

ALPHABETS = {"hex": "[0-9a-f]", "alphanumeric": "[A-Za-z0-9]", "base64url": "[A-Za-z0-9_-]"}


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    alphabet=st.sampled_from(sorted(ALPHABETS)),
    length=st.integers(22, 200),
    prefix=st.sampled_from(["", "AT-", "mmt_"]),
    randomness=st.randoms(use_true_random=False),
)
def test_a_token_is_its_prefix_and_so_many_characters(alphabet: Alphabet, length: int, prefix: str, randomness):
    form = OpaqueForm(alphabet=alphabet, length=length, prefix=prefix)

    token = mint_opaque(form, randomness.randbytes)

    assert re.fullmatch(f"{re.escape(prefix)}{ALPHABETS[alphabet]}{{{length}}}", token)


def test_a_token_in_the_form_of_a_uuid_is_random_in_all_its_bits():
    form = OpaqueForm(alphabet="uuid", length=36)
    octets = [bytes.fromhex(mint_opaque(form, os.urandom).replace("-", "")) for _ in range(300)]

    ones, zeros = 0, 0
    for one in octets:
        ones |= int.from_bytes(one, "big")
        zeros |= ~int.from_bytes(one, "big")
    assert ones == zeros & (2**128 - 1) == 2**128 - 1


@pytest.mark.rfc("9562", "5.4")
@settings(max_examples=50, derandomize=True)
@given(octets=st.binary(min_size=16, max_size=16))
def test_a_jti_is_a_version_4_uuid(octets: bytes):
    text = format_uuid(KeyedHash(bytes(32)).stamp_jti(octets, name_generation("tenant", "client", 1, 1)))
    parsed = uuid.UUID(text)

    assert (str(parsed), parsed.version, parsed.variant) == (text, 4, uuid.RFC_4122)


@pytest.mark.rfc("6749", "10.10")
def test_no_alphanumeric_character_is_likelier_than_another():
    every_octet = bytes(range(256))
    form = OpaqueForm(alphabet="alphanumeric", length=248)

    counts = Counter(mint_opaque(form, lambda size: every_octet))

    assert counts == dict.fromkeys(ALPHANUMERIC, 4)


@pytest.mark.rfc("6749", "10.10")
def test_randomness_is_asked_for_as_many_bits_as_the_token_shows():
    asked: list[int] = []

    def randomness(size: int) -> bytes:
        asked.append(size)
        return os.urandom(size)

    rows: list[tuple[Alphabet, int, int]] = [
        ("hex", 32, 16),
        ("base64url", 43, 33),
        ("uuid", 36, 16),
        ("alphanumeric", 32, 32),
    ]
    for alphabet, length, octets in rows:
        asked.clear()
        mint_opaque(OpaqueForm(alphabet=alphabet, length=length), randomness)
        assert sum(asked) >= octets


def test_what_is_kept_of_a_token_is_its_sha_256_digest():
    assert digest_token("AT-x") == hashlib.sha256(b"AT-x").digest()
