"""The faults as a table: what each is called, how it is made, how it is mended."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Final, NamedTuple

from soak.lab import Lab, cut_off, join

FIRST, LAST = 0, -1


def nothing(_: Lab) -> None:
    """Do nothing: it mends itself."""


class Fault(NamedTuple):
    """A way in which a deployment breaks."""

    name: str
    inject: Callable[[Lab], object]
    heal: Callable[[Lab], object] = nothing
    held_s: float = 0.0
    """Seconds until it is mended."""
    node: int | None = None
    """The number of the node that it befalls."""
    is_cut: bool = False
    """The node, or where none is named all, cannot reach the database."""
    skew_s: int = 0
    is_of_processes: bool = True
    """It needs no standby, no firewall, no clock: nothing but processes to kill."""


def skew(seconds: int) -> Fault:
    """Return the fault of a clock that is wrong."""
    return Fault(
        f"a node's clock {abs(seconds)} s {'ahead' if seconds > 0 else 'behind'}",
        lambda lab: lab.nodes[LAST].set_clock(seconds),
        lambda lab: lab.nodes[LAST].set_clock(0),
        held_s=15.0,
        node=LAST,
        skew_s=seconds,
        is_of_processes=False,
    )


FAULTS: Final = (
    Fault("a worker is killed", lambda lab: lab.nodes[FIRST].kill_worker(), held_s=2.0, node=FIRST),
    Fault(
        "a node is killed",
        lambda lab: lab.nodes[FIRST].end(signal.SIGKILL),
        lambda lab: lab.nodes[FIRST].start(),
        held_s=3.0,
        node=FIRST,
    ),
    Fault(
        "PostgreSQL is restarted",
        lambda lab: lab.database.stop(),
        lambda lab: lab.database.start(),
        is_cut=True,
        is_of_processes=False,
    ),
    Fault(
        "PostgreSQL is killed, and away for 3 s",
        lambda lab: lab.database.kill(),
        lambda lab: lab.database.start(),
        held_s=3.0,
        is_cut=True,
    ),
    Fault(
        "PostgreSQL hangs for 20 s",
        lambda lab: lab.freeze_database(signal.SIGSTOP),
        lambda lab: lab.freeze_database(signal.SIGCONT),
        held_s=20.0,
        is_cut=True,
        is_of_processes=False,
    ),
    Fault(
        "the synchronous standby is away for 20 s",
        Lab.stop_standby,
        Lab.start_standby,
        held_s=20.0,
        is_cut=True,
        is_of_processes=False,
    ),
    Fault(
        "a node is cut off from the database for 20 s",
        lambda _: cut_off(FIRST),
        lambda _: join(),
        held_s=20.0,
        node=FIRST,
        is_cut=True,
        is_of_processes=False,
    ),
    skew(30),
    skew(-30),
    Fault(
        "the primary is lost, the standby promoted",
        Lab.promote_standby,
        is_cut=True,
        is_of_processes=False,
    ),
)
