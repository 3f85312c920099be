"""The verb that takes a deployment from one database into another, while nobody serves."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import NamedTuple

from msgspec.structs import replace

from mintmark.admin.administration import AdministrationError
from mintmark.admin.audit import Verdict, verify_audit
from mintmark.admin.deployment import open_deployment, require_root_key
from mintmark.settings import Settings
from mintmark.store.copying import Tell, copy_database
from mintmark.store.opening import open_leadership
from mintmark.store.urls import show_url


class Copied(NamedTuple):
    """What a copy came to."""

    rows: int
    verdict: Verdict
    """Of the audit log, as it is in the target."""


async def copy_deployment(settings: Settings, source_url: str, target_url: str, tell: Tell) -> Copied:
    """Copy a deployment into an empty database, or go on with such a copy, and verify all of it.

    The master key stays what it is: that of the settings has to open both.

    Args:
        tell: hears of the progress, in another thread.

    Raises:
        AdministrationError: there is no deployment, or somebody serves on it.
        SettingsError: a URL, no master key, or another's.
        StoreError: another schema, a target with something else in it, rows that are not the same at the end.
    """
    source = replace(settings, database_url=source_url)
    sealed = require_root_key(source)
    leadership = open_leadership(source_url)
    if not await leadership.try_acquire():
        raise AdministrationError(
            f"{show_url(source_url)}: a server runs on it; stop every `mintmark serve` there, then copy again"
        )
    try:
        # Who leads keeps every server that starts now from tending the source; who holds it, from writing.
        origin = sha256(sealed.encode()).hexdigest()
        rows = await asyncio.to_thread(copy_database, source_url, target_url, origin, tell)
    finally:
        await leadership.release()
    administration = await open_deployment(replace(settings, database_url=target_url))
    try:
        return Copied(rows, await verify_audit(administration))
    finally:
        await administration.store.close()
