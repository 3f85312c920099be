"""How old each tenant's signing keys are, and when the next ones take over, as the upkeep will have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

from mintmark.admin.administration import Administration
from mintmark.admin.upkeep import KeySchedule
from mintmark.store.records import KeyRecord
from mintmark.tokens.keys import describe_key_state


class KeyAge(NamedTuple):
    """A key that signs. Times are seconds; `next_rotation` since 1970-01-01T00:00:00Z."""

    tenant_id: str
    alg: str
    age_s: int
    next_rotation: int


class KeyAges:
    """Tells the ages of all keys that sign. They are read again when the store has changed."""

    def __init__(self, administration: Administration, schedule: KeySchedule) -> None:
        self._administration = administration
        self._schedule = schedule
        self._revision = -1
        self._by_tenant: list[list[KeyRecord]] = []

    async def read(self) -> list[KeyAge]:
        """Return them as of now. Raises: StoreUnavailable."""
        revision = await self._administration.store.deployment.revision()
        if revision != self._revision:
            self._by_tenant = [keys async for keys in self._read_keys()]
            self._revision = revision
        now = self._administration.now()
        return [age for keys in self._by_tenant for age in find_ages(keys, self._schedule, now)]

    async def _read_keys(self) -> AsyncIterator[list[KeyRecord]]:
        for tenant in await self._administration.store.tenants.list():
            yield [key for key in await self._administration.store.keys.list(tenant.tenant_id) if key.use == "sig"]
            # There may be thousands, and requests wait meanwhile.
            await asyncio.sleep(0)


def find_ages(keys: list[KeyRecord], schedule: KeySchedule, now: int) -> Iterable[KeyAge]:
    """Return the ages of one tenant's keys at a moment (seconds)."""
    for key in keys:
        if describe_key_state(key, keys, now) == "active":
            announced = [one.active_from for one in keys if one.alg == key.alg and is_announced(one, now)]
            due = max(key.active_from + schedule.lifetime_s, now + schedule.announce_s)
            yield KeyAge(key.tenant_id, key.alg, now - key.active_from, min(announced, default=due))


def is_announced(key: KeyRecord, now: int) -> bool:
    """Tell whether a key is published and will sign."""
    return key.active_from > now and key.revoked_at is None
