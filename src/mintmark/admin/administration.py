"""What every verb works on: the store, the deployment's keys, the dialects with their rules, and who is acting.

AdministrationError     what was asked cannot be done
├── Missing             there is no such thing, or none within the actor's reach
├── Taken               a name belongs to another
├── Malformed           a value is not of its form; `key` names it
├── PermissionRefused   the actor may not
├── Outdated            the record is of another version than the one that was meant
└── LimitReached        a bound, or a rule of the tenant's system, stands against it
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import msgspec

from mintmark.admin.actor import Actor
from mintmark.admin.permissions import Permission
from mintmark.authentication.audit_key import AuditKey
from mintmark.authentication.keyed_hash import KeyedHash
from mintmark.authentication.master_key import SealingKey
from mintmark.dialects.codec import Dialect
from mintmark.grants.rules import Rules, tenant_rules
from mintmark.protocol.errors import MintmarkError, SettingsError, StaleVersion
from mintmark.store.interface import Store
from mintmark.store.records import Act, TenantRecord


class AdministrationError(MintmarkError):
    """What was asked cannot be done; the text says why and names what is there instead."""


class Missing(AdministrationError):
    """There is no such thing; what is beyond the actor's reach is not there for it."""


class Taken(AdministrationError):
    """A name that was asked for belongs to another."""


class Malformed(AdministrationError):
    """A value is not of its form. `key` names it as requests do, or is empty."""

    def __init__(self, text: str, key: str = "") -> None:
        super().__init__(text)
        self.key = key


class PermissionRefused(AdministrationError):
    """The actor lacks the permission, or would give away more than it has."""


class Outdated(AdministrationError):
    """The record is of another version than the one that was meant: somebody else changed it meanwhile."""


class LimitReached(AdministrationError):
    """A bound, or a rule of the tenant's system, stands against it."""


class NotShared(MintmarkError):
    """A verb takes long, or needs what all see: it is to be called again by itself, outside of a shared transaction."""


class Administration(msgspec.Struct, frozen=True):
    """Held by whoever calls a verb."""

    store: Store
    sealing_key: SealingKey
    keyed_hash: KeyedHash
    audit_key: AuditKey
    dialects: Mapping[str, Dialect]
    rules: Mapping[str, Rules]
    clock: Callable[[], float]
    actor: Actor = msgspec.field(default_factory=Actor.local)
    is_together: bool = False
    """Acts share a transaction, for which everybody waits who wants to write."""

    def now(self) -> int:
        """The moment, in whole seconds since 1970-01-01T00:00:00Z."""
        return int(self.clock())

    def on_behalf_of(self, actor: Actor) -> Administration:
        """Return the same for another actor: the verbs then judge and record it."""
        return msgspec.structs.replace(self, actor=actor)

    @asynccontextmanager
    async def together(self) -> AsyncIterator[Administration]:
        """Give the same for a block that is one transaction, or a part of one: see `Store.together`."""
        async with self.store.together() as store:
            yield self if self.is_together else msgspec.structs.replace(self, store=store, is_together=True)

    def require_alone(self) -> None:
        """Say that what follows is nothing for a transaction that many share. Raises: NotShared."""
        if self.is_together:
            raise NotShared

    def permit(self, permission: Permission, tenant_id: str | None) -> None:
        """Make sure that the actor may do this to a tenant, or with None to the whole deployment.

        Raises:
            PermissionRefused: it lacks the permission, or the deployment is more than it reaches.
            Missing: the tenant is beyond its reach.
        """
        if permission not in self.actor.permissions:
            raise PermissionRefused(f"this needs the permission {permission}")
        if not self.actor.reaches(tenant_id):
            if tenant_id is None:
                raise PermissionRefused("this is for administrators of the whole deployment")
            raise no_tenant(tenant_id)

    def acting(self, verb: str) -> Store:
        """Return the store as a verb writes to it: each change is recorded as the actor's."""
        actor = self.actor
        return self.store.acting(
            Act(
                kind=verb,
                at=self.now(),
                actor=actor.name,
                source=actor.source,
                token=actor.token,
                correlation_id=actor.correlation_id,
            )
        )

    async def require_tenant(self, tenant_id: str) -> TenantRecord:
        """Return a tenant within the actor's reach. Raises: Missing."""
        tenant = await self.store.tenants.find(tenant_id) if self.actor.reaches(tenant_id) else None
        if tenant is None:
            if self.actor.tenants is not None:
                raise no_tenant(tenant_id)
            known = ", ".join(row.tenant_id for row in await self.store.tenants.page("", KNOWN_SHOWN)) or "none"
            raise Missing(f"there is no tenant {tenant_id!r}; the tenants are: {known}")
        return tenant

    async def require_rules(self, tenant_id: str) -> Rules:
        """Return the rules of a tenant within the actor's reach. Raises: Missing, SettingsError."""
        tenant = await self.require_tenant(tenant_id)
        if tenant.dialect not in self.rules:
            raise SettingsError(f"tenant {tenant_id}: its dialect {tenant.dialect!r} is not there; see dialects_dir")
        return tenant_rules(self.rules[tenant.dialect], tenant.token_rules, tenant_id)


KNOWN_SHOWN = 100
"""Tenants that a text names at most."""


def no_tenant(tenant_id: str) -> Missing:
    """Return the error of a tenant that is not there, or not for this actor: the same text."""
    return Missing(f"there is no tenant {tenant_id!r}")


@contextmanager
def version_checked() -> Iterator[None]:
    """Turn the store's word on a version into the verbs'. Raises: Outdated."""
    try:
        yield
    except StaleVersion as error:
        raise Outdated(f"somebody else changed it meanwhile: {error}") from error
