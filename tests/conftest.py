"""What all tests share: real servers, an application in this process, and the page of proven RFC sections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.architecture.conformance_page import collect_proofs, write_page
from tests.endpoints.deployments import Deployment, make_bare, make_full
from tests.endpoints.in_process import Clock, InProcess, open_in_process
from tests.endpoints.servers import Server
from tests.postgresql import FAST, Postgres, run_postgres

# The tests fail on purpose, all from one address: none of them may be braked by another.
PATIENT = {"failures_per_client": "1000000", "failures_per_source": "1000000", "shutdown_grace_s": "1"}

# How fast a machine is that others use, too, says nothing of what is tested.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

TESTS = Path(__file__).parent
ON_FIXED_PORTS = {"cli", "foreign"}
"""Folders whose tests start the demo where it always listens: all of them one after the other."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rfc-page", type=Path, metavar="FILE", help="write which RFC sections are proven by which tests")


class ByServer(LoadScopeScheduling):  # type: ignore[misc]
    """Of several processes one has all tests that share servers: those of a file, and those on fixed ports."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "demo" if file.split("/")[1] in ON_FIXED_PORTS else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByServer:
    return ByServer(config, log)


def pytest_collection_finish(session: pytest.Session) -> None:
    page = session.config.getoption("--rfc-page")
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(write_page(collect_proofs(session.items)), "utf-8")


@pytest.fixture(scope="session")
def bare_deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A deployment with neither tenant nor client. Copy it; do not change it."""
    return make_bare(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="session")
def full_deployment(bare_deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The demo and more. Copy it; do not change it."""
    return make_full(bare_deployment, tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="session")
def deployment(full_deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The deployment under `server`."""
    return full_deployment.copy_to(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="session")
def server(deployment: Deployment) -> Iterator[Server]:
    """A real server that all tests share: leave its tenants and clients as they are."""
    with Server(deployment.state_dir, settings=PATIENT) as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL that all tests share, each in a database of its own."""
    yield from run_postgres(**FAST)


@pytest.fixture
def own_deployment(full_deployment: Deployment, tmp_path: Path) -> Deployment:
    """A full deployment of the test's own."""
    return full_deployment.copy_to(tmp_path)


@pytest_asyncio.fixture
async def make_application(
    bare_deployment: Deployment, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[InProcess]]]:
    """Opens applications over an empty deployment of the test's own; settings are named arguments."""
    state_dir = bare_deployment.copy_to(tmp_path).state_dir
    opened: list[InProcess] = []

    async def make(**settings: object) -> InProcess:
        opened.append(await open_in_process(state_dir, Clock(), **settings))
        return opened[-1]

    yield make
    for one in opened:
        await one.application.close()


@pytest_asyncio.fixture
async def application(make_application: Callable[..., Awaitable[InProcess]]) -> InProcess:
    """An application without tenants; its clock stands still."""
    return await make_application()
