"""Randomness drawn ahead: every octet is given once."""

from __future__ import annotations

import os

import pytest

from mintmark.tokens.randomness import DRAWN_OCTETS, Randomness


@pytest.mark.rfc("6749", "10.10")
def test_every_octet_is_given_once_and_in_the_system_s_order(monkeypatch):
    drawn: list[bytes] = []
    real = os.urandom

    def draw(count: int) -> bytes:
        drawn.append(real(count))
        return drawn[-1]

    monkeypatch.setattr(os, "urandom", draw)
    randomness = Randomness()

    given = [randomness(count) for count in (16, 32, DRAWN_OCTETS - 48, 1, DRAWN_OCTETS * 2, 5)]

    assert b"".join(given[:3]) == drawn[0]
    assert given[3] == drawn[1][:1]
    assert given[4] == drawn[2]
    assert [len(octets) for octets in given] == [16, 32, DRAWN_OCTETS - 48, 1, DRAWN_OCTETS * 2, 5]
    assert repr(randomness) == "Randomness()"
