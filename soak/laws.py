"""The laws of the soak: pure functions of the journal, each of which yields a sentence for every breach.

A fault may cost an answer. It may not make one wrong: what a law excuses in a fault is said where it is excused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from soak.journal import UNANSWERED, Entry, Window

SEEN_WITHIN_S: Final = 1.0
"""Within so long every node that reaches the database knows of a change: twice `refresh_interval_s`."""
MEMORY_S: Final = 8
"""A node that does not reach the database goes by what it knows for so long: `cache_max_age_s`."""
ROUNDING_S: Final = 1.0
"""Tokens and secrets live for whole seconds."""
LEEWAY_S: Final = 2.0
"""A refresh token that is used again later than this ends its family."""
OVERLAP_S: Final = 4
"""For so long the secrets before a rotated one authenticate."""
FAULT_STATUSES: Final = {UNANSWERED, 502, 503, 504}
"""What a fault may cost. 502 is WSO2's word for a database that is away, and HAProxy's for a node that is."""
NEVER: Final = float("inf")

Journal = Sequence[Entry]
Windows = Sequence[Window]
Law = Callable[[Journal, Windows], Iterator[str]]
"""Yields what breaks it, a sentence each."""


class Life(NamedTuple):
    """A token: how it was given, and when an act ended it. From `perhaps` to `surely` it may be either."""

    given: Entry
    perhaps: float = NEVER
    surely: float = NEVER

    def ended_by(self, perhaps: float, surely: float = NEVER) -> Life:
        """Return the life with one more end."""
        return self._replace(perhaps=min(self.perhaps, perhaps), surely=min(self.surely, surely))


def of_act(journal: Iterable[Entry], *acts: str) -> list[Entry]:
    """Return the entries of these acts."""
    return [entry for entry in journal if entry.act in acts]


def by_subject(journal: Iterable[Entry], *acts: str) -> dict[str, list[Entry]]:
    """Return the entries of these acts, by whom they were about."""
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in of_act(journal, *acts):
        found[entry.subject].append(entry)
    return found


def skew_of(entry: Entry, windows: Windows) -> int:
    """Return by how many seconds the clock of the answering node was wrong, whichever way."""
    found = (abs(one.skew_s) for one in windows if one.node == entry.node and one.overlaps(entry.began, entry.ended))
    return max(found, default=0)


def known_by(change: Entry, windows: Windows, node: str = "") -> float:
    """Return from when on a node must act by a change. One that was lost may come until the recovery."""
    during = [one for one in windows if one.overlaps(change.began, change.ended + SEEN_WITHIN_S)]
    late = [one.recovered for one in during if not change.outcome]
    unheard = [one.recovered for one in during if one.is_cut and one.node in {"", node}]
    late += [min(max(unheard), change.ended + MEMORY_S)] if unheard else []
    return max([change.ended, *late]) + SEEN_WITHIN_S


def lives(journal: Journal, windows: Windows) -> dict[str, Life]:
    """Return what the journal says of each access token that was given."""
    found: dict[str, Life] = {}
    for entry in of_act(journal, "issue", "refresh"):
        if entry.outcome == "granted":
            found.setdefault(entry.given[0], Life(entry))
    for entry in of_act(journal, "revoke"):
        if entry.subject in found:
            surely = entry.ended if entry.outcome == "done" else NEVER
            found[entry.subject] = found[entry.subject].ended_by(entry.began, surely)
    suspended, thefts = by_subject(journal, "suspend"), possible_thefts(journal, windows)
    for name, life in found.items():
        ended = end_by_suspension(life, suspended.get(life.given.subject, ()), windows)
        found[name] = ended.ended_by(thefts.get(life.given.family, NEVER))
    return found


def end_by_suspension(life: Life, suspensions: Iterable[Entry], windows: Windows) -> Life:
    """Return the life with the suspensions of its client. One given meanwhile may be of before: then it is dead."""
    given = life.given
    for one in suspensions:
        if given.ended <= one.began:
            life = life.ended_by(one.began, one.ended if one.outcome == "done" else NEVER)
        elif given.began <= known_by(one, windows, given.node):
            life = life.ended_by(given.began)
    return life


def possible_thefts(journal: Journal, windows: Windows) -> dict[str, float]:
    """Return from when on a family may be dead, since one of its tokens came again too late for a parallel call.

    By clocks that differ by more than the leeway every second use is too late.
    """
    found: dict[str, float] = {}
    for uses in by_subject(journal, "refresh").values():
        first = min(use.began for use in uses)
        is_skewed = any(skew_of(use, windows) for use in uses)
        late = [use.began for use in uses if use.ended - first > LEEWAY_S or is_skewed]
        if len(uses) > 1 and late:
            found[uses[0].family] = min([found.get(uses[0].family, NEVER), *late])
    return found


def given_tokens_are_alive(journal: Journal, windows: Windows) -> Iterator[str]:
    """Every token that was answered with 200 is alive until something ends it."""
    known = lives(journal, windows)
    for look in of_act(journal, "introspect"):
        life = known.get(look.subject)
        if life is None or look.outcome != "dead" or look.began < life.given.ended or look.ended >= life.perhaps:
            continue
        # A clock that is wrong by more than 5 s makes tokens that others take for ones of the future, or for old ones.
        skew = max(skew_of(look, windows), skew_of(life.given, windows))
        is_of_age = look.began >= life.given.ended + skew if skew else True
        if is_of_age and look.ended < life.given.began + life.given.lifetime_s - ROUNDING_S - skew:
            yield f"{look.subject} was given at {life.given.began:.2f} and is dead at {look.began:.2f} on {look.node}"


def ended_tokens_are_dead(journal: Journal, windows: Windows) -> Iterator[str]:
    """A token that was revoked, or whose client was suspended, is dead from the answer on, on every node."""
    known = lives(journal, windows)
    for look in of_act(journal, "introspect"):
        life = known.get(look.subject)
        if life is not None and look.outcome == "active" and look.began > life.surely:
            yield f"{look.subject} ended at {life.surely:.2f} and is alive at {look.began:.2f} on {look.node}"


def old_tokens_are_dead(journal: Journal, windows: Windows) -> Iterator[str]:
    """A token is dead when its lifetime is over; where a clock is wrong, later by as much."""
    known = lives(journal, windows)
    for look in of_act(journal, "introspect"):
        life = known.get(look.subject)
        if life is None or look.outcome != "active":
            continue
        skew = skew_of(look, windows) + skew_of(life.given, windows)
        if look.began > life.given.ended + life.given.lifetime_s + ROUNDING_S + skew:
            yield f"{look.subject} expired and is alive at {look.began:.2f} on {look.node}"


def a_refresh_token_is_won_once(journal: Journal, windows: Windows) -> Iterator[str]:
    """Of all uses of a refresh token one wins, at most."""
    for name, uses in by_subject(journal, "refresh").items():
        won = [use for use in uses if use.outcome == "granted"]
        if len(won) > 1:
            yield f"refresh token {name} was won {len(won)} times, last at {won[-1].ended:.2f} on {won[-1].node}"


def a_suspended_client_gets_nothing(journal: Journal, windows: Windows) -> Iterator[str]:
    """From its bound on, and until it is enabled, no node gives a suspended client a token."""
    resumptions, asked = by_subject(journal, "resume"), by_subject(journal, "issue")
    for one in of_act(journal, "suspend"):
        if one.outcome != "done":
            continue
        until = min((back.began for back in resumptions[one.subject] if back.began > one.ended), default=NEVER)
        for ask in asked[one.subject]:
            if ask.outcome == "granted" and known_by(one, windows, ask.node) < ask.began and ask.ended < until:
                yield f"{one.subject}, suspended at {one.ended:.2f}, got a token at {ask.began:.2f} from {ask.node}"


def a_secret_ends_with_its_overlap(journal: Journal, windows: Windows) -> Iterator[str]:
    """A secret that was rotated out authenticates nobody when its overlap is over."""
    rotations = by_subject(journal, "rotate")
    for ask in of_act(journal, "issue"):
        done = [one for one in later_rotations(ask.credential, rotations[ask.subject]) if one.outcome == "done"]
        ends = min((overlap_ends(one, windows, ask.node) for one in done), default=NEVER)
        if ask.outcome == "granted" and ask.began > ends + ROUNDING_S + skew_of(ask, windows):
            yield f"a secret of {ask.subject}, ended by {ends:.2f}, was taken at {ask.began:.2f} by {ask.node}"


def overlap_ends(rotation: Entry, windows: Windows, node: str) -> float:
    """Return until when a node may take the secrets before. The end is set by the clock of the node that rotated."""
    ends = rotation.ended + OVERLAP_S + skew_of(rotation, windows)
    return max(ends, known_by(rotation, windows, node))


def later_rotations(secret: str, rotations: Iterable[Entry]) -> list[Entry]:
    """Return the rotations that put another secret in the place of this one."""
    own = max((one.ended for one in rotations if secret in one.given), default=-NEVER)
    return [one for one in rotations if one.began >= own]


def good_credentials_are_not_refused(journal: Journal, windows: Windows) -> Iterator[str]:
    """Only who is suspended, or shows a secret that is too new or too old, may be refused."""
    acts = ("issue", "introspect", "revoke", "suspend", "resume", "rotate")
    changes = [*of_act(journal, "suspend", "resume", "rotate")]
    for entry in of_act(journal, *acts):
        if entry.outcome == "refused" and not may_be_refused(entry, changes, windows):
            yield f"{entry.act} {entry.subject} was refused with {entry.status} at {entry.began:.2f} by {entry.node}"


def may_be_refused(entry: Entry, changes: Journal, windows: Windows) -> bool:
    """Tell whether a change of the client explains that it was refused."""
    own = [one for one in changes if one.subject == entry.subject and one is not entry]
    return is_suspended(entry, own, windows) or is_out_of_turn(entry, own, windows)


def is_suspended(entry: Entry, own: Journal, windows: Windows) -> bool:
    """Tell whether the client may have been suspended, or the node may not have known that it is no longer."""
    began = [one for one in own if one.act == "suspend" and one.began <= entry.ended]
    if not began:
        return False
    last = max(one.began for one in began)
    back = [one for one in own if one.act == "resume" and one.outcome == "done" and one.began > last]
    return not back or entry.began <= min(known_by(one, windows, entry.node) for one in back)


def is_out_of_turn(entry: Entry, own: Journal, windows: Windows) -> bool:
    """Tell whether the secret may have been too new for the node, or its overlap over."""
    rotations = of_act(own, "rotate")
    new = (one for one in rotations if entry.credential in one.given)
    later = later_rotations(entry.credential, rotations)
    ends = (one.began + OVERLAP_S - skew_of(one, windows) for one in later)
    is_new = any(entry.began <= known_by(one, windows, entry.node) for one in new)
    return is_new or entry.ended >= min(ends, default=NEVER) - ROUNDING_S - skew_of(entry, windows)


def one_token_lives_where_it_is_handed_out_again(journal: Journal, windows: Windows) -> Iterator[str]:
    """Who asks again while the token lives gets that one, from every node."""
    known = lives(journal, windows)
    for asked in by_subject((one for one in journal if one.act == "issue" and one.family == "again"), "issue").values():
        granted = sorted((one for one in asked if one.outcome == "granted"), key=lambda one: one.ended)
        for later in granted:
            before = [one for one in granted if one.ended <= later.began]
            if before and before[-1].given != later.given and known[before[-1].given[0]].perhaps > later.ended:
                yield f"{later.subject} got another token at {later.began:.2f} from {later.node}, with one alive"


def errors_come_only_with_faults(journal: Journal, windows: Windows) -> Iterator[str]:
    """An answer that says nothing is one of a fault's, in the time of a fault."""
    for entry in journal:
        if entry.outcome:
            continue
        if entry.status not in FAULT_STATUSES:
            yield f"{entry.act} {entry.subject} was answered {entry.status} at {entry.began:.2f} by {entry.node}"
        elif not any(one.overlaps(entry.began, entry.ended) for one in windows):
            yield f"{entry.act} {entry.subject} failed with {entry.status} at {entry.began:.2f} without a fault"


LAWS: Final[tuple[Law, ...]] = (
    given_tokens_are_alive,
    ended_tokens_are_dead,
    old_tokens_are_dead,
    a_refresh_token_is_won_once,
    a_suspended_client_gets_nothing,
    a_secret_ends_with_its_overlap,
    good_credentials_are_not_refused,
    one_token_lives_where_it_is_handed_out_again,
    errors_come_only_with_faults,
)


def breaches(journal: Journal, windows: Windows) -> dict[str, list[str]]:
    """Return what each law found, by its name."""
    return {law.__name__: list(law(journal, windows)) for law in LAWS}
