"""Load above capacity: how many are shed, and when none is."""

from __future__ import annotations

import asyncio

from mintmark.http.shedding import CROWD, LEAST_SHARE, WATCHED_S, Shedding

AFTER_S = 0.1


def count_taken(shedding: Shedding, requests: int = 1000) -> int:
    return sum(not shedding.is_shed() for _ in range(requests))


async def test_where_turns_are_short_nobody_is_shed():
    shedding = Shedding(AFTER_S)
    shedding.note_lateness(now=100.0, late_s=AFTER_S / 4)
    assert not shedding.is_watching
    shedding.note_turn(AFTER_S / 4)
    assert count_taken(shedding) == 1000


async def test_as_many_are_shed_as_make_a_turn_short_again():
    shedding = Shedding(AFTER_S)
    shedding.note_lateness(now=100.0, late_s=2 * AFTER_S)
    assert shedding.is_watching
    # Of one alone nothing follows: the process may have stood still.
    shedding.note_turn(2 * AFTER_S)
    assert count_taken(shedding) == 1000
    shedding.note_turn(2 * AFTER_S)
    assert count_taken(shedding) == 500


async def test_whoever_stands_last_in_a_turn_has_the_same_share_as_the_first():
    shedding = Shedding(AFTER_S)
    for _ in range(2):
        shedding.note_turn(2 * AFTER_S)
    assert [count_taken(shedding, 100) for _ in range(10)] == [50] * 10


async def test_some_are_always_taken():
    shedding = Shedding(AFTER_S)
    for _ in range(10):
        shedding.note_turn(100 * AFTER_S)
    assert count_taken(shedding) == 1000 * LEAST_SHARE


async def test_when_turns_are_short_again_all_are_taken_again():
    shedding = Shedding(AFTER_S)
    shedding.note_lateness(now=100.0, late_s=AFTER_S)
    for _ in range(2):
        shedding.note_turn(10 * AFTER_S)
    # A turn that is just as long as it may be is not answered by more.
    shedding.note_turn(AFTER_S)
    assert count_taken(shedding) < 500
    for _ in range(20):
        shedding.note_turn(AFTER_S / 10)
    assert count_taken(shedding) == 1000
    shedding.note_lateness(now=100.0 + WATCHED_S + 1, late_s=0.0)
    assert not shedding.is_watching


async def test_a_slow_turn_of_few_requests_sheds_nobody():
    shedding = Shedding(AFTER_S)
    for _ in range(2):
        shedding.note_turn(10 * AFTER_S, CROWD - 1)
    assert count_taken(shedding) == 1000
    for _ in range(2):
        shedding.note_turn(10 * AFTER_S, CROWD)
    assert count_taken(shedding) < 1000
    shedding.note_turn(10 * AFTER_S, 1)
    assert count_taken(shedding) == 1000


async def test_the_requests_of_a_turn_are_counted_anew_in_each():
    shedding = Shedding(1e-9)
    for _ in range(3):
        count_taken(shedding, CROWD - 1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert count_taken(shedding) == 1000
