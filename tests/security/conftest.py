"""The slow senders begin with the first security test and are asked for by the last: their ten seconds cost no time."""

from __future__ import annotations

import pytest

from tests.endpoints.servers import Server
from tests.security.slow_senders import SlowSenders


@pytest.fixture(scope="session", autouse=True)
def slow_senders(server: Server) -> SlowSenders:
    return SlowSenders(server)
