"""The rows that the store keeps, as frozen values. No secret and no token is in any of them, only hashes and seals.

Times are whole seconds since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

SecretKind = Literal["hmac-sha256", "argon2id"]
KeyUse = Literal["sig", "enc"]
Rotation = Literal["rotated", "unknown", "expired", "spent", "reused"]
"""How an attempt to spend a refresh token ended; `interface.TokenStore.rotate` says when each is meant."""


class TenantRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One issuer: its dialect, its names, and what it does otherwise than its dialect's rules."""

    tenant_id: str
    """A slug: `[a-z0-9][a-z0-9-]{0,62}`."""
    dialect: str
    issuer: str
    """The issuer identifier, a URL without query or fragment. RFC: 8414 section 2."""
    hosts: tuple[str, ...] = ()
    """Host header values that name this tenant, lower case, with the port where only that port counts."""
    identifier: str | None = None
    """The name that messages carry in some dialects (Omada's `omadacId`)."""
    is_default: bool = False
    is_suspended: bool = False
    token_rules: Mapping[str, Any] = {}
    """What differs from the dialect's `[rules.token]`; checked by `grants.rules` when it is written and read."""
    created_at: int = 0
    generation: int = 1
    """Tokens of another generation are dead. The store draws it, never one twice; what is written here is not read."""
    title: str = ""
    """A name for people."""
    description: str = ""
    is_administrative: bool = False
    """Its clients manage the whole deployment. At most one is."""
    is_msp: bool = False
    """Its clients manage its customers, too."""
    msp_id: str | None = None
    """The tenant id of the msp whose customer this is."""
    allows_registration: bool = False
    """Clients may register themselves, with an initial access token. RFC: 7591."""
    version: int = 1
    """Grows by one with every change. The store counts; what is written here is not read."""


class Rewrite(NamedTuple):
    """What is to be written of a tenant or client that is there."""

    name: str
    """Its id."""
    changes: Mapping[str, Any] = {}
    """The fields, as the record names them; what is not named stays."""
    bump: bool = False
    """It gets a new generation."""
    if_version: int | None = None
    """The version that it must still be of; None: any."""


class SecretRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One client secret, hashed."""

    secret_id: str
    tenant_id: str
    client_id: str
    kind: SecretKind
    hash: str
    """`hmac-sha256`: 64 lower-case hex under the master key. `argon2id`: the PHC string."""
    label: str = ""
    created_at: int = 0
    expires_at: int | None = None
    last_used_at: int | None = None
    """When it last authenticated, to within a minute; None: never. No change of the client's version."""


class SecretPlace(NamedTuple):
    """Where an expiring secret stands among all: the soonest first, and none twice."""

    expires_at: int
    tenant_id: str = ""
    client_id: str = ""
    secret_id: str = ""


class ClientRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A registered client and its live secrets. RFC: 7591 section 2."""

    tenant_id: str
    client_id: str
    client_name: str = ""
    is_disabled: bool = False
    grant_types: tuple[str, ...] = ("client_credentials",)
    authentication_methods: tuple[str, ...] = ("client_secret_basic", "client_secret_post")
    scope: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()
    token_rules: Mapping[str, Any] = {}
    """What differs from the tenant's token rules."""
    secrets: tuple[SecretRecord, ...] = ()
    created_at: int = 0
    generation: int = 1
    """As a tenant's. A client registered again under its id has another than it ever had."""
    resources: tuple[str, ...] = ()
    """The audiences for which this client, as a resource server, may introspect tokens."""
    role: str = ""
    """The role of an Omada application; empty: none, and so nothing of its Open API."""
    all_sites: bool = False
    sites: tuple[str, ...] = ()
    """The ids of the sites that the application may see, unless it may see all."""
    all_customers: bool = False
    customers: tuple[str, ...] = ()
    """The tenant ids of the customers that an msp's application may see, unless it may see all."""
    version: int = 1
    """Grows by one with every change of the client or its secrets. The store counts."""


class SiteRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A site of an Omada tenant: what its applications' privileges name."""

    tenant_id: str
    site_id: str
    """24 lower-case hex."""
    name: str
    """No other site of the tenant has it."""
    region: str
    time_zone: str
    scenario: str
    site_type: int = 0
    details: Mapping[str, Any] = {}
    """The vendor's further members, under the vendor's names."""
    created_at: int = 0
    version: int = 1
    """Grows by one with every change. The store counts."""


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's key: the public half as a JWK, the private half sealed under the master key."""

    kid: str
    tenant_id: str
    use: KeyUse
    alg: str
    active_from: int
    """When it begins to sign; verifiers hear of it before. The newest that has begun signs, older ones verify."""
    public_jwk: Mapping[str, Any]
    """Empty for a symmetric key."""
    sealed: bytes
    """PKCS#8 DER of a private key, or the octets of a symmetric one, sealed."""
    created_at: int = 0
    revoked_at: int | None = None
    """From when on nothing that it signed is believed."""


class TokenRecord(msgspec.Struct, frozen=True, gc=False):
    """An issued opaque token: its SHA-256 digest and what it stands for. Positional order is the column order."""

    digest: bytes
    tenant_id: str
    client_id: str
    kind: Literal["access", "refresh"]
    scope: str
    audience: str
    """Space-separated."""
    issued_at: int
    expires_at: int
    tenant_generation: int
    """The tenant's generation when this was minted."""
    client_generation: int
    family: bytes | None = None
    """Ties a refresh token to the access token that it came with: the digest of the first of the family."""
    used_at: int | None = None
    """When a refresh token was spent."""


class ReuseSlot(msgspec.Struct, frozen=True, gc=False):
    """The one live token of a client, scope and audience, in tenants that hand the same token out again.

    A new generation has slots of its own, so a token of an earlier one is never handed out.
    """

    tenant_id: str
    client_id: str
    scope: str
    audience: str
    tenant_generation: int
    client_generation: int


class ReusableToken(msgspec.Struct, frozen=True, gc=False):
    """The live token of a slot: sealed, because it must be shown again."""

    digest: bytes
    sealed: bytes
    expires_at: int


class InitialAccessToken(msgspec.Struct, frozen=True, kw_only=True):
    """Lets clients register themselves, within limits. RFC: 7591 section 1.2."""

    tenant_id: str
    token_id: str
    digest: bytes
    label: str
    scope: tuple[str, ...]
    """What a client may register for at most."""
    uses_left: int
    created_at: int
    expires_at: int


class RegistrationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a client that registered itself may do with its registration. RFC: 7592 section 1.2."""

    tenant_id: str
    client_id: str
    digest: bytes
    """Of its registration access token."""
    previous: bytes | None
    """Of the one before, good until this one is first used: an answer may be lost."""
    scope: tuple[str, ...]
    """The limit that its initial access token set."""


class IdempotencyRecord(msgspec.Struct, frozen=True, gc=False):
    """A key that a caller gave to a creation, and the answer. Positional order is the column order."""

    actor: str
    key: str
    digest: str
    """A keyed hash of the request."""
    sealed: bytes
    """The answer."""
    expires_at: int


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Who does what: the part of an audit record that is known before the change. No secret and no token is in it."""

    kind: str
    """The verb's name, such as `register_client`."""
    at: int
    actor: str
    """`client:<tenant>/<client_id>`, `local:<user of this machine>`, or `mintmark` itself."""
    source: str = ""
    """The address from which it was asked."""
    token: str = ""
    """The `jti` or the first 16 hex of the digest of the token that was shown."""
    correlation_id: str = ""


class AuditMembers(msgspec.Struct, frozen=True, kw_only=True):
    """What a record of the audit log says besides its body."""

    seq: int
    """1, 2, 3 ... without a gap."""
    at: int
    kind: str
    actor: str
    tenant_id: str | None
    subject: str
    """What was changed, such as `client acme/billing`."""
    source: str
    token: str
    correlation_id: str


class AuditRecord(AuditMembers, frozen=True, kw_only=True):
    """One link of the audit log."""

    body: str
    """JSON: `before` and `after` of a change, or the `entries` of many events. Empty: removed for its age."""
    body_digest: bytes
    """SHA-256 over the body."""
    previous: bytes
    hash: bytes
    """SHA-256 over all of the above but the body; see `store.chain`."""


class AuditLink(NamedTuple):
    """A record as far as the chain needs it."""

    seq: int
    at: int
    previous: bytes
    hash: bytes


class AuditSearch(msgspec.Struct, frozen=True, kw_only=True):
    """Which records of the audit log are wanted."""

    tenants: Sequence[str] | None = None
    """Of these; None: of all, and those of the deployment."""
    kind: str = ""
    """Of exactly this; empty: of any. So with the actor."""
    actor: str = ""
    after: int | None = None
    """Oldest first, from behind this place in the log; None: newest first."""
    before: int | None = None
    """Newest first, from before this place; None: from the end."""
    limit: int
    octets: int = 1024 * 1024
    """Bodies of a page together; one record is given whatever its own."""


class AuditPage(NamedTuple):
    """Records, and the place from which a search goes on, or None at the end. A page may be short, or empty."""

    records: Sequence[AuditRecord]
    place: int | None


class AuditCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A signed statement that the chain had this hash at this place."""

    seq: int
    at: int
    hash: bytes
    is_anchor: bool
    """All records up to this one were removed for their age; the chain goes on from here."""
    signature: bytes
    """Ed25519, under a key derived from the root key."""
