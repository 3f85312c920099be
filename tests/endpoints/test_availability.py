"""What is answered where memory may be out of date, and where there is more load than capacity."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.endpoints.deployments import Deployment
from tests.endpoints.in_process import Clock, InProcess, open_in_process
from tests.endpoints.servers import Answer, Request
from tests.endpoints.systems import DEFAULT, SYSTEMS, System, ask

UNKNOWN_PATH = Request("GET", "/nowhere", {})
PATHS = ["/oauth2/jwks", "/.well-known/oauth-authorization-server"]


@pytest_asyncio.fixture
async def careful(own_deployment: Deployment) -> AsyncIterator[InProcess]:
    """One that uses nothing that it does not know for certain."""
    opened = await open_in_process(own_deployment.state_dir, Clock(), cache_max_age_s=0.0)
    yield opened
    await opened.application.close()


@pytest.fixture
def database(own_deployment: Deployment) -> Path:
    return own_deployment.state_dir / "mintmark.db"


def move(old: Path, new: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        if Path(f"{old}{suffix}").exists():
            Path(f"{old}{suffix}").rename(f"{new}{suffix}")


def change(database: Path, *statements: str) -> None:
    """Write as nobody does who tells of it."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


async def rest(opened: InProcess) -> None:
    """Wait until it looks again: after a look that failed, for as long as that took."""
    await asyncio.sleep(max(0.0, opened.application._rests_until - time.monotonic()))


def status_and_time(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.header("retry-after")


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.dialect)
async def test_without_its_file_nothing_is_answered_from_memory(careful: InProcess, database: Path, system: System):
    assert (await careful.send(ask(system))).status == 200
    away = database.with_name("away.db")
    move(database, away)
    refused = await careful.send(ask(system))
    others = [await careful.send(Request("GET", path, {"host": "127.0.0.1"})) for path in PATHS]
    unknown = await careful.send(UNKNOWN_PATH)
    ready = await careful.send(Request("GET", "/readyz", {}))
    move(away, database)
    await rest(careful)

    assert status_and_time(refused) in {(503, "5"), (502, "5")}
    assert refused.header("x-correlation-id")
    assert {status_and_time(one) for one in [*others, unknown]} == {(503, "5")}
    assert (ready.status, ready.json["reason"]) == (503, "out_of_date")
    assert (await careful.send(ask(system))).status == 200


async def test_what_another_wrote_without_a_word_counts_at_once_where_each_request_looks(
    careful: InProcess, database: Path
):
    assert (await careful.send(ask(DEFAULT))).status == 200
    change(
        database,
        f"UPDATE client SET is_disabled = 1 WHERE client_id = '{DEFAULT.client_id}'",
        "UPDATE revision SET number = number + 1",
    )
    assert (await careful.send(ask(DEFAULT))).status == 401


async def test_a_database_that_was_away_is_read_anew_even_if_it_has_the_same_number(careful: InProcess, database: Path):
    assert (await careful.send(ask(DEFAULT))).status == 200
    away = database.with_name("away.db")
    move(database, away)
    assert (await careful.send(ask(DEFAULT))).status == 503
    move(away, database)
    change(database, f"UPDATE client SET is_disabled = 1 WHERE client_id = '{DEFAULT.client_id}'")
    await rest(careful)
    assert (await careful.send(ask(DEFAULT))).status == 401


async def test_a_process_that_stood_still_looks_before_it_answers(own_deployment: Deployment, database: Path):
    opened = await open_in_process(own_deployment.state_dir, Clock())
    assert (await opened.send(ask(DEFAULT))).status == 200
    change(
        database,
        f"UPDATE client SET is_disabled = 1 WHERE client_id = '{DEFAULT.client_id}'",
        "UPDATE revision SET number = number + 1",
    )
    # Nobody has told it, and it has not looked.
    assert (await opened.send(ask(DEFAULT))).status == 200
    opened.application.known_until -= opened.application._settings.cache_max_age_s + 1
    assert (await opened.send(ask(DEFAULT))).status == 401
    await opened.application.close()


async def test_who_sends_slowly_gets_nothing_that_was_known_when_it_began(application: InProcess):
    await application.add_tenant("main", is_default=True)
    body = b"grant_type=client_credentials"
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        # Meanwhile the database went, and what was known grew too old.
        application.application.known_until = 0.0
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/oauth2/token", "query_string": b"", "client": ("192.0.2.7", 1)}
    await application.app({**scope, "headers": [(b"host", b"id.example")]}, receive, send)
    assert sent[0]["status"] == 503


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.dialect)
async def test_who_is_shed_is_told_so_in_its_dialect_before_it_is_authenticated(
    own_deployment: Deployment, system: System
):
    opened = await open_in_process(own_deployment.state_dir, Clock(), shed_after_s=60.0)
    shedding = opened.application._shedding
    shedding.note_lateness(now=1e9, late_s=60.0)
    for _ in range(5):
        shedding.note_turn(6000.0)
    answers = [await opened.send(ask(system, client_secret="wrong")) for _ in range(30)]
    probes = [(await opened.send(Request("GET", path, {}))).status for path in ("/healthz", "/readyz")]
    figures = (await opened.application.observation.write_figures()).decode()
    await opened.application.close()

    shed = [one for one in answers if status_and_time(one) in {(503, "1"), (502, "1")}]
    assert len(shed) == 29
    # An id of its own would double what the answer costs.
    assert {one.header("x-correlation-id") for one in shed} == {None}
    assert probes == [200, 200]
    assert [line for line in figures.splitlines() if 'reason="overloaded"' in line and line.endswith(" 29")]
