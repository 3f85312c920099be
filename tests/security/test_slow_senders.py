"""Who sends too slowly is cut off at ten seconds, and nobody else notices. ASVS V13.1."""

from __future__ import annotations

import pytest

from tests.endpoints.servers import Server
from tests.security.slow_senders import PLAIN, TLS, SlowSenders


@pytest.mark.parametrize("name", [*PLAIN, *TLS])
def test_a_slow_sender_is_cut_off_after_ten_seconds(slow_senders: SlowSenders, name: str):
    end = slow_senders.ends[name].result(30)

    assert 9 < end.seconds < 15


@pytest.mark.rfc("9110", "15.5.9")
@pytest.mark.parametrize("name", ["silent", "slow headers", "slow body", "slow chunks", "body never sent"])
def test_a_slow_sender_is_told_so(slow_senders: SlowSenders, name: str):
    received = slow_senders.ends[name].result(30).received

    assert received.startswith(b"HTTP/1.1 408 ")
    assert received.endswith(b'{"error":"request_timeout"}')


def test_others_are_served_meanwhile(slow_senders: SlowSenders):
    for future in slow_senders.ends.values():
        future.result(30)

    assert len(slow_senders.served) >= 10
    assert set(slow_senders.served) == {200}


def test_slow_senders_leave_nothing_in_the_log(slow_senders: SlowSenders, server: Server):
    for future in slow_senders.ends.values():
        future.result(30)

    assert "Traceback" not in server.log
