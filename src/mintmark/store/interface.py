"""What the rest of the program asks of a store: small protocols, one a noun. Every write is durable when it returns.

Every method may raise `StoreUnavailable`. Nothing here knows SQL. Where a change takes `if_version`, it raises
`StaleVersion` when the record is of another by then, and nothing is written.
"""

from __future__ import annotations

import builtins
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from mintmark.store.events import EventRecord
from mintmark.store.records import (
    Act,
    AuditCheckpoint,
    AuditLink,
    AuditPage,
    AuditRecord,
    AuditSearch,
    ClientRecord,
    IdempotencyRecord,
    InitialAccessToken,
    KeyRecord,
    RegistrationRecord,
    ReusableToken,
    ReuseSlot,
    Rewrite,
    Rotation,
    SecretPlace,
    SecretRecord,
    SiteRecord,
    TenantRecord,
    TokenRecord,
)
from mintmark.store.tending import Leadership, Upkeep, Writer


class TenantStore(Protocol):
    """Tenants: few, and read whole."""

    async def add(self, tenant: TenantRecord, keys: Sequence[KeyRecord]) -> None:
        """Add a tenant and its first keys in one transaction. Raises: AlreadyExists (id, host, identifier, default)."""

    async def add_some(self, made: Sequence[tuple[TenantRecord, Sequence[KeyRecord]]]) -> None:
        """Add tenants, each with its first keys, all or none. Raises: AlreadyExists."""

    async def find(self, tenant_id: str) -> TenantRecord | None:
        """Return the tenant, or None."""

    async def find_identifier(self, identifier: str) -> TenantRecord | None:
        """Return the tenant that messages name so, or None."""

    async def list(self) -> list[TenantRecord]:
        """Return all tenants, by id."""

    async def page(self, after: str, limit: int) -> builtins.list[TenantRecord]:
        """Return up to `limit` tenants whose id sorts after `after` ("" from the start), by id."""

    async def customers(self, msp_id: str) -> tuple[str, ...]:
        """Return the ids of the tenants whose msp this is, in order."""

    async def rivals(self, tenant: TenantRecord) -> builtins.list[TenantRecord]:
        """Return the tenants that have its id, issuer, identifier, a host of it, or a place that it takes; also it."""

    async def find_customer(self, msp_id: str, title: str) -> TenantRecord | None:
        """Return the msp's customer of this name, or None."""

    async def list_customers(self, msp_id: str) -> builtins.list[TenantRecord]:
        """Return the tenants whose msp this is, by id."""

    async def change(
        self, tenant_id: str, changes: Mapping[str, Any], *, bump: bool = False, if_version: int | None = None
    ) -> TenantRecord:
        """Write fields, named as the record names them, and with `bump` a new generation in the same transaction.

        What is not named stays, also what another changed meanwhile. Neither `tenant_id`, `created_at`, `generation`
        nor `version` can be named.

        Returns: the tenant as it is then.
        Raises: NotFound, AlreadyExists (a host, identifier or default of another).
        """

    async def change_some(self, rewrites: Sequence[Rewrite]) -> builtins.list[TenantRecord]:
        """Do what as many calls of `change` do one after the other, all or none. Raises: as `change`."""

    async def bump_generation(self, tenant_id: str) -> None:
        """Give the tenant a new generation: all tokens minted before are dead. Raises: NotFound."""

    async def remove(self, tenant_id: str, *, if_version: int | None = None) -> None:
        """Remove the tenant with its clients, their secrets, and its keys; its tokens are dead. Raises: NotFound."""

    async def remove_these(self, versions: Mapping[str, int | None]) -> None:
        """Remove tenants, named with the version that each must be of, all or none. Raises: NotFound."""


class ClientStore(Protocol):
    """Registered clients with their secrets: up to millions, read one by one or page by page."""

    async def add(self, clients: Sequence[ClientRecord]) -> None:
        """Add clients with their secrets, all or none, in a generation that none of their ids has had.

        Raises: AlreadyExists, NotFound (the tenant).
        """

    async def find(self, tenant_id: str, client_id: str) -> ClientRecord | None:
        """Return the client with its secrets, newest first, or None."""

    async def find_state(self, tenant_id: str, client_id: str) -> tuple[int, int] | None:
        """Return what is another after every change of the client (its version and generation), or None."""

    async def page(self, tenant_id: str, after: str, limit: int) -> list[ClientRecord]:
        """Return up to `limit` clients whose id sorts after `after` ("" from the start), by id, with their secrets."""

    async def grid(self, tenant_id: str, offset: int, limit: int) -> tuple[int, list[ClientRecord]]:
        """Return how many clients there are, and up to `limit` of them by id from an offset on.

        For systems that page so; `page` stays as fast however far one goes.
        """

    async def change(
        self,
        tenant_id: str,
        client_id: str,
        changes: Mapping[str, Any],
        *,
        bump: bool = False,
        if_version: int | None = None,
    ) -> ClientRecord:
        """Write fields as in `TenantStore.change`; neither ids nor secrets can be named. Raises: NotFound."""

    async def change_some(self, tenant_id: str, rewrites: Sequence[Rewrite]) -> list[ClientRecord]:
        """Do what as many calls of `change` do one after the other, all or none. Raises: NotFound."""

    async def bump_generation(self, tenant_id: str, client_id: str) -> None:
        """Give the client a new generation: all tokens minted before are dead. Raises: NotFound."""

    async def remove(self, tenant_id: str, client_id: str, *, if_version: int | None = None) -> None:
        """Remove the client and its secrets. Raises: NotFound."""

    async def remove_these(self, tenant_id: str, versions: Mapping[str, int | None]) -> None:
        """Remove clients, named with the version that each must be of, all or none. Raises: NotFound."""

    async def add_secret(
        self,
        secret: SecretRecord,
        *,
        others_expire_at: int | None = None,
        without: Sequence[str] = (),
        if_version: int | None = None,
    ) -> None:
        """Add a secret; the client's others expire at `others_expire_at` (seconds) if they would live longer.

        Those whose ids stand in `without` are removed with it.

        Raises: NotFound (the client), AlreadyExists.
        """

    async def reset_secrets(self, secret: SecretRecord, *, bump: bool = False, if_version: int | None = None) -> None:
        """Put a secret in the place of all others of its client, and with `bump` give that a new generation.

        Raises: NotFound (the client).
        """

    async def remove_secret(
        self, tenant_id: str, client_id: str, secret_id: str, *, if_version: int | None = None
    ) -> None:
        """Remove a secret. Raises: NotFound."""

    async def mark_used(self, used: Mapping[tuple[str, str, str], int]) -> None:
        """Write when secrets (tenant, client, secret id) were last used; what is known to be later stays."""

    async def expiring(
        self, after: SecretPlace, until: int, limit: int, tenants: Sequence[str] | None = None
    ) -> list[SecretRecord]:
        """Return up to `limit` secrets behind `after` that expire at `until` or earlier, soonest first.

        Args:
            tenants: of these alone; None: of all.
        """

    async def remove_expired_secrets(self, until: int, limit: int) -> int:
        """Remove up to `limit` secrets that expired at `until` or earlier; return how many."""

    async def remove_some(self, tenant_id: str, limit: int) -> int:
        """Remove up to `limit` clients of a tenant that is about to go, and return how many. Nothing is recorded."""


class SiteStore(Protocol):
    """Sites of Omada tenants."""

    async def add(self, sites: Sequence[SiteRecord]) -> None:
        """Add sites, all or none. Raises: AlreadyExists (an id, a name within its tenant), NotFound (the tenant)."""

    async def add_ending_tokens(self, sites: Sequence[SiteRecord], clients: Collection[tuple[str, str]]) -> None:
        """Add sites of one tenant as `add` does, and with them give it, and some clients, new generations.

        Args:
            clients: tenant id and client id of each.

        Raises: AlreadyExists, NotFound (the tenant, a client).
        """

    async def find(self, tenant_id: str, site_id: str) -> SiteRecord | None:
        """Return the site, or None."""

    async def count(self, tenant_id: str) -> int:
        """Return how many sites a tenant has."""

    async def page(
        self, tenant_id: str, *, only: Collection[str] | None, containing: str, offset: int, limit: int
    ) -> tuple[int, list[SiteRecord]]:
        """Return how many sites there are, and up to `limit` of them by name from an offset on.

        Args:
            only: the ids that count; None: all.
            containing: a text that the name holds, in whatever case; empty: any.
        """

    async def change(self, tenant_id: str, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Write for each site the fields that are named for it, all or none.

        What is not named stays; `details` adds to those that are there.

        Raises: NotFound (a site), AlreadyExists (a name).
        """

    async def remove(self, tenant_id: str, site_ids: Collection[str]) -> None:
        """Remove sites, all or none. Raises: NotFound (a site)."""


class KeyStore(Protocol):
    """Signing and encryption keys, sealed."""

    async def add(self, key: KeyRecord) -> None:
        """Add a key. Raises: AlreadyExists, NotFound (the tenant)."""

    async def list(self, tenant_id: str | None = None) -> list[KeyRecord]:
        """Return the keys of one tenant, or of all, oldest first."""

    async def replace(self, key: KeyRecord, *, successor: KeyRecord | None = None) -> None:
        """Write the key's new form (its state), and with it add the key that takes its place. Raises: NotFound."""

    async def remove(self, tenant_id: str, kid: str) -> None:
        """Remove the key. Raises: NotFound."""


class TokenStore(Protocol):
    """Opaque tokens, by digest, and the JWTs that were revoked, by `jti`."""

    async def add(self, records: Sequence[TokenRecord]) -> None:
        """Add tokens, all or none, and return when they are on disk. Concurrent calls share one commit."""

    async def find(self, digest: bytes) -> TokenRecord | None:
        """Return the token with this SHA-256 digest, or None. Expired ones may still be found: the caller judges."""

    async def find_named(self, name: bytes) -> TokenRecord | None:
        """Return the one token whose digest begins with these octets; None if there is none, or more than one."""

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


class RegistrationStore(Protocol):
    """Who may register clients, and what those clients may do with their registration."""

    async def add_token(self, token: InitialAccessToken) -> None:
        """Add an initial access token. Raises: NotFound (the tenant)."""

    async def list_tokens(self, tenant_id: str) -> list[InitialAccessToken]:
        """Return a tenant's initial access tokens, oldest first, the expired ones too."""

    async def remove_token(self, tenant_id: str, token_id: str) -> None:
        """Remove an initial access token. Raises: NotFound."""

    async def find_token(self, tenant_id: str, digest: bytes) -> InitialAccessToken | None:
        """Return the initial access token of this digest, or None."""

    async def spend_token(self, tenant_id: str, digest: bytes, now: int) -> bool:
        """Take one use of an initial access token; return whether it had one left and has not expired.

        Of any number of parallel calls no more succeed than it has uses.
        """

    async def put(self, registration: RegistrationRecord) -> None:
        """Write a client's registration in the place of an earlier one. Raises: NotFound (the client)."""

    async def find(self, tenant_id: str, client_id: str) -> RegistrationRecord | None:
        """Return a client's registration, or None."""


class IdempotencyStore(Protocol):
    """Creations that may be asked for twice, by who asks and the key that he chose."""

    async def find(self, actor: str, key: str, now: int) -> IdempotencyRecord | None:
        """Return what a key stood on, unless that has expired."""

    async def keep(self, record: IdempotencyRecord) -> None:
        """Keep the answer to a request, in the place of an expired one."""


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

    async def revisions(self) -> tuple[int, int]:
        """Return the revision, and what it was at the last change of a tenant or key."""

    async def look(self) -> tuple[int, int]:
        """Return the revisions as they are from now on, or fail soon: also where the network swallows all.

        Once the database was away, or its place taken by another, it fails once at least.
        """

    async def changed_clients(self, since: int) -> Sequence[tuple[str, str]] | None:
        """Return which clients (tenant, client) changed or were removed since a revision, or fail soon.

        None: any may have: they are too many, a tenant or key has changed, it is too long ago, or some revision since
        then does not say. A client that was only added is not among them.
        """

    def sign_of_change(self) -> bytes:
        """Return what is another after such a change has returned, in every process; it costs no read.

        On another machine it is another as soon as the database's word has come there. It may fail to change when a
        process dies in the midst, or the word is lost: then only the revision tells.
        """


class AuditStore(Protocol):
    """The audit log. What management changes is appended by `Store.acting`, in the transaction of the change."""

    async def add_events(self, records: Sequence[EventRecord]) -> None:
        """Append what happened beside management, in one transaction."""

    async def after(self, seq: int, limit: int) -> list[AuditRecord]:
        """Return up to `limit` records behind `seq`, oldest first."""

    async def search(self, wanted: AuditSearch) -> AuditPage:
        """Return a page of what is wanted: bounded work, and not on the event loop."""

    async def tells_of(self, tenant_id: str) -> bool:
        """Tell whether there is a record of a tenant, which may be gone."""

    async def head(self) -> tuple[int, bytes]:
        """Return the place and hash of the last record, also when it is removed; 0 and zeros before the first."""

    async def checkpoints(self) -> list[AuditCheckpoint]:
        """Return the checkpoints, oldest first."""

    async def last_checkpoint(self) -> AuditCheckpoint | None:
        """Return the newest checkpoint, or None."""

    async def links(self, seq: int, limit: int) -> list[AuditLink]:
        """Return how up to `limit` records behind `seq` are chained, oldest first."""

    async def add_checkpoint(self, checkpoint: AuditCheckpoint, facts: Mapping[str, str] = {}) -> None:
        """Keep a checkpoint, in the place of one for the same record, and facts, in one transaction."""

    async def accept(
        self, shown: Mapping[str, Any], checkpoint: AuditCheckpoint, *, without: Sequence[int], facts: Mapping[str, str]
    ) -> None:
        """Keep a checkpoint and facts, and remove the checkpoints of these records, in one transaction.

        Args:
            shown: what the record of it says, JSON.
        """

    async def purge(self, anchor: AuditCheckpoint) -> None:
        """Remove the records and checkpoints up to the anchor's, and keep the anchor, in one transaction."""

    async def purge_bodies(self, after: int, up_to: int, facts: Mapping[str, str]) -> int:
        """Remove the bodies of events behind `after` up to `up_to`, and write facts, in one transaction.

        Returns: how many went.
        """


class Store(Protocol):
    """All of it, and its own life."""

    @property
    def tenants(self) -> TenantStore: ...
    @property
    def clients(self) -> ClientStore: ...
    @property
    def sites(self) -> SiteStore: ...
    @property
    def keys(self) -> KeyStore: ...
    @property
    def tokens(self) -> TokenStore: ...
    @property
    def deployment(self) -> DeploymentStore: ...
    @property
    def registrations(self) -> RegistrationStore: ...
    @property
    def idempotency(self) -> IdempotencyStore: ...
    @property
    def audit(self) -> AuditStore: ...
    @property
    def upkeep(self) -> Upkeep: ...
    @property
    def leadership(self) -> Leadership: ...
    @property
    def writer(self) -> Writer: ...

    def acting(self, act: Act) -> Store:
        """Return a view on the same store, whose changes are recorded in the audit log as this act.

        A change and its record, with what was before and after, are one transaction.
        """

    def unsynced(self) -> Store:
        """Return a view whose changes are seen by all when they return; the next synced change takes them to the disk.

        For what may be lost with the power.
        """

    def together(self) -> AbstractAsyncContextManager[Store]:
        """Return a view for a block, whose changes are one transaction: all there at its end, or none where it raises.

        The view reads what it has written. Nobody else writes meanwhile: its time is bounded to a few seconds.
        Of such a view it gives a part of that transaction, which is undone by itself where the block raises.
        """

    async def close(self) -> None:
        """Finish what is in hand and let go of the database."""
