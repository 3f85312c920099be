"""The short form of the soak: what can be broken by killing processes. `make soak` breaks the rest."""

from __future__ import annotations

from soak.faults import FAULTS
from soak.run import soak


def test_no_law_is_broken_when_a_worker_a_node_and_the_database_are_killed():
    report = soak(is_whole=False, calm_s=1.0)

    assert {law: found for law, found in report.breaches.items() if found} == {}
    assert [window.fault for window in report.windows] == [fault.name for fault in FAULTS if fault.is_of_processes]
    # The faults were felt, and there was something to judge.
    assert any(not entry.outcome for entry in report.journal)
    assert {"issue", "introspect", "refresh", "revoke", "suspend", "resume", "rotate"} <= {
        entry.act for entry in report.journal
    }
