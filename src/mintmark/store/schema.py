"""Which schema a database has, and how it gets the current one.

The usual start only compares two numbers and does not import Alembic, which is slow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from sqlalchemy import Connection

from mintmark.protocol.errors import StoreError
from mintmark.store.deployment import read_fact, write_fact
from mintmark.store.faults import store_faults
from mintmark.store.migrations import HEAD, REVISIONS
from mintmark.store.sqlite import (
    BEGIN,
    WriteLock,
    create_file,
    database_path,
    open_connection,
    open_writer,
)
from mintmark.store.urls import is_postgresql, require_postgresql

SchemaState = Literal["absent", "current", "half_copied", "old", "newer"]

SCRIPTS: Final = Path(__file__).parent / "migrations"
VERSION_TABLE: Final = "alembic_version"
READ_VERSION: Final = "SELECT version_num FROM alembic_version"

HALF_COPIED: Final = "half_copied"
"""The fact that stands in the target of a copy until its end."""
OLDEST_PROGRAM: Final = "oldest_program"
"""The fact that names the revision which a program must know at least, to run on this database."""
OF_THE_DATABASE: Final = (HALF_COPIED, OLDEST_PROGRAM)
"""The facts that are not the deployment's: no copy takes them along."""

REMEDIES: Final[dict[SchemaState, str]] = {
    "absent": "it is empty; run `mintmark init`",
    "half_copied": "a copy into it has not come to its end; run that `mintmark copy` again",
    "old": "it is from an earlier release; back it up and run `mintmark migrate`",
    "newer": "it is from a later release, on whose schema this program cannot run; install that one",
}


class SchemaPlace(Protocol):
    """A database as far as its schema goes."""

    name: str
    """What it is called in errors; no password is in it."""
    list_tables: str
    begin: str
    begin_snapshot: str
    """For one who reads, and wants all as it is now."""

    def is_empty(self) -> bool:
        """Tell whether there is nothing to connect to, or into. Raises: SettingsError."""

    def looking(self) -> AbstractContextManager[Connection]:
        """Give a connection that changes nothing. Raises: SettingsError, StoreUnavailable."""

    def changing(self) -> AbstractContextManager[Connection]:
        """Give a connection while nobody else changes the schema. Raises: SettingsError, StoreError."""


class FileSchema:
    """Implements `SchemaPlace` for SQLite."""

    list_tables = "SELECT name FROM sqlite_schema WHERE type = 'table'"
    begin = BEGIN
    begin_snapshot = "BEGIN"

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def is_empty(self) -> bool:
        """Tell whether there is no file, or an empty one."""
        return not self._path.exists() or self._path.stat().st_size == 0

    def looking(self) -> AbstractContextManager[Connection]:
        """Give a connection that only reads. Raises: SettingsError, StoreUnavailable."""
        return closing(open_connection(self._path, "ro"))

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """Create the file where there is none, and hold the lock of its writers. Raises: SettingsError, StoreError."""
        create_file(self._path)
        with (
            closing(WriteLock(self._path)) as lock,
            closing(open_writer(self._path, lock)) as connection,
            lock.bounded(),
        ):
            yield connection


def place_of(url: str) -> SchemaPlace:
    """Return the database that a URL names. Raises: SettingsError."""
    if not is_postgresql(url):
        return FileSchema(database_path(url))
    require_postgresql()
    from mintmark.store.postgresql.schema import ServerSchema  # noqa: PLC0415 - its driver is an extra

    return ServerSchema(url)


def schema_state(url: str) -> SchemaState:
    """Return how the database's schema stands to this program's, changing nothing.

    Raises: SettingsError (the URL, not a database), StoreError (somebody else's database), StoreUnavailable.
    """
    place = place_of(url)
    if place.is_empty():
        return "absent"
    with place.looking() as connection, store_faults():
        return read_state(connection, place)


def peek_fact(url: str, name: str) -> str | None:
    """Return a fact of the deployment, or None, of whatever schema the database is, changing nothing.

    Raises: SettingsError (the URL, not a database), StoreError, StoreUnavailable.
    """
    with place_of(url).looking() as connection, store_faults():
        return read_fact(connection, name)


def check_current(url: str) -> None:
    """Make sure that the schema is current. Raises: as `schema_state`, and StoreError if it is another."""
    state = schema_state(url)
    if state != "current":
        raise refuse(place_of(url), state)


def refuse(place: SchemaPlace, state: SchemaState) -> StoreError:
    """Return the error that says what to do with a database in a state that does not do."""
    return StoreError(f"database {place.name}: {REMEDIES[state]}")


def migrate(url: str) -> None:
    """Bring the database to the current schema, creating it where there is none: in one transaction.

    Raises: SettingsError (the URL, the directory, not a database), StoreError (another's, a later release's),
        StoreUnavailable.
    """
    place = place_of(url)
    with place.changing() as connection, store_faults():
        upgrade(connection, place)


def read_state(connection: Connection, place: SchemaPlace) -> SchemaState:
    """Return the state that the database tells. Raises: StoreError (not ours), DBAPIError."""
    names = connection.exec_driver_sql(place.list_tables).scalars().all()
    if not names:
        return "absent"
    if VERSION_TABLE not in names:
        raise StoreError(f"database {place.name}: these tables are not Mintmark's")
    version = read_version(connection)
    if version != HEAD and version in REVISIONS:
        return "old"
    if version != HEAD and read_fact(connection, OLDEST_PROGRAM) not in REVISIONS:
        return "newer"
    return "current" if read_fact(connection, HALF_COPIED) is None else "half_copied"


def read_version(connection: Connection) -> str:
    """Return the number of the last revision that was applied. Raises: DBAPIError."""
    version: str = connection.exec_driver_sql(READ_VERSION).scalar_one()
    return version


def upgrade(connection: Connection, place: SchemaPlace) -> None:
    """Run what is missing, unless another process has just done so. Raises: StoreError, DBAPIError."""
    state = read_state(connection, place)
    if state in ("newer", "half_copied"):
        raise refuse(place, state)
    if state == "current":
        return
    connection.exec_driver_sql(place.begin)
    try:
        run_scripts(connection)
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise


def run_scripts(connection: Connection) -> None:
    """Let Alembic run its scripts on this connection, and keep which programs may run after the last of them.

    Raises: DBAPIError.
    """
    from alembic import command  # noqa: PLC0415 - the usual start must not wait for it
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    # An ini value: a per cent sign in the path would be read as an interpolation.
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    newest: Any = ScriptDirectory.from_config(config).get_revision("head")
    write_fact(connection, name=OLDEST_PROGRAM, value=newest.module.oldest_program)
