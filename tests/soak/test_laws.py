"""A law that cannot fail is no law: each is shown a journal that keeps it, and journals that break it."""

from __future__ import annotations

from typing import Any

import pytest

from soak.figures import cost_of, table
from soak.journal import Entry, Window, recovered_at
from soak.laws import LAWS, breaches

CUT = Window("cut off", 10.0, 30.0, 31.0, node="n1", is_cut=True)
AHEAD = Window("ahead", 10.0, 30.0, 31.0, node="n3", skew_s=30)
AWAY = Window("away", 10.0, 15.0, 16.0, is_cut=True)


def entry(act: str, subject: str, at: float, outcome: str, **named: Any) -> Entry:
    """An answer after a tenth of a second."""
    named = {"node": "n1", "status": 200 if outcome else 503} | named
    return Entry(at, at + 0.1, act, subject, outcome=outcome, **named)


def issue(client: str, at: float, *given: str, **named: Any) -> Entry:
    named = {"given": given, "lifetime_s": 60} | named
    return entry("issue", client, at, "granted" if given else "refused", **named)


def look(token: str, at: float, outcome: str, node: str = "n1") -> Entry:
    return entry("introspect", token, at, outcome, node=node)


def rotate(at: float, secret: str, outcome: str = "done") -> Entry:
    return entry("rotate", "c", at, outcome, given=(secret,) if secret else ())


GIVEN = issue("c", 1.0, "t")
REVOKED = entry("revoke", "t", 2.0, "done")
SUSPENDED = entry("suspend", "c", 12.0, "done")
RESUMED = entry("resume", "c", 20.0, "done")
WON = entry("refresh", "r", 2.0, "granted", given=("t2", "r2"), lifetime_s=60, family="r")

KEPT = {
    "a token is looked at and lives": ([GIVEN, look("t", 2.0, "active")], []),
    "it is dead when it has expired": ([GIVEN, look("t", 62.5, "dead")], []),
    "it may be dead from the request to revoke it on": ([GIVEN, REVOKED, look("t", 2.05, "dead")], []),
    "a lost revocation may count": ([GIVEN, entry("revoke", "t", 12.0, ""), look("t", 17.0, "dead")], [AWAY]),
    "a token is dead when its client was suspended": ([GIVEN, SUSPENDED, look("t", 12.2, "dead")], []),
    "one given while that became known may be": (
        [SUSPENDED, issue("c", 12.9, "t"), look("t", 14.0, "dead"), look("t", 15.0, "dead")],
        [],
    ),
    "a clock ahead makes tokens of the future": ([issue("c", 12.0, "t", node="n3"), look("t", 13.0, "dead")], [AHEAD]),
    "a node cut off does not hear of a suspension": ([SUSPENDED, issue("c", 19.0, "t")], [CUT]),
    "a resumed client is served": ([SUSPENDED, issue("c", 19.0), RESUMED, issue("c", 25.0, "t")], []),
    "parallel uses of a refresh token": ([WON, WON._replace(outcome="refused", given=())], []),
    "a late second use may end the family": (
        [WON, entry("refresh", "r", 8.0, "refused", family="r"), look("t2", 9.0, "dead")],
        [],
    ),
    "secrets overlap": (
        [rotate(1.0, "new"), issue("c", 4.0, "t", credential="old"), issue("c", 9.0, credential="old")],
        [],
    ),
    "the same token again, and another after its end": (
        [
            issue("c", 1.0, "t", family="again"),
            issue("c", 1.5, "t", family="again"),
            REVOKED,
            issue("c", 3.0, "u", family="again"),
        ],
        [],
    ),
    "errors in the time of a fault": ([entry("issue", "c", 12.0, "")], [AWAY]),
}
BROKEN = {
    "given tokens are alive": [
        ([GIVEN, look("t", 2.0, "dead")], []),
        ([GIVEN, look("t", 2.0, "dead"), REVOKED._replace(began=3.0, ended=3.1)], []),
        ([issue("c", 12.0, "t"), look("t", 13.0, "dead")], [AHEAD]),
        ([WON, look("t2", 9.0, "dead")], []),
    ],
    "ended tokens are dead": [
        ([GIVEN, REVOKED, look("t", 2.2, "active", "n2")], [CUT, AHEAD]),
        ([GIVEN, SUSPENDED, RESUMED, look("t", 21.0, "active")], [CUT]),
    ],
    "old tokens are dead": [
        ([GIVEN, look("t", 62.5, "active")], []),
        ([issue("c", 12.0, "t", lifetime_s=2, node="n3"), look("t", 46.0, "active")], [AHEAD]),
    ],
    "a refresh token is won once": [([WON, WON._replace(node="n2", given=("t3", "r3"))], [AWAY])],
    "a suspended client gets nothing": [
        ([SUSPENDED, issue("c", 13.5, "t")], []),
        ([SUSPENDED, issue("c", 22.0, "t")], [CUT]),
        ([SUSPENDED, issue("c", 13.5, "t", node="n2")], [CUT]),
    ],
    "a secret ends with its overlap": [
        ([rotate(1.0, "new"), issue("c", 6.5, "t", credential="old")], []),
        ([rotate(1.0, "a"), rotate(2.0, "b"), issue("c", 7.5, "t", credential="a")], [AHEAD]),
    ],
    "good credentials are not refused": [
        ([issue("c", 2.0, status=401)], [AWAY]),
        ([SUSPENDED, RESUMED, issue("c", 22.0)], []),
        ([rotate(1.0, "new"), issue("c", 3.0, credential="new")], []),
        ([rotate(1.0, "new"), issue("c", 3.0, credential="old")], []),
    ],
    "one token lives where it is handed out again": [
        ([issue("c", 1.0, "t", family="again"), issue("c", 2.0, "u", family="again", node="n2")], [AWAY]),
    ],
    "errors come only with faults": [
        ([entry("issue", "c", 5.0, "")], [AWAY]),
        ([entry("issue", "c", 12.0, "", status=500)], [AWAY]),
    ],
}


@pytest.mark.parametrize("journal", KEPT)
def test_a_journal_that_keeps_the_laws_breaks_none(journal: str):
    entries, windows = KEPT[journal]

    assert {law: found for law, found in breaches(entries, windows).items() if found} == {}


@pytest.mark.parametrize("law", BROKEN)
def test_a_journal_that_breaks_a_law_is_found_by_that_law(law: str):
    for entries, windows in BROKEN[law]:
        assert breaches(entries, windows)[law.replace(" ", "_")], (entries, windows)


def test_every_law_is_broken_here_once():
    assert {law.__name__ for law in LAWS} == {law.replace(" ", "_") for law in BROKEN}


def test_recovery_begins_when_every_client_and_every_node_answers_well():
    steady, nodes = frozenset({"a", "b"}), frozenset({"n1", "n2"})
    good = [issue("a", 5.0, "t"), issue("b", 5.5, "u"), issue("a", 7.0, "v", node="n2")]

    assert recovered_at(good[:2], 4.0, steady, nodes) is None
    assert recovered_at(good, 4.0, steady, nodes) == pytest.approx(7.1)
    assert recovered_at([*good, entry("issue", "a", 8.0, "")], 4.0, steady, nodes) is None


def test_a_fault_costs_what_failed_in_its_time():
    journal = [issue("c", 9.0, "t"), entry("issue", "self-contained", 12.0, ""), entry("issue", "c", 14.0, "")]
    cost = cost_of(AWAY, journal)

    assert (cost.answers, cost.errors, cost.jwt_errors, cost.bad_seconds, cost.recovery_s) == (0, 2, 1, 2, 1.0)
    assert table([AWAY], journal).splitlines()[-1] == "| away | 0 | 2 | 1 | 2 | 1.0 | 0.1 | 0 |"


def test_what_a_wrong_clock_makes_of_tokens_is_counted_and_no_breach():
    journal, windows = KEPT["a clock ahead makes tokens of the future"]

    assert cost_of(windows[0], journal).taken_for_dead == 1
