"""Load above capacity: how many are shed, and when none is."""

from __future__ import annotations

import asyncio

import pytest

from mintmark.http.shedding import CROWD, LEAST_SHARE, SHED_COST, WATCHED_S, Shedding

AFTER_S = 100.0
"""So long that no test's own turns are long."""
A_SECOND = 10
"""Requests that are taken, of nothing else."""


def count_taken(shedding: Shedding, requests: int = 1000) -> int:
    return sum(not shedding.is_shed() for _ in range(requests))


async def test_where_turns_are_short_nobody_is_shed():
    shedding = Shedding(AFTER_S)
    shedding.note_lateness(now=100.0, late_s=AFTER_S / 4)
    assert shedding.watch_from > 100.0
    shedding.note_turn(AFTER_S / 4)
    assert count_taken(shedding) == 1000


async def test_as_many_are_shed_as_make_a_turn_short_again_what_it_costs_to_shed_them_counted():
    shedding = Shedding(AFTER_S)
    shedding.note_lateness(now=100.0, late_s=2 * AFTER_S)
    assert shedding.watch_from < 100.0
    # Of one alone nothing follows: the process may have stood still.
    shedding.note_turn(2 * AFTER_S)
    assert count_taken(shedding) == 1000
    shedding.note_turn(2 * AFTER_S)
    taken = count_taken(shedding)
    assert 2 * (taken + (1000 - taken) * SHED_COST) == pytest.approx(1000, abs=2)


async def test_a_turn_that_grows_is_met_before_it_is_too_long():
    shedding = Shedding(AFTER_S)
    shedding.note_turn(0.4 * AFTER_S)
    shedding.note_turn(0.8 * AFTER_S)
    assert count_taken(shedding) < 1000


async def test_whoever_stands_last_in_a_turn_has_the_same_share_as_the_first():
    shedding = Shedding(AFTER_S)
    for _ in range(2):
        shedding.note_turn(1.6 * AFTER_S)
    taken = [count_taken(shedding, 100) for _ in range(10)]
    assert max(taken) < 60
    assert max(taken) - min(taken) <= 1


async def test_some_are_always_taken():
    shedding = Shedding(AFTER_S)
    for _ in range(10):
        shedding.note_turn(100 * AFTER_S)
    assert count_taken(shedding) == pytest.approx(1000 * LEAST_SHARE, abs=1)


async def test_when_turns_are_short_again_all_are_taken_again():
    shedding = Shedding(AFTER_S)
    shedding.note_lateness(now=100.0, late_s=AFTER_S)
    for _ in range(2):
        shedding.note_turn(10 * AFTER_S)
    # A turn that is just as long as it may be, as the one before, is not answered by more.
    for _ in range(2):
        shedding.note_turn(AFTER_S)
    assert count_taken(shedding) < 500
    for _ in range(20):
        shedding.note_turn(AFTER_S / 10)
    assert count_taken(shedding) == 1000
    shedding.note_lateness(now=100.0 + WATCHED_S + 1, late_s=0.0)
    assert shedding.watch_from > 100.0


@pytest.mark.parametrize("load", [1.5, 2.0, 2.5])
async def test_under_a_load_above_capacity_turns_become_as_long_as_they_may_be_and_stay_so(load: float):
    """What comes during a turn is what the next one answers; times are reckoned, not taken."""
    shedding = Shedding(AFTER_S)
    lengths = [AFTER_S / 50]
    for _ in range(100):
        came = int(lengths[-1] * load * A_SECOND)
        taken = count_taken(shedding, came)
        lengths.append((taken + (came - taken) * SHED_COST) / A_SECOND)
        shedding.note_turn(lengths[-1], came)
    assert max(lengths) < 2 * AFTER_S
    assert lengths[-20:] == pytest.approx([AFTER_S] * 20, rel=0.05)


async def test_a_slow_turn_of_few_requests_sheds_nobody():
    shedding = Shedding(AFTER_S)
    for _ in range(2):
        shedding.note_turn(10 * AFTER_S, CROWD - 1)
    assert count_taken(shedding) == 1000
    for _ in range(2):
        shedding.note_turn(10 * AFTER_S, CROWD)
    assert count_taken(shedding) < 1000
    for _ in range(20):
        shedding.note_turn(10 * AFTER_S, 1)
    assert count_taken(shedding) == 1000


async def test_long_turns_are_known_though_there_are_short_ones_between_them():
    shedding = Shedding(AFTER_S)
    for _ in range(5):
        shedding.note_turn(AFTER_S / 10, 1)
        shedding.note_turn(AFTER_S / 10)
        shedding.note_turn(5 * AFTER_S)
    assert count_taken(shedding) < 500


async def test_one_long_turn_in_a_while_sheds_nobody():
    shedding = Shedding(AFTER_S)
    for now in (100.0, 200.0):
        shedding.note_lateness(now=now, late_s=5 * AFTER_S)
        shedding.note_turn(5 * AFTER_S)
        assert count_taken(shedding) == 1000
        shedding.note_lateness(now=now + WATCHED_S + 1, late_s=0.0)


async def test_the_requests_of_a_turn_are_counted_anew_in_each():
    shedding = Shedding(1e-9)
    for _ in range(4):
        assert count_taken(shedding, CROWD - 1) == CROWD - 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_a_turn_that_does_not_end_is_judged_while_it_lasts():
    assert count_taken(Shedding(1e-9)) < 500


async def test_where_no_look_comes_in_time_the_requests_are_asked_about():
    shedding = Shedding(AFTER_S)
    shedding.note_lateness(now=100.0, late_s=0.0)
    assert 100.0 < shedding.watch_from < 100.0 + AFTER_S
