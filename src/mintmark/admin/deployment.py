"""The deployment itself: made once (`init`), opened at each start, refused when the master key is not its own."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Final

from mintmark.admin.actor import Actor
from mintmark.admin.administration import Administration, AdministrationError
from mintmark.admin.audit_chain import HEAD_FACT, seal_head
from mintmark.admin.clients import ClientRequest, RegisteredClient, register_client
from mintmark.admin.permissions import MANAGEMENT_AUDIENCE, PERMISSIONS
from mintmark.admin.tenants import TenantRequest, create_tenant
from mintmark.authentication.audit_key import AuditKey
from mintmark.authentication.keyed_hash import KEY_OCTETS, KeyedHash
from mintmark.authentication.master_key import (
    SealBroken,
    SealingKey,
    create_master_key,
    parse_master_key,
    read_master_key,
)
from mintmark.dialects.catalogue import load_dialects
from mintmark.grants.rules import parse_rules
from mintmark.protocol.errors import SettingsError
from mintmark.protocol.secret import Secret
from mintmark.settings import Settings
from mintmark.store.bounds import Bounds
from mintmark.store.chain import GENESIS
from mintmark.store.records import Act
from mintmark.store.schema import SchemaState, migrate, peek_fact, schema_state
from mintmark.store.sql_store import SqlStore
from mintmark.store.urls import show_url

ADMINISTRATIVE: Final = "admin"
"""The id of the administrative tenant, and of its first client."""
ROOT_KEY_FACT: Final = "sealed_root_key"
ROOT_KEY_PURPOSE: Final = b"root key"


async def open_deployment(settings: Settings) -> Administration:
    """Open what `init` made.

    Raises:
        SettingsError: no master key, another deployment's, or a faulty dialect file: nothing has been changed.
        AdministrationError: there is no database yet.
        StoreError: a database of another release, or one that cannot be opened.
    """
    if schema_state(settings.database) == "absent":
        raise AdministrationError(f"{show_url(settings.database)}: there is no database yet; run: mintmark init")
    return await _open(settings, _read_master_key(settings))


async def initialize(settings: Settings) -> Administration:
    """Make what is missing of the folder, the master key and the database; change nothing that is there.

    Raises:
        SettingsError: a database is there and its master key is not, or is another.
    """
    make_state_dir(settings)
    is_absent = schema_state(settings.database) == "absent"
    is_new = is_absent or peek_fact(settings.database, ROOT_KEY_FACT) is None
    if is_new and not settings.master_key and not settings.key_file.exists():
        create_master_key(settings.key_file)
    master_key = _read_master_key(settings)
    if is_absent:
        migrate(settings.database)
    return await _open(settings, master_key)


def make_state_dir(settings: Settings) -> None:
    """Make the folder, for its owner alone, where there is none. Raises: SettingsError."""
    try:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"state_dir {settings.state_dir}: {error.strerror}") from error


def migrate_deployment(settings: Settings) -> SchemaState:
    """Bring the database to this program's schema, creating it where there is none; return how it was before.

    Raises: SettingsError (the URL, the folder), StoreError (another's, a later release's, half of a copy).
    """
    make_state_dir(settings)
    state = schema_state(settings.database)
    migrate(settings.database)
    return state


def check_master_key(settings: Settings) -> None:
    """Make sure that the master key opens the deployment, changing nothing.

    Raises: SettingsError (no master key, another deployment's, no root key), StoreError.
    """
    master_key = _read_master_key(settings)
    sealed = peek_fact(settings.database, ROOT_KEY_FACT)
    if sealed is None:
        raise SettingsError(f"{show_url(settings.database)}: its root key is not there; run: mintmark init")
    _unseal_root_key(sealed, master_key, settings)


async def create_administrator(administration: Administration, issuer: str) -> RegisteredClient | None:
    """Create the administrative tenant and its first client, with every permission; None: there is one already.

    Args:
        issuer: the administrative tenant's issuer identifier.

    Raises: AdministrationError (the issuer, or a tenant `admin` that is not administrative).
    """
    if any(tenant.is_administrative for tenant in await administration.store.tenants.list()):
        return None
    await create_tenant(
        administration,
        TenantRequest(tenant_id=ADMINISTRATIVE, dialect="oauth2", issuer=issuer, is_administrative=True),
    )
    return await register_client(administration, administrator_request())


def administrator_request(client_secret: Secret | None = None) -> ClientRequest:
    """Return the request that registers the first administrator's client."""
    return ClientRequest(
        tenant_id=ADMINISTRATIVE,
        client_id=ADMINISTRATIVE,
        client_secret=client_secret,
        client_name="first administrator",
        scope=tuple(sorted(PERMISSIONS)),
        audience=(MANAGEMENT_AUDIENCE,),
    )


async def _open(settings: Settings, master_key: SealingKey) -> Administration:
    dialects = load_dialects(settings.dialects_dir)
    origin = f"{settings.dialects_dir}: dialect" if settings.dialects_dir else "dialect"
    rules = {name: parse_rules(dialect.definition, f"{origin} {name}") for name, dialect in dialects.items()}
    if schema_state(settings.database) == "old":
        sealed = peek_fact(settings.database, ROOT_KEY_FACT)
        if sealed is not None:
            _unseal_root_key(sealed, master_key, settings)
        migrate(settings.database)
    store = SqlStore.open(settings.database, read_bounds(settings))
    try:
        root_key = await _open_root_key(store, master_key, settings)
    except BaseException:
        await store.close()
        raise
    keys = SealingKey(root_key), KeyedHash(root_key), AuditKey(root_key)
    return Administration(store, *keys, dialects, rules, time.time)


def read_bounds(settings: Settings) -> Bounds:
    """Return the bounds of a store, as the settings name them."""
    return Bounds(
        connect_timeout_s=settings.database_connect_timeout_s,
        statement_timeout_s=settings.database_statement_timeout_s,
        lock_timeout_s=settings.database_lock_timeout_s,
        readers=settings.database_readers,
        reads_waiting=settings.database_reads_waiting,
        writes_waiting=settings.database_writes_waiting,
        wait_s=settings.database_wait_s,
        slow_after_s=settings.database_slow_after_s,
        look_timeout_s=settings.refresh_timeout_s,
    )


async def _open_root_key(store: SqlStore, master_key: SealingKey, settings: Settings) -> bytes:
    """Open the deployment's root key, or make it in a database without one. Only the right master key opens it."""
    sealed = await store.deployment.find_fact(ROOT_KEY_FACT) or await _make_root_key(store, master_key, settings)
    return _unseal_root_key(sealed, master_key, settings)


def require_root_key(settings: Settings) -> str:
    """Return the sealed root key of a database that is there, having opened it.

    Raises: SettingsError (no master key, or another's), AdministrationError (no deployment).
    """
    master_key = _read_master_key(settings)
    sealed = None if schema_state(settings.database) == "absent" else peek_fact(settings.database, ROOT_KEY_FACT)
    if sealed is None:
        raise AdministrationError(f"{show_url(settings.database)}: there is no deployment")
    _unseal_root_key(sealed, master_key, settings)
    return sealed


def _unseal_root_key(sealed: str, master_key: SealingKey, settings: Settings) -> bytes:
    try:
        return master_key.open(bytes.fromhex(sealed), ROOT_KEY_PURPOSE)
    except SealBroken as error:
        raise SettingsError(
            f"{_master_key_origin(settings)}: this is not the master key of {show_url(settings.database)};"
            " nothing was changed. Restore the key that belongs to it"
        ) from error


async def _make_root_key(store: SqlStore, master_key: SealingKey, settings: Settings) -> str:
    """Make the root key of a database without tenants; of parallel first starts, all return the same one, sealed."""
    # A parallel first start may have made the key and a tenant since: then the key is there, and stands.
    if await store.tenants.list() and await store.deployment.find_fact(ROOT_KEY_FACT) is None:
        raise SettingsError(
            f"{show_url(settings.database)}: its root key is gone, and no other opens what its tenants have;"
            " nothing was changed. Restore a backup"
        )
    root_key = secrets.token_bytes(KEY_OCTETS)
    sealed = master_key.seal(root_key, ROOT_KEY_PURPOSE).hex()
    async with store.together() as first:
        stands = await first.deployment.put_fact_if_absent(ROOT_KEY_FACT, sealed)
        if stands == sealed:
            # From the beginning: a deployment without a sealed head is one whose audit log was tampered with.
            await first.deployment.put_fact(HEAD_FACT, seal_head(AuditKey(root_key), 0, GENESIS))
    return stands


async def reseal(settings: Settings, new_key_file: Path) -> None:
    """Change the master key: seal the root key under the one in a file, which is made if it is not there.

    It is one write: whenever it is interrupted, either the old key opens the deployment or the new one does.

    Raises:
        SettingsError: the present master key is not the deployment's, or the new one cannot be read or written.
    """
    store = SqlStore.open(settings.database, read_bounds(settings))
    try:
        root_key = await _open_root_key(store, _read_master_key(settings), settings)
        new_key = _read_or_create(new_key_file)
        act = Act(kind="reseal", at=int(time.time()), actor=Actor.local().name)
        await store.acting(act).deployment.put_fact(ROOT_KEY_FACT, new_key.seal(root_key, ROOT_KEY_PURPOSE).hex())
    finally:
        await store.close()


def _read_or_create(key_file: Path) -> SealingKey:
    return read_master_key(key_file) if key_file.exists() else create_master_key(key_file)


def _master_key_origin(settings: Settings) -> str:
    return "MINTMARK_MASTER_KEY" if settings.master_key else str(settings.key_file)


def _read_master_key(settings: Settings) -> SealingKey:
    if settings.master_key:
        return parse_master_key(settings.master_key, "master_key")
    return read_master_key(settings.key_file)
