"""What each fault cost, as the table of docs/reliability.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from soak.journal import Entry, Window
from soak.laws import given_tokens_are_alive

HEADINGS: Final = (
    "fault",
    "answers",
    "errors",
    "of them JWTs",
    "seconds with errors",
    "recovered, s",
    "longest, s",
    "taken for dead",
)
JWT: Final = "self-contained"


class Cost(NamedTuple):
    """What the callers noticed of a fault."""

    window: Window
    answers: int
    errors: int
    jwt_errors: int
    """Errors of a client that is in memory and asks for JWTs."""
    bad_seconds: int
    """In how many seconds something failed."""
    recovery_s: float
    """From when it had been mended until every caller was answered well, and by every node."""
    longest_s: float
    """The longest that anybody waited for an answer, good or not."""
    taken_for_dead: int
    """How often a node whose clock differs found a token dead that was alive."""


def cost_of(window: Window, journal: Sequence[Entry]) -> Cost:
    """Return the cost of a fault."""
    during = [entry for entry in journal if window.overlaps(entry.began, entry.ended)]
    errors = [entry for entry in during if not entry.outcome]
    return Cost(
        window,
        len(during) - len(errors),
        len(errors),
        sum(entry.act == "issue" and entry.subject == JWT for entry in errors),
        len({int(entry.ended) for entry in errors}),
        window.recovered - window.healed,
        max((entry.ended - entry.began for entry in during), default=0.0),
        taken_for_dead(window, journal),
    )


def taken_for_dead(window: Window, journal: Sequence[Entry]) -> int:
    """Return what the law of live tokens would find in the time of a fault, were no clock excused."""
    if not window.skew_s:
        return 0
    looked = [entry for entry in journal if entry.act != "introspect" or window.overlaps(entry.began, entry.ended)]
    return sum(1 for _ in given_tokens_are_alive(looked, [window._replace(skew_s=0)]))


def table(windows: Sequence[Window], journal: Sequence[Entry]) -> str:
    """Return the table in Markdown."""
    return "\n".join(lines(windows, journal))


def lines(windows: Sequence[Window], journal: Sequence[Entry]) -> Iterator[str]:
    """Yield the table's lines."""
    yield f"| {' | '.join(HEADINGS)} |"
    yield "|" + "---|" * len(HEADINGS)
    for cost in (cost_of(window, journal) for window in windows):
        numbers = f"{cost.answers:,} | {cost.errors:,} | {cost.jwt_errors:,} | {cost.bad_seconds}"
        seconds = f"{cost.recovery_s:.1f} | {cost.longest_s:.1f}"
        yield f"| {cost.window.fault} | {numbers} | {seconds} | {cost.taken_for_dead:,} |"
