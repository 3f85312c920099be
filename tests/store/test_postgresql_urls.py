"""URLs of PostgreSQL: what does not do is refused, and no password is ever shown."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mintmark.protocol.errors import SettingsError, StoreUnavailable
from mintmark.store.schema import migrate, schema_state
from mintmark.store.sql_store import SqlStore
from mintmark.store.urls import show_url
from tests.postgresql import PASSWORD, Postgres

from .errors import causes_of
from .test_sqlite_files import SOURCE


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.create()


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://mintmark:{secret}@127.0.0.1:1/m",
        "postgresql://127.0.0.1:1/m?user=mintmark&password={secret}",
        "postgresql://mintmark:{secret}@/m?host=/nonexistent",
        "postgresql://mintmark:{secret}@[::1/m",
        "postgresql://mintmark:{secret}@127.0.0.1:1/m?unknown={secret}",
        "postgresql://mintmark:{secret}@127.0.0.1:{secret}/m",
        "mysql://mintmark:{secret}@127.0.0.1:1/m",
    ],
)
def test_a_url_that_does_not_do_is_refused_without_its_password(given: str) -> None:
    url = given.replace("{secret}", PASSWORD)
    for call in (SqlStore.open, migrate, schema_state):
        with pytest.raises((SettingsError, StoreUnavailable)) as refusal:
            call(url)
        assert not [text for text in causes_of(refusal.value) if PASSWORD in text]
    assert PASSWORD not in show_url(url)


def test_a_wrong_password_is_not_repeated(postgres: Postgres) -> None:
    with pytest.raises(StoreUnavailable) as refusal:
        schema_state(postgres.url("postgres").replace(PASSWORD, "another-one"))
    assert not [text for text in causes_of(refusal.value) if "another-one" in text]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://m:pw@db/name", "postgresql://m@db/name"),
        ("postgres://m@a:1,b:2/name?sslmode=require", "postgresql://m@a:1,b:2/name"),
        ("postgresql:///name?password=pw", "postgresql:///name"),
        ("postgresql://db:5432", "postgresql://db:5432"),
        ("postgresql://m:p/w@db/name", "postgresql://***"),
        ("postgresql://m:p?w@db/name", "postgresql://***"),
        ("postgresql://m:p@w@db/name", "postgresql://***"),
        ("sqlite:////srv/m.db", "sqlite:////srv/m.db"),
        ("mysql://m:pw@db/name", "***"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert show_url(url) == shown


def test_a_missing_driver_names_the_extra(url: str) -> None:
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from mintmark.store.schema import schema_state\n"
        "schema_state(sys.argv[1])"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    ended = subprocess.run(
        [sys.executable, "-c", program, url], env=environment, capture_output=True, text=True, check=False
    )
    assert "mintmark[postgresql]" in ended.stderr.splitlines()[-1]
    assert PASSWORD not in ended.stderr
