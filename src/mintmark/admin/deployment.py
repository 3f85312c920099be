"""The deployment itself: made once (`init`), opened at each start, refused when the master key is not its own."""

from __future__ import annotations

import time
from typing import Final

from mintmark.admin.administration import Administration, AdministrationError
from mintmark.authentication.master_key import MasterKey, create_master_key, parse_master_key, read_master_key
from mintmark.dialects.catalogue import load_dialects
from mintmark.grants.rules import parse_rules
from mintmark.protocol.errors import SettingsError
from mintmark.settings import Settings
from mintmark.store.schema import migrate, schema_state
from mintmark.store.sql_store import SqlStore

CHECK_FACT: Final = "master_key_check"


async def open_deployment(settings: Settings) -> Administration:
    """Open what `init` made.

    Raises:
        SettingsError: no master key, another deployment's, or a faulty dialect file: nothing has been changed.
        AdministrationError: there is no database yet.
        StoreError: a database of another release, or one that cannot be opened.
    """
    if schema_state(settings.database) == "absent":
        raise AdministrationError(f"{settings.database}: there is no database yet; run: mintmark init")
    return await _open(settings, _read_master_key(settings))


async def initialize(settings: Settings) -> Administration:
    """Make what is missing of the folder, the master key and the database; change nothing that is there.

    Raises:
        SettingsError: a database is there and its master key is not, or is another.
    """
    try:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"state_dir {settings.state_dir}: {error.strerror}") from error
    is_new = schema_state(settings.database) == "absent"
    if is_new and not settings.master_key and not settings.key_file.exists():
        create_master_key(settings.key_file)
    master_key = _read_master_key(settings)
    if is_new:
        migrate(settings.database)
    return await _open(settings, master_key)


async def _open(settings: Settings, master_key: MasterKey) -> Administration:
    dialects = load_dialects(settings.dialects_dir)
    origin = f"{settings.dialects_dir}: dialect" if settings.dialects_dir else "dialect"
    rules = {name: parse_rules(dialect.definition, f"{origin} {name}") for name, dialect in dialects.items()}
    if schema_state(settings.database) == "old":
        migrate(settings.database)
    store = SqlStore.open(settings.database)
    try:
        await _check_master_key(store, master_key, settings)
    except BaseException:
        await store.close()
        raise
    return Administration(store, master_key, dialects, rules, time.time)


async def _check_master_key(store: SqlStore, master_key: MasterKey, settings: Settings) -> None:
    known = await store.deployment.find_fact(CHECK_FACT)
    if known is None:
        await store.deployment.put_fact(CHECK_FACT, master_key.check_value)
    elif known != master_key.check_value:
        origin = "MINTMARK_MASTER_KEY" if settings.master_key else str(settings.key_file)
        raise SettingsError(
            f"{origin}: this is not the master key of {settings.database}; nothing was changed."
            " Restore the key that belongs to it"
        )


def _read_master_key(settings: Settings) -> MasterKey:
    if settings.master_key:
        return parse_master_key(settings.master_key, "master_key")
    return read_master_key(settings.key_file)
