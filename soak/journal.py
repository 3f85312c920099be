"""What the callers wrote down: one entry an answer, in which tokens and secrets are digests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

UNANSWERED: Final = 0
"""The status of a request whose connection brought no answer."""


class Entry(NamedTuple):
    """One request, and what came of it."""

    began: float
    """Seconds since the soak began, by one clock that only goes forward."""
    ended: float
    act: str
    """issue, introspect, refresh, revoke, suspend, resume or rotate."""
    subject: str
    """Whom it was about: a client's id, or a token's digest."""
    status: int
    outcome: str
    """granted or refused, active or dead, done; empty: an error, from which nothing is known."""
    node: str = ""
    """Which node answered; empty: none did."""
    given: tuple[str, ...] = ()
    """Digests of the tokens, or of the secret, that came."""
    lifetime_s: int = 0
    credential: str = ""
    """Digest of the secret that was shown."""
    family: str = ""
    """Digest of the refresh token from which all others of its family descend."""


class Window(NamedTuple):
    """The time of one fault."""

    fault: str
    injected: float
    healed: float
    """When what was broken had been mended: a database accepts connections, a node has been started."""
    recovered: float
    """From when on no caller met an error any more."""
    node: str = ""
    """Which node it befell; empty: none, or all."""
    is_cut: bool = False
    """The node, or where none is named all, could not reach the database."""
    skew_s: int = 0
    """How far the node's clock was ahead."""

    def overlaps(self, began: float, ended: float) -> bool:
        """Tell whether something happened, in part at least, while it lasted."""
        return began <= self.recovered and ended >= self.injected


def digest(text: str) -> str:
    """Return the name under which a token or secret stands in the journal."""
    return sha256(text.encode()).hexdigest()[:24]


def write(path: Path, journal: Iterable[Entry]) -> None:
    """Write the entries, one JSON object a line."""
    with path.open("w") as lines:
        lines.writelines(json.dumps(entry._asdict()) + "\n" for entry in journal)


def recovered_at(journal: Sequence[Entry], since: float, steady: frozenset[str], nodes: frozenset[str]) -> float | None:
    """Return the moment, no earlier than `since`, from which on all has gone well; None if that is not so yet.

    Args:
        steady: clients that are granted tokens every second where all is well.
        nodes: who must have answered them.
    """
    errors = [entry.ended for entry in journal if entry.ended >= since and not entry.outcome]
    first = max([since, *errors])
    granted = [
        entry for entry in journal if entry.ended >= first and entry.outcome == "granted" and entry.subject in steady
    ]
    firsts: dict[str, float] = {}
    for entry in granted:
        for name in {entry.subject, entry.node} & (steady | nodes):
            firsts[name] = min(entry.ended, firsts.get(name, entry.ended))
    return max(firsts.values()) if firsts.keys() == steady | nodes else None
