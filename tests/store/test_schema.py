"""The scripts make what `tables` says, the numbers agree, and the state is told right."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from mintmark.protocol.errors import StoreError
from mintmark.store.migrations import HEAD, REVISIONS
from mintmark.store.schema import SCRIPTS, migrate, schema_state
from mintmark.store.sql_store import SqlStore
from mintmark.store.tables import METADATA


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def read_schema(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE name <> 'alembic_version' AND sql <> '' ORDER BY name"
    ).fetchall()
    connection.close()
    return [(name, " ".join(sql.split())) for name, sql in rows]


def test_the_numbers_are_those_of_the_scripts() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS


def test_the_scripts_make_what_the_tables_say(path: Path) -> None:
    with create_engine(f"sqlite:///{path}").connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_the_scripts_make_it_to_the_letter(path: Path, tmp_path: Path) -> None:
    """Alembic's comparison is blind to checks, cascades, collations and WITHOUT ROWID; the text is not."""
    METADATA.create_all(create_engine(f"sqlite:///{tmp_path}/direct.db"))
    assert read_schema(path) == read_schema(tmp_path / "direct.db")


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=["sqlite", "postgresql"])
def test_the_tables_can_be_written_for_both_databases(dialect: object) -> None:
    for table in METADATA.sorted_tables:
        assert f"CREATE TABLE {table.name}" in str(CreateTable(table).compile(dialect=dialect))  # type: ignore[arg-type]


def test_migrating_twice_is_migrating_once(url: str, path: Path) -> None:
    before = path.read_bytes()
    migrate(url)
    assert path.read_bytes() == before


def test_no_file_or_an_empty_one_is_absent(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    assert schema_state(url) == "absent"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "new.db").touch()
    assert schema_state(url) == "absent"


def test_a_migrated_database_is_current(url: str, path: Path) -> None:
    before = path.read_bytes()
    assert schema_state(url) == "current"
    assert path.read_bytes() == before


def test_every_script_says_which_programs_may_run_after_it() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    said = [script.module.oldest_program for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert set(said) <= set(REVISIONS)


@pytest.mark.parametrize("told", ["UPDATE deployment_fact SET value = '9999'", "DELETE FROM deployment_fact"])
def test_an_unknown_number_is_newer_and_left_alone(url: str, path: Path, told: str) -> None:
    change(path, "UPDATE alembic_version SET version_num = '9999'")
    change(path, f"{told} WHERE name = 'oldest_program'")
    assert schema_state(url) == "newer"
    for call in (SqlStore.open, migrate):
        with pytest.raises(StoreError, match="later release"):
            call(url)


def test_an_earlier_number_is_old(url: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mintmark.store.schema.HEAD", "0002")
    assert schema_state(url) == "old"
    with pytest.raises(StoreError, match="mintmark migrate"):
        SqlStore.open(url)


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    change(tmp_path / "theirs.db", "CREATE TABLE diary (day TEXT)")
    for call in (schema_state, SqlStore.open, migrate):
        with pytest.raises(StoreError, match="not Mintmark's"):
            call(f"sqlite:///{tmp_path}/theirs.db")


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: object) -> None:
        connection.exec_driver_sql("CREATE TABLE half (done TEXT)")  # type: ignore[attr-defined]
        raise RuntimeError("the power is gone")

    monkeypatch.setattr("mintmark.store.schema.run_scripts", fail)
    with pytest.raises(RuntimeError):
        migrate(f"sqlite:///{tmp_path}/new.db")
    assert schema_state(f"sqlite:///{tmp_path}/new.db") == "absent"
