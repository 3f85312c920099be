"""The brake on guessing, by itself and against a model that keeps everything."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mintmark.authentication import throttle
from mintmark.authentication.throttle import MAX_ENTRIES, WINDOW_S, FailureThrottle
from mintmark.protocol.errors import TemporarilyUnavailable

EVENTS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("tu"), st.sampled_from("xyz"), st.integers(0, 40)), max_size=60
)


def is_braked(brake: FailureThrottle, source: str, tenant: str, client: str, now: int) -> bool:
    try:
        brake.check(source, tenant, client, now)
    except TemporarilyUnavailable as error:
        assert error.reason == "too_many_attempts"
        return True
    return False


@pytest.mark.rfc("6749", "10.10")
@settings(max_examples=60, derandomize=True, deadline=None)
@given(events=EVENTS)
def test_a_caller_is_braked_when_a_count_of_this_minute_reaches_its_limit(events: list[tuple[str, str, str, int]]):
    brake = FailureThrottle(per_client=3, per_source=5)
    model: Counter[tuple[object, ...]] = Counter()
    now = 0
    for source, tenant, client, elapsed in events:
        now += elapsed
        window = now // WINDOW_S
        expected = model[window, source, tenant, client] >= 3 or model[window, source] >= 5
        assert is_braked(brake, source, tenant, client, now) == expected
        brake.record_failure(source, tenant, client, now)
        model[window, source, tenant, client] += 1
        model[window, source] += 1


def test_memory_is_bounded_by_entries_and_by_their_size():
    brake = FailureThrottle(per_client=3, per_source=10)
    for number in range(MAX_ENTRIES + 50):
        brake.record_failure(f"source {number}", "t", "x" * 60_000, 0)

    assert len(brake._failures) == MAX_ENTRIES
    assert max(len(part) for key in brake._failures for part in key) <= 256


def test_ids_that_differ_behind_what_an_id_may_hold_are_counted_together():
    brake = FailureThrottle(per_client=2, per_source=100)
    for number in range(2):
        brake.record_failure("a", "t", "x" * 300 + str(number), 0)

    assert is_braked(brake, "a", "t", "x" * 300 + "9", 0)
    assert not is_braked(brake, "a", "t", "x" * 255, 0)


def test_an_empty_client_id_is_not_the_count_of_the_caller():
    brake = FailureThrottle(per_client=100, per_source=2)
    brake.record_failure("a", "t", "", 0)

    assert not is_braked(brake, "a", "t", "", 0)


def test_the_window_is_a_minute():
    assert throttle.WINDOW_S == 60
