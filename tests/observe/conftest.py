"""One server of two workers for the tests that leave it as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.endpoints.deployments import Deployment
from tests.observe.watching import WatchedServer


@pytest.fixture(scope="module")
def watched(full_deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedServer]:
    """A server whose figures begin at 0 with each file of tests."""
    state_dir = full_deployment.copy_to(tmp_path_factory.mktemp("watched")).state_dir
    with WatchedServer(state_dir, "--workers", "2") as server:
        yield server


@pytest.fixture
def own_watched(own_deployment: Deployment) -> Iterator[WatchedServer]:
    """A server of the test's own."""
    with WatchedServer(own_deployment.state_dir, "--workers", "2") as server:
        # Its addresses are announced before the workers are there.
        server.wait_for(lambda seen: seen.of("mintmark_workers") == 2)
        yield server
