"""What the API's bodies are made of: the records as callers see them, without hashes, seals or generations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from mintmark.admin.clients import MAX_MOMENT
from mintmark.admin.privileges import MAX_NAMED
from mintmark.grants.rules import MAX_LIFETIME_S, Algorithm, TokenForm
from mintmark.protocol.secret import Secret
from mintmark.store.records import ClientRecord, SecretRecord, TenantRecord

View = TypeVar("View", bound=msgspec.Struct)

Name = Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=MAX_MOMENT)]
TenantId = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$", examples=["acme"])]
ClientId = Annotated[str, msgspec.Meta(pattern="^[!-~]+$", max_length=255, examples=["billing"])]
ScopeToken = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[!#-\[\]-~]+$", max_length=255, examples=["invoices.read"], description="RFC 6749 section 3.3."
    ),
]
Audience = Annotated[str, msgspec.Meta(pattern="^[!-~]+$", max_length=2048, examples=["https://api.example"])]
Scope = Annotated[tuple[ScopeToken, ...], msgspec.Meta(max_length=1000)]
Audiences = Annotated[tuple[Audience, ...], msgspec.Meta(max_length=100)]
Role = Annotated[
    str,
    msgspec.Meta(
        max_length=64,
        examples=["viewer_id"],
        description="Of an application of the Omada Open API. With what it sees, it counts in Omada tenants alone.",
    ),
]
SiteId = Annotated[str, msgspec.Meta(pattern="^[!-~]+$", max_length=64, examples=["6528f1f1a3c8e94b5d2a7c10"])]
Sites = Annotated[tuple[SiteId, ...], msgspec.Meta(max_length=MAX_NAMED)]
Customers = Annotated[tuple[TenantId, ...], msgspec.Meta(max_length=MAX_NAMED, description="Of an msp, by tenant id.")]


class Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a caller sends: nothing unknown."""


class TokenRuleSet(Given, frozen=True, kw_only=True):
    """Token rules that differ from what they stand on: a tenant's from its dialect's, a client's from its tenant's."""

    form: TokenForm | msgspec.UnsetType = msgspec.UNSET
    lifetime_s: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIFETIME_S)] | msgspec.UnsetType = msgspec.UNSET
    alg: Algorithm | msgspec.UnsetType = msgspec.UNSET
    typ: Annotated[str, msgspec.Meta(max_length=64)] | msgspec.UnsetType = msgspec.UNSET
    audience: Audiences | msgspec.UnsetType = msgspec.UNSET
    scope: Scope | msgspec.UnsetType | None = msgspec.UNSET
    reuse: bool | msgspec.UnsetType = msgspec.UNSET
    reuse_remainder_s: Annotated[int, msgspec.Meta(ge=0, le=MAX_LIFETIME_S)] | msgspec.UnsetType = msgspec.UNSET


class TenantView(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant."""

    tenant_id: str
    dialect: str
    issuer: str
    title: str
    description: str
    hosts: tuple[str, ...]
    identifier: str | None
    is_default: bool
    is_suspended: bool
    is_administrative: bool
    is_msp: bool
    msp_id: str | None
    allows_registration: bool
    token_rules: Mapping[str, Any]
    created_at: int
    version: int


class ClientView(msgspec.Struct, frozen=True, kw_only=True):
    """A registered client."""

    tenant_id: str
    client_id: str
    client_name: str
    is_disabled: bool
    grant_types: tuple[str, ...]
    authentication_methods: tuple[str, ...]
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    resources: tuple[str, ...]
    token_rules: Mapping[str, Any]
    role: str
    all_sites: bool
    sites: tuple[str, ...]
    """Of what it names, what is gone counts for nothing; so with customers."""
    all_customers: bool
    customers: tuple[str, ...]
    created_at: int
    version: int


class NewClient(ClientView, frozen=True, kw_only=True, omit_defaults=True):
    """A client that was just registered, with its secret if that was made: it is shown this once."""

    client_secret: Secret | msgspec.UnsetType = msgspec.UNSET


class SecretView(msgspec.Struct, frozen=True, kw_only=True):
    """A client's secret, without itself."""

    secret_id: str
    label: str
    created_at: int
    expires_at: int | None
    last_used_at: int | None


class NewSecret(SecretView, frozen=True, kw_only=True):
    """A secret that was just made: it is shown this once."""

    client_secret: Secret


def given_members(body: msgspec.Struct) -> dict[str, Any]:
    """Return what a caller gave of a body's members, the token rules as the records have them."""
    given = {name: getattr(body, name) for name in body.__struct_fields__}
    rules = given.get("token_rules", msgspec.UNSET)
    if rules is not msgspec.UNSET:
        given["token_rules"] = msgspec.to_builtins(rules)
    return {name: value for name, value in given.items() if value is not msgspec.UNSET}


def show_tenant(tenant: TenantRecord) -> TenantView:
    """Return a tenant as callers see it."""
    return _pick(TenantView, tenant)


def show_client(client: ClientRecord) -> ClientView:
    """Return a client as callers see it."""
    return _pick(ClientView, client)


def show_secret(secret: SecretRecord) -> SecretView:
    """Return what may be known of a secret."""
    return _pick(SecretView, secret)


def _pick(kind: type[View], record: msgspec.Struct, **more: Any) -> View:
    """Return a view with the members of the same names."""
    return kind(**{name: getattr(record, name) for name in kind.__struct_fields__ if name not in more}, **more)


def show_new_client(client: ClientRecord, secret: Secret | None) -> NewClient:
    """Return a client with the secret that was made for it; None: its registrar chose it, and knows it."""
    return _pick(NewClient, client, client_secret=msgspec.UNSET if secret is None else secret)


def show_new_secret(secret: SecretRecord, text: Secret) -> NewSecret:
    """Return a secret, for the one time that it is shown."""
    return _pick(NewSecret, secret, client_secret=text)
