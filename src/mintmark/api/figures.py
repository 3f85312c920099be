"""How often and how fast the management APIs answer: one count and one duration for each call over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Final, Literal

from mintmark.metrics.board import Sheet
from mintmark.metrics.catalogue import CALL, CALLS
from mintmark.metrics.meters import make_counter, make_histogram

Api = Literal["rest", "omada"]
Outcome = Literal["done", "refused", "failed"]
NO_OPERATION: Final = "none"
"""What finds no row of a table, such as the page for people, or a path that nobody has."""
NO_TENANT: Final = ""


class CallNote:
    """One call, while it is answered. Its labels come from a table or are a tenant's that is there."""

    __slots__ = ("began", "operation", "tenant_id")

    def __init__(self) -> None:
        self.began = perf_counter()
        self.operation = NO_OPERATION
        self.tenant_id = NO_TENANT


TakeNote = Callable[[CallNote, Outcome], None]
"""Counts a call that was answered."""


def make_taker(sheet: Sheet, api: Api) -> TakeNote:
    """Return what counts the calls of an API."""
    count, observe = make_counter(sheet, CALLS), make_histogram(sheet, CALL)

    def take(note: CallNote, outcome: Outcome) -> None:
        count(api, note.tenant_id, note.operation, outcome)
        observe(perf_counter() - note.began, api, note.operation)

    return take


def outcome_of(status: int) -> Outcome:
    """Return what an HTTP status says of a call."""
    return "done" if status < 400 else "refused" if status < 500 else "failed"
