"""What the rest of the program asks of a store: small protocols, one a noun. Every write is durable when it returns.

Every method may raise `StoreUnavailable`. Nothing here knows SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mintmark.store.records import (
    ClientRecord,
    KeyRecord,
    ReusableToken,
    ReuseSlot,
    SecretRecord,
    TenantRecord,
    TokenRecord,
)


class TenantStore(Protocol):
    """Tenants: few, and read whole."""

    async def add(self, tenant: TenantRecord, keys: Sequence[KeyRecord]) -> None:
        """Add a tenant and its first keys in one transaction. Raises: AlreadyExists (id, host, identifier, default)."""

    async def find(self, tenant_id: str) -> TenantRecord | None:
        """Return the tenant, or None."""

    async def list(self) -> list[TenantRecord]:
        """Return all tenants, by id."""

    async def replace(self, tenant: TenantRecord) -> None:
        """Write the tenant's new form. Raises: NotFound, AlreadyExists (a host or identifier of another)."""


class ClientStore(Protocol):
    """Registered clients with their secrets: up to millions, read one by one or page by page."""

    async def add(self, clients: Sequence[ClientRecord]) -> None:
        """Add clients with their secrets, all or none. Raises: AlreadyExists, NotFound (the tenant)."""

    async def find(self, tenant_id: str, client_id: str) -> ClientRecord | None:
        """Return the client with its secrets, newest first, or None."""

    async def page(self, tenant_id: str, after: str, limit: int) -> list[ClientRecord]:
        """Return up to `limit` clients whose id sorts after `after` ("" from the start), by id, with their secrets."""

    async def replace(self, client: ClientRecord) -> None:
        """Write the client's new form, secrets left as they are. Raises: NotFound."""

    async def remove(self, tenant_id: str, client_id: str) -> None:
        """Remove the client and its secrets. Raises: NotFound."""

    async def add_secret(self, secret: SecretRecord) -> None:
        """Add a secret. Raises: NotFound (the client), AlreadyExists."""

    async def remove_secret(self, tenant_id: str, client_id: str, secret_id: str) -> None:
        """Remove a secret. Raises: NotFound."""


class KeyStore(Protocol):
    """Signing and encryption keys, sealed."""

    async def add(self, key: KeyRecord) -> None:
        """Add a key. Raises: AlreadyExists, NotFound (the tenant)."""

    async def list(self, tenant_id: str | None = None) -> list[KeyRecord]:
        """Return the keys of one tenant, or of all, oldest first."""

    async def replace(self, key: KeyRecord) -> None:
        """Write the key's new form (its state). Raises: NotFound."""


class TokenStore(Protocol):
    """Opaque tokens, by digest."""

    async def add(self, records: Sequence[TokenRecord]) -> None:
        """Add tokens, all or none, and return when they are on disk. Concurrent calls share one commit."""

    async def find(self, digest: bytes) -> TokenRecord | None:
        """Return the token with this SHA-256 digest, or None. Expired ones may still be found: the caller judges."""

    async def find_reusable(self, slot: ReuseSlot, expires_after: int) -> ReusableToken | None:
        """Return the slot's token when it expires after the given second, else None."""

    async def add_reusable(
        self, record: TokenRecord, slot: ReuseSlot, sealed: bytes, expires_after: int
    ) -> ReusableToken:
        """Put a token into its slot unless a live one is there, and return the slot's token.

        Of any number of parallel calls, in any number of processes, one wins and all return the winner's.
        A token is live when its `expires_at` is above `expires_after`.
        """


class DeploymentStore(Protocol):
    """The few facts of the whole deployment."""

    async def find_fact(self, name: str) -> str | None:
        """Return a fact (the master key's check value), or None."""

    async def put_fact(self, name: str, value: str) -> None:
        """Write a fact."""

    async def revision(self) -> int:
        """Return a number that grows with every change of a tenant, client, secret or key, in any process."""


class Store(Protocol):
    """All of it, and its own life."""

    @property
    def tenants(self) -> TenantStore: ...
    @property
    def clients(self) -> ClientStore: ...
    @property
    def keys(self) -> KeyStore: ...
    @property
    def tokens(self) -> TokenStore: ...
    @property
    def deployment(self) -> DeploymentStore: ...

    async def close(self) -> None:
        """Finish what is in hand and let go of the database."""
