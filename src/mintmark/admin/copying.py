"""The verb that takes a deployment from one database into another, while nobody serves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
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


def copy_deployment(settings: Settings, source_url: str, target_url: str, tell: Tell) -> Copied:
    """Copy a deployment into an empty database, or go on with such a copy, and verify all of it.

    The master key stays what it is: that of the settings has to open both.

    Args:
        tell: hears of the progress.

    Raises:
        AdministrationError: there is no deployment, or somebody serves on it.
        SettingsError: a URL, no master key, or another's.
        StoreError: another schema, a target with something else in it, rows that are not the same at the end.
    """
    sealed = require_root_key(replace(settings, database_url=source_url))
    with leading(source_url):
        rows = copy_database(source_url, target_url, sha256(sealed.encode()).hexdigest(), tell)
    return Copied(rows, asyncio.run(_verify(replace(settings, database_url=target_url))))


@contextmanager
def leading(url: str) -> Iterator[None]:
    """Lead, so that no server does. Raises: AdministrationError (one does), StoreUnavailable."""
    leadership = open_leadership(url)
    if not asyncio.run(leadership.try_acquire()):
        raise AdministrationError(
            f"{show_url(url)}: a server runs on it; stop every `mintmark serve` there, then copy again"
        )
    try:
        yield
    finally:
        asyncio.run(leadership.release())


async def _verify(settings: Settings) -> Verdict:
    administration = await open_deployment(settings)
    try:
        return await verify_audit(administration)
    finally:
        await administration.store.close()
