"""What the rest of the program asks of a store: small protocols, one a noun. Every write is durable when it returns.

Every method may raise `StoreUnavailable`. Nothing here knows SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from mintmark.store.records import (
    ClientRecord,
    KeyRecord,
    ReusableToken,
    ReuseSlot,
    Rotation,
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

    async def change(self, tenant_id: str, changes: Mapping[str, Any], *, bump: bool = False) -> TenantRecord:
        """Write fields, named as the record names them, and with `bump` a new generation in the same transaction.

        What is not named stays, also what another changed meanwhile. Neither `tenant_id`, `created_at` nor
        `generation` can be named.

        Returns: the tenant as it is then.
        Raises: NotFound, AlreadyExists (a host, identifier or default of another).
        """

    async def bump_generation(self, tenant_id: str) -> None:
        """Give the tenant a new generation: all tokens minted before are dead. Raises: NotFound."""


class ClientStore(Protocol):
    """Registered clients with their secrets: up to millions, read one by one or page by page."""

    async def add(self, clients: Sequence[ClientRecord]) -> None:
        """Add clients with their secrets, all or none, in a generation that none of their ids has had.

        Raises: AlreadyExists, NotFound (the tenant).
        """

    async def find(self, tenant_id: str, client_id: str) -> ClientRecord | None:
        """Return the client with its secrets, newest first, or None."""

    async def page(self, tenant_id: str, after: str, limit: int) -> list[ClientRecord]:
        """Return up to `limit` clients whose id sorts after `after` ("" from the start), by id, with their secrets."""

    async def change(
        self, tenant_id: str, client_id: str, changes: Mapping[str, Any], *, bump: bool = False
    ) -> ClientRecord:
        """Write fields as in `TenantStore.change`; neither ids nor secrets can be named. Raises: NotFound."""

    async def bump_generation(self, tenant_id: str, client_id: str) -> None:
        """Give the client a new generation: all tokens minted before are dead. Raises: NotFound."""

    async def remove(self, tenant_id: str, client_id: str) -> None:
        """Remove the client and its secrets. Raises: NotFound."""

    async def add_secret(self, secret: SecretRecord) -> None:
        """Add a secret. Raises: NotFound (the client), AlreadyExists."""

    async def reset_secrets(self, secret: SecretRecord, *, bump: bool = False) -> None:
        """Put a secret in the place of all others of its client, and with `bump` give that a new generation.

        Raises: NotFound (the client).
        """

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

    async def remove(self, tenant_id: str, kid: str) -> None:
        """Remove the key. Raises: NotFound."""


class TokenStore(Protocol):
    """Opaque tokens, by digest, and the JWTs that were revoked, by `jti`."""

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

    async def renew(self, record: TokenRecord, slot: ReuseSlot, sealed: bytes) -> None:
        """Put a token into its slot, and remove the one that was there, in one transaction.

        Of any number of parallel calls, in any number of processes, the token of the last one remains.
        Raises: AlreadyExists (the digest).
        """

    async def renew_jwt(self, slot: ReuseSlot, jti: str, expires_at: int) -> None:
        """Put a JWT into its slot, and revoke the one that was there, as `renew` does with opaque tokens."""

    async def remove(self, digest: bytes) -> bool:
        """Remove a token, and its slot with it; return whether it was there."""

    async def remove_family(self, family: bytes) -> int:
        """Remove all tokens of a family, access and refresh, and return how many.

        Of a family are the tokens that name it and the one whose digest it is.
        """

    async def rotate(self, digest: bytes, replacement: Sequence[TokenRecord], now: int, leeway_s: int) -> Rotation:
        """Spend a refresh token at the second `now` and add what takes its place, or say why not.

        Of any number of parallel calls, in any number of processes, one rotates. The answer is:
        `rotated`: the token is marked as used, the replacement is there;
        `unknown`: there is no refresh token of this digest; `expired`: there is, and it has;
        `spent`: it was used up to `leeway_s` seconds ago, most likely by a parallel call; nothing changes;
        `reused`: it was used before that, so somebody has a copy; its whole family is gone.

        Raises: AlreadyExists (a digest of the replacement).
        """

    async def revoke_jti(self, tenant_id: str, jti: str, expires_at: int) -> None:
        """Remember until it expires that a JWT was revoked. A second call does nothing."""

    async def is_jti_revoked(self, tenant_id: str, jti: str) -> bool:
        """Return whether a JWT was revoked; after it has expired, no answer counts."""


class DeploymentStore(Protocol):
    """The few facts of the whole deployment."""

    async def find_fact(self, name: str) -> str | None:
        """Return a fact (the sealed root key), or None."""

    async def put_fact(self, name: str, value: str) -> None:
        """Write a fact."""

    async def put_fact_if_absent(self, name: str, value: str) -> str:
        """Write a fact unless it is there, and return what stands: of parallel calls all return the same."""

    async def revision(self) -> int:
        """Return a number that grows with every change of a tenant, client, secret or key, in any process."""

    def sign_of_change(self) -> bytes:
        """Return what is another after such a change has returned, in every process; it costs no read.

        It may fail to change when a process dies in the midst: then only the revision tells.
        """


class Upkeep(Protocol):
    """Getting rid of what is past. Each removal is one short transaction: call until it returns 0, with pauses."""

    async def tend_log(self) -> None:
        """See from now on, until the store is closed, to what the database wants done beside its writers.

        A second call does nothing. A store without it is as correct, and slower now and then.
        """

    async def purge(self, now: int, limit: int) -> int:
        """Remove up to `limit` rows whose `expires_at` is `now` or earlier: tokens, and what is kept of JWTs.

        Returns: how many rows are gone, a token and its slot being one.
        """

    async def reclaim(self, pages: int, *, keep: int = 0, keep_share: float = 0.0) -> int:
        """Give up to `pages` free pages of the database back to the file system, and return how many.

        Args:
            keep: so many free pages stay, for what is written next,
            keep_share: or this share of all pages, if it is more.
        """


class Leadership(Protocol):
    """For what one process must do for all. Of all processes at most one leads; when it dies, another can."""

    async def try_acquire(self) -> bool:
        """Return whether this process leads from now on, or did already. Never waits."""

    @property
    def is_leading(self) -> bool: ...

    async def release(self) -> None:
        """Let another process lead. Closing the store does it, too."""


class Writer(Protocol):
    """What can be seen of that which writes, from outside."""

    measure: Callable[[Callable[[], list[object]], int], list[object]]
    """Commits a number of writes by calling what it is given: put another in its place to see how long that takes."""

    @property
    def waiting(self) -> int:
        """How many writes wait."""

    @property
    def is_alive(self) -> bool:
        """Whether anything would be written."""


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
    @property
    def upkeep(self) -> Upkeep: ...
    @property
    def leadership(self) -> Leadership: ...
    @property
    def writer(self) -> Writer: ...

    async def close(self) -> None:
        """Finish what is in hand and let go of the database."""
