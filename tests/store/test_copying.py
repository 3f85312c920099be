"""A copy has every row, goes on where it was cut off, and is nobody's database before its end."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from sqlalchemy import BigInteger, Integer, LargeBinary

from mintmark.admin.administration import AdministrationError
from mintmark.admin.copying import Copied, copy_deployment, leading
from mintmark.protocol.errors import SettingsError, StoreError
from mintmark.settings import Settings
from mintmark.store import copying
from mintmark.store.copying import copy_database, hold, list_portions, pages
from mintmark.store.records import Act, IdempotencyRecord, InitialAccessToken, RegistrationRecord, TokenRecord
from mintmark.store.schema import migrate, place_of, schema_state
from mintmark.store.sql_store import SqlStore
from mintmark.store.tables import METADATA, NAME
from tests.endpoints.deployments import Deployment
from tests.postgresql import PASSWORD, Postgres

from .samples import NOW, digest, refresh, slot, token

ORIGIN = "this deployment"
PAGE = 20


@pytest.fixture
def source(own_deployment: Deployment) -> str:
    """A database with rows in every table, in some of them many pages of them."""
    url = f"sqlite:///{own_deployment.state_dir}/mintmark.db"
    asyncio.run(fill(url))
    return url


async def fill(url: str) -> None:
    store = SqlStore.open(url)
    acting = store.acting(Act(kind="test", at=NOW, actor="local:me"))
    client_id = "post-only"
    await store.tokens.add([token(f"t{number}") for number in range(110)])
    await store.tokens.add([refresh("first"), refresh("second", "first", used_at=NOW)])
    await store.tokens.add_reusable(token("reused"), slot(), b"\x00sealed\xff", NOW)
    await store.tokens.renew_jwt(slot("write"), "a-jti", NOW)
    await acting.tokens.revoke_jti("default", "another-jti", NOW)
    await store.idempotency.keep(IdempotencyRecord("client:a/b", "key \u00fc 1", "digest", b"sealed", NOW))
    await store.registrations.add_token(
        InitialAccessToken(
            tenant_id="default",
            token_id="t1",
            digest=digest("initial"),
            label="",
            scope=("read",),
            uses_left=3,
            created_at=NOW,
            expires_at=NOW,
        )
    )
    await store.registrations.put(
        RegistrationRecord(tenant_id="default", client_id=client_id, digest=digest("r"), previous=None, scope=())
    )
    await store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/target.db"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.create(is_empty=True)


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "PAGE", PAGE)


class CutOff(Exception):
    """What ends a copy in these tests."""


def quiet(act: str, table: str, done: int, total: int) -> None:
    """Hear nothing."""


def copy_some(source: str, target: str, steps: int) -> bool:
    """Copy until that many steps are done; tell whether it came to its end."""
    left = iter(range(steps))

    def tell(act: str, table: str, done: int, total: int) -> None:
        if next(left, None) is None:
            raise CutOff

    try:
        copy_database(source, target, ORIGIN, tell)
    except CutOff:
        return False
    return True


def contents(url: str) -> dict[str, list[Any]]:
    """The rows of each table."""
    with place_of(url).looking() as connection:
        return {
            f"{one.table.name} {one.condition}": [tuple(row) for page in pages(connection, one, None) for row in page]
            for one in list_portions()
        }


def test_every_table_is_copied_and_none_twice(source: str):
    copied = [portion.table.name for portion in list_portions()]
    assert set(copied) == set(METADATA.tables)
    assert sorted(copied) == sorted([*METADATA.tables, "tenant"])  # msps before their customers
    assert [name for name, rows in contents(source).items() if not rows and "checkpoint" not in name] == []


def test_both_databases_have_the_keys_in_the_same_order():
    others = (LargeBinary, Integer, BigInteger)
    keys = [column for table in METADATA.tables.values() for column in table.primary_key]
    assert [column for column in keys if column.type is not NAME and type(column.type) not in others] == []


def test_a_copy_cut_off_again_and_again_comes_to_its_end(source: str, target: str):
    before = contents(source)
    tries = 1
    while not copy_some(source, target, 4 * tries):
        tries += 1
        assert schema_state(target) == "half_copied"
        for call in (SqlStore.open, migrate):
            with pytest.raises(StoreError, match="mintmark copy"):
                call(target)
    assert tries > 2
    assert contents(target) == contents(source) == before
    assert schema_state(target) == "current"


def test_what_was_copied_there_can_be_copied_back(source: str, postgres: Postgres, tmp_path: Path):
    there, back = postgres.create(), f"sqlite:///{tmp_path}/back.db"
    rows = copy_database(source, there, ORIGIN, quiet)
    assert copy_database(there, back, ORIGIN, quiet) == rows
    assert contents(back) == contents(source)
    assert asyncio.run(find(back, "t7")) == token("t7")


async def find(url: str, name: str) -> TokenRecord | None:
    store = SqlStore.open(url)
    found = await store.tokens.find(digest(name))
    await store.close()
    return found


def test_a_target_with_rows_of_its_own_is_refused_and_stays_as_it_is(source: str, target: str):
    migrate(target)
    asyncio.run(fill_a_little(target))
    before = contents(target)
    with pytest.raises(StoreError, match="holds a deployment already"):
        copy_database(source, target, ORIGIN, quiet)
    assert contents(target) == before


async def fill_a_little(url: str) -> None:
    store = SqlStore.open(url)
    await store.deployment.put_fact("theirs", "1")
    await store.close()


def test_half_of_another_deployments_copy_is_refused(source: str, target: str):
    assert not copy_some(source, target, 3)
    with pytest.raises(StoreError, match="another deployment's copy"):
        copy_database(source, target, "another", quiet)


def test_a_whole_copy_is_not_copied_over(source: str, target: str):
    copy_database(source, target, ORIGIN, quiet)
    with pytest.raises(StoreError, match="holds a deployment already"):
        copy_database(source, target, ORIGIN, quiet)


def test_a_source_that_changed_before_the_copy_went_on_is_noticed(source: str, target: str):
    assert not copy_some(source, target, 30)
    assert contents(target)["token true"] == contents(source)["token true"]
    change(source, "UPDATE token SET scope = 'more' WHERE digest = (SELECT min(digest) FROM token)")
    with pytest.raises(StoreError, match="table token is not as in the source"):
        copy_database(source, target, ORIGIN, quiet)
    assert schema_state(target) == "half_copied"


def change(source: str, statement: str) -> None:
    with sqlite3.connect(source.removeprefix("sqlite:///")) as connection:
        connection.execute(statement)
    connection.close()


def test_a_row_that_only_the_target_has_is_noticed(source: str, postgres: Postgres):
    target = postgres.create()
    assert not copy_some(source, target, 5)
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute("INSERT INTO revoked_jwt VALUES ('default', 'intruder', 1)")
    with pytest.raises(StoreError, match="table revoked_jwt is not as in the source"):
        copy_database(source, target, ORIGIN, quiet)


def test_a_database_is_not_copied_into_itself(source: str):
    with pytest.raises(StoreError, match="into itself"):
        copy_database(source, source, ORIGIN, quiet)


def test_a_later_source_is_refused_though_this_program_could_run_on_it(source: str, target: str):
    change(source, "UPDATE alembic_version SET version_num = '9999'")
    assert schema_state(source) == "current"
    with pytest.raises(StoreError, match="later release"):
        copy_database(source, target, ORIGIN, quiet)
    assert schema_state(target) == "absent"


def test_nobody_writes_to_the_source_meanwhile(source: str, target: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mintmark.store.sqlite.LOCK_WAIT_S", 0.1)
    with hold(source, target), pytest.raises(StoreError), place_of(source).changing():
        pass


def run(deployment: Deployment, source: str, target: str) -> Copied:
    return copy_deployment(Settings(state_dir=deployment.state_dir), source, target, quiet)


class TestTheVerb:
    def test_the_copied_audit_log_is_as_it_was_written(self, own_deployment: Deployment, source: str, target: str):
        copied = run(own_deployment, source, target)
        assert copied.rows > 6 * PAGE
        assert copied.verdict.fault is None
        assert copied.verdict.records > 20

    def test_who_serves_on_the_source_is_to_be_stopped_first(
        self, own_deployment: Deployment, source: str, target: str
    ):
        with leading(source), pytest.raises(AdministrationError, match="stop every `mintmark serve`"):
            run(own_deployment, source, target)
        assert schema_state(target) == "absent"

    def test_another_master_key_copies_nothing(self, own_deployment: Deployment, source: str, target: str):
        other = msgspec.structs.replace(Settings(state_dir=own_deployment.state_dir), master_key="A" * 43)
        with pytest.raises(SettingsError, match="not the master key"):
            copy_deployment(other, source, target, quiet)
        assert schema_state(target) == "absent"

    def test_where_there_is_no_deployment_there_is_nothing_to_copy(
        self, own_deployment: Deployment, target: str, tmp_path: Path
    ):
        for url in (f"sqlite:///{tmp_path}/nothing.db", f"sqlite:///{tmp_path}/empty.db"):
            if "empty" in url:
                migrate(url)
            with pytest.raises(AdministrationError, match="there is no deployment"):
                run(own_deployment, url, target)

    def test_an_error_repeats_no_password(self, own_deployment: Deployment, source: str, postgres: Postgres):
        target = postgres.create()
        run(own_deployment, source, target)
        with pytest.raises(StoreError) as refusal:
            run(own_deployment, source, target)
        assert PASSWORD not in str(refusal.value)
