"""The vendor's bound on calls a second, where it is set."""

from __future__ import annotations

import pytest

from mintmark.api.omada.call_rate import MAX_CALLERS, CallRate
from tests.manage.omada.world import OMADAC_ID, Omada


class Second:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_token_has_so_many_calls_a_second_and_takes_none_from_another():
    second = Second()
    rate = CallRate(3, second)

    assert [rate.admits(b"a") for _ in range(5)] == [True] * 3 + [False] * 2
    assert rate.admits(b"b")
    second.now += 1
    assert rate.admits(b"a")


def test_memory_is_bounded_whatever_is_shown():
    rate = CallRate(1, Second())
    for number in range(MAX_CALLERS + 10):
        assert rate.admits(b"%d" % number)

    assert len(rate._calls) == MAX_CALLERS
    assert not rate.admits(b"0")


@pytest.mark.parametrize("bound", [0, 2])
async def test_a_call_above_the_bound_is_refused_as_the_vendor_does(omada: Omada, bound: int):
    api = next(mounted for path, mounted in omada.world.application._mounts if path == "/openapi/v1")
    api._rate = CallRate(bound, Second())  # type: ignore[attr-defined]
    token = await omada.token("owner")
    answers = [await omada.send("GET", f"/openapi/v1/{OMADAC_ID}/roles", token=token) for _ in range(3)]

    assert [one.json["errorCode"] for one in answers] == [0, 0, -7132 if bound else 0]
    assert answers[-1].status == (429 if bound else 200)
