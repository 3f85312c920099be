"""Who acts: the person at the command line, this program itself, or a token's client, with what it may and where."""

from __future__ import annotations

import getpass

import msgspec

from mintmark.admin.permissions import MANAGEMENT_AUDIENCE, PERMISSIONS
from mintmark.store.events import DIGEST_SHOWN
from mintmark.store.interface import TenantStore
from mintmark.tokens.verification import LiveToken


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls verbs. Nothing of it is a secret."""

    name: str
    """`client:<tenant>/<client_id>`, `local:<user of this machine>`, or `mintmark`."""
    permissions: frozenset[str]
    tenants: frozenset[str] | None
    """The tenants within reach; None: all of them, and what belongs to none."""
    sites: frozenset[str] | None = None
    """The ids of the sites that it sees; None: all of the tenants within reach."""
    is_limited: bool = False
    """It sees only some sites, or some customers, of its own tenant."""
    source: str = ""
    """The address that the request came from."""
    token: str = ""
    """The `jti`, or the first hex digits of the digest, of the token that was shown."""
    correlation_id: str = ""

    @classmethod
    def local(cls) -> Actor:
        """Return the person at the command line, who holds the master key and so may do everything."""
        return cls(name=f"local:{_user_name()}", permissions=PERMISSIONS, tenants=None)

    @classmethod
    def mintmark(cls) -> Actor:
        """Return this program, in what it does by itself."""
        return cls(name="mintmark", permissions=PERMISSIONS, tenants=None)

    def reaches(self, tenant_id: str | None) -> bool:
        """Tell whether a tenant, or with None the whole deployment, is within reach."""
        return self.tenants is None or tenant_id in self.tenants


async def actor_of_token(live: LiveToken, tenants: TenantStore, *, source: str, correlation_id: str) -> Actor:
    """Return the client of a live token as an actor, with the permissions of the token's scope.

    A token for another audience has none. A client reaches its tenant; where that is an msp, its customers too; where
    it is the administrative one, everything.

    Raises: StoreUnavailable.
    """
    is_for_us = MANAGEMENT_AUDIENCE in live.audience
    return Actor(
        name=f"client:{live.tenant_id}/{live.client_id}",
        permissions=PERMISSIONS & set(live.scope.split(" ")) if is_for_us else frozenset(),
        tenants=await reach_of(live.tenant_id, tenants),
        source=source,
        token=name_token(live),
        correlation_id=correlation_id,
    )


async def reach_of(tenant_id: str, tenants: TenantStore) -> frozenset[str] | None:
    """Return the tenants that a tenant's clients reach; None: all. Raises: StoreUnavailable."""
    tenant = await tenants.find(tenant_id)
    if tenant is None:
        return frozenset()
    if tenant.is_administrative:
        return None
    return frozenset({tenant_id, *(await tenants.customers(tenant_id) if tenant.is_msp else ())})


def name_token(live: LiveToken) -> str:
    """Return what names a token and is of no use to who reads it."""
    return live.jwt_id or (live.digest or b"").hex()[:DIGEST_SHOWN]


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"
