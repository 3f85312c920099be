"""What every verb works on: the store, the deployment's keys, and the dialects with their rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from mintmark.authentication.keyed_hash import KeyedHash
from mintmark.authentication.master_key import SealingKey
from mintmark.dialects.codec import Dialect
from mintmark.grants.rules import Rules
from mintmark.protocol.errors import MintmarkError
from mintmark.store.interface import Store
from mintmark.store.records import TenantRecord


class AdministrationError(MintmarkError):
    """What was asked cannot be done; the text says why and names what is there instead."""


class Administration(msgspec.Struct, frozen=True):
    """Held by whoever calls a verb."""

    store: Store
    sealing_key: SealingKey
    keyed_hash: KeyedHash
    dialects: Mapping[str, Dialect]
    rules: Mapping[str, Rules]
    clock: Callable[[], float]

    def now(self) -> int:
        """The moment, in whole seconds since 1970-01-01T00:00:00Z."""
        return int(self.clock())

    async def require_tenant(self, tenant_id: str) -> TenantRecord:
        """Return a tenant. Raises: AdministrationError."""
        tenant = await self.store.tenants.find(tenant_id)
        if tenant is None:
            known = ", ".join(row.tenant_id for row in await self.store.tenants.list()) or "none"
            raise AdministrationError(f"there is no tenant {tenant_id!r}; the tenants are: {known}")
        return tenant
