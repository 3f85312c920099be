"""The course of a soak: callers at work, one fault after the other, and a look at everything in the end."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import httpx

from soak.asking import Administrator, Asking
from soak.broken import LabError
from soak.callers import STEADY, all_callers, keep, register, sweep
from soak.faults import FAULTS, Fault
from soak.journal import Entry, Window, recovered_at
from soak.lab import ISSUER, Lab
from soak.laws import breaches

CALM_S: Final = 3.0
"""So long all must go well before it counts as recovered."""
RECOVERS_WITHIN_S: Final = 60.0
LOOK_S: Final = 0.25


class Report(NamedTuple):
    """What a soak has found."""

    journal: list[Entry]
    windows: list[Window]
    breaches: dict[str, list[str]]
    """By law; the audit chain is the last of them."""

    @property
    def is_clean(self) -> bool:
        """Whether every law held."""
        return not any(self.breaches.values())


def soak(*, is_whole: bool, calm_s: float = CALM_S, faults: Sequence[Fault] = FAULTS) -> Report:
    """Soak a deployment. Raises: LabError."""
    chosen = [fault for fault in faults if is_whole or fault.is_of_processes]
    with (
        tempfile.TemporaryDirectory(prefix="mintmark-soak-", dir="/var/tmp") as folder,
        Lab(Path(folder), nodes=3 if is_whole else 2, is_whole=is_whole) as lab,
    ):
        journal, windows = asyncio.run(run(lab, chosen, calm_s))
        return Report(journal, windows, breaches(journal, windows) | {"the_audit_chain_verifies": audit(lab)})


def audit(lab: Lab) -> list[str]:
    """Return what is wrong with the audit chain."""
    try:
        tell(lab.run("audit", "verify").splitlines()[0])
    except LabError as error:
        return [str(error)]
    return []


async def run(lab: Lab, faults: Sequence[Fault], calm_s: float) -> tuple[list[Entry], list[Window]]:
    """Make the faults one after the other, with callers at work. Returns the journal and the times of the faults."""
    journal: list[Entry] = []
    asking = Asking(lab.url, journal, httpx.Limits(max_connections=200))
    try:
        cast = await register(Administrator(asking, lab.admin), asking, ISSUER)
        is_over = asyncio.Event()
        nodes = {node.name: node.url for node in lab.nodes}
        callers = [asyncio.create_task(keep(caller, is_over)) for caller in all_callers(cast, nodes)]
        try:
            await wait_until_calm(lab, asking, asking.now, calm_s)
            windows = [await suffer(lab, fault, asking, calm_s) for fault in faults]
        finally:
            is_over.set()
            await asyncio.gather(*callers)
        tell(f"looking at all {len(asking.given)} tokens")
        await sweep(cast)
    finally:
        await asking.close()
    return journal, windows


async def suffer(lab: Lab, fault: Fault, asking: Asking, calm_s: float) -> Window:
    """Make one fault, mend it, and wait until all goes well."""
    tell(fault.name)
    injected = asking.now
    await asyncio.to_thread(fault.inject, lab)
    await asyncio.sleep(fault.held_s)
    await asyncio.to_thread(fault.heal, lab)
    healed = asking.now
    recovered = await wait_until_calm(lab, asking, healed, calm_s)
    node = "" if fault.node is None else lab.nodes[fault.node].name
    return Window(fault.name, injected, healed, recovered, node, fault.is_cut, fault.skew_s)


async def wait_until_calm(lab: Lab, asking: Asking, since: float, calm_s: float) -> float:
    """Return from when on all has gone well, for so long. Raises: LabError (it does not come to that)."""
    nodes = frozenset(node.name for node in lab.nodes)
    while True:
        recovered = recovered_at(asking.journal, since, STEADY, nodes)
        if recovered is not None and asking.now - recovered >= calm_s:
            return recovered
        if asking.now - since > RECOVERS_WITHIN_S:
            raise LabError(f"after {RECOVERS_WITHIN_S:g} s requests still fail: {asking.journal[-3:]}")
        await asyncio.sleep(LOOK_S)


def tell(text: str) -> None:
    """Say on standard error what goes on."""
    print(text, file=sys.stderr, flush=True)
