"""What the log says while the database is away: which request failed of what, and no line of program text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.endpoints.servers import Request, Server
from tests.endpoints.systems import DEFAULT, OMADA, ask
from tests.postgresql import Postgres, run_postgres

ASKED = {
    "request_failed": ask(DEFAULT, scope=DEFAULT.scope),
    "management_request_failed": Request("GET", "/api/v1/tenants", {"Authorization": "Bearer mma_unknown"}),
    "open_api_failed": Request("GET", f"/openapi/v1/{'0f' * 16}/sites", {"Authorization": "AccessToken=AT-unknown"}),
}


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    yield from run_postgres()


def test_each_failed_request_is_a_line_that_says_what_is_away(database: Postgres, tmp_path: Path):
    url = database.create(is_empty=True)
    folder = tmp_path / "state"
    folder.mkdir()
    with Server(folder, settings={"database_url": url, "refresh_interval_s": "0.1"}) as server:
        assert server.send(ask(OMADA)).status == 200
        database.kill()
        statuses = {event: server.send(request).status for event, request in ASKED.items()}
    assert set(statuses.values()) == {503}
    lines = server.log.splitlines()
    for event in ASKED:
        told = [line for line in lines if f" {event} " in line]
        assert len(told) == 1
        assert "connection" in told[0]
        assert "correlation_id=" in told[0]
    assert not [line for line in lines if not line[:4].isdigit()]
