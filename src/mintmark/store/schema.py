"""Which schema a database has, and how it gets the current one.

The usual start only compares two numbers and does not import Alembic, which is slow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from sqlalchemy import Connection

from mintmark.protocol.errors import StoreError
from mintmark.store.deployment import read_fact
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

SchemaState = Literal["absent", "current", "old", "newer"]

SCRIPTS: Final = Path(__file__).parent / "migrations"
VERSION_TABLE: Final = "alembic_version"
READ_VERSION: Final = "SELECT version_num FROM alembic_version"

REMEDIES: Final[dict[SchemaState, str]] = {
    "absent": "it is empty; run `mintmark init`",
    "old": "it is from an earlier release; back it up and run `mintmark init`",
    "newer": "it is from a later release than this program; install that one",
}


def schema_state(url: str) -> SchemaState:
    """Return how the database's schema stands to this program's, changing nothing.

    Raises: SettingsError (the URL, not a database), StoreError (somebody else's database), StoreUnavailable.
    """
    path = database_path(url)
    if not path.exists() or path.stat().st_size == 0:
        return "absent"
    connection = open_connection(path, "ro")
    try:
        with store_faults():
            return read_state(connection, path)
    finally:
        connection.close()


def peek_fact(url: str, name: str) -> str | None:
    """Return a fact of the deployment, or None, of whatever schema the database is, changing nothing.

    Raises: SettingsError (the URL, not a database), StoreError, StoreUnavailable.
    """
    connection = open_connection(database_path(url), "ro")
    try:
        with store_faults():
            return read_fact(connection, name)
    finally:
        connection.close()


def check_current(url: str) -> None:
    """Make sure that the schema is current. Raises: as `schema_state`, and StoreError if it is another."""
    state = schema_state(url)
    if state != "current":
        raise StoreError(f"database {database_path(url)}: {REMEDIES[state]}")


def migrate(url: str) -> None:
    """Bring the database to the current schema, creating it where there is none: in one transaction.

    Raises: SettingsError (the URL, the directory, not a database), StoreError (another's, a later release's),
        StoreUnavailable.
    """
    path = database_path(url)
    create_file(path)
    lock = WriteLock(path)
    try:
        connection = open_writer(path, lock)
        try:
            with lock.bounded(), store_faults():
                upgrade(connection, path)
        finally:
            connection.close()
    finally:
        lock.close()


def read_state(connection: Connection, path: Path) -> SchemaState:
    """Return the state that the database tells. Raises: StoreError (not ours), DBAPIError."""
    names = connection.exec_driver_sql("SELECT name FROM sqlite_schema WHERE type = 'table'").scalars().all()
    if not names:
        return "absent"
    if VERSION_TABLE not in names:
        raise StoreError(f"database {path}: these tables are not Mintmark's")
    version = connection.exec_driver_sql(READ_VERSION).scalar_one()
    if version == HEAD:
        return "current"
    return "old" if version in REVISIONS else "newer"


def upgrade(connection: Connection, path: Path) -> None:
    """Run what is missing, unless another process has just done so. Raises: StoreError, DBAPIError."""
    state = read_state(connection, path)
    if state == "newer":
        raise StoreError(f"database {path}: {REMEDIES[state]}")
    if state == "current":
        return
    connection.exec_driver_sql(BEGIN)
    try:
        run_scripts(connection)
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise


def run_scripts(connection: Connection) -> None:
    """Let Alembic run its scripts on this connection. Raises: DBAPIError."""
    from alembic import command  # noqa: PLC0415 - the usual start must not wait for it
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    # An ini value: a per cent sign in the path would be read as an interpolation.
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
