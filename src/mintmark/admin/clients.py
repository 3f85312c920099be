"""Verbs on registered clients: register, import, list, disable, enable, remove, and their secrets.

A secret is shown once, in the answer that made it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from mintmark.admin.administration import Administration, AdministrationError
from mintmark.admin.keys import ensure_signing_key
from mintmark.authentication.client_secret import MAX_SECRET_LENGTH, hash_chosen_secret
from mintmark.authentication.clients import is_client_id
from mintmark.authentication.secrets import generate_client_id, generate_secret, is_generated
from mintmark.grants.policy import GRANTS
from mintmark.grants.rules import Rules, client_rules, tenant_rules
from mintmark.protocol.errors import AlreadyExists, MintmarkError, NotFound
from mintmark.protocol.scope import is_scope_token
from mintmark.protocol.secret import Secret
from mintmark.store.records import ClientRecord, SecretRecord

METHODS = ("client_secret_basic", "client_secret_post")
MAX_SECRETS = 5


class ClientRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A client to register. RFC: 7591 section 2."""

    tenant_id: str
    client_id: str | None = None
    """Left out: one is made."""
    client_secret: Secret | None = None
    """Left out: one is made and shown."""
    client_name: str = ""
    scope: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    """The audiences for which this client, as a resource server, may introspect."""
    grant_types: tuple[str, ...] = ("client_credentials",)
    authentication_methods: tuple[str, ...] = METHODS
    token_rules: Mapping[str, Any] = {}
    origin: str = ""
    """Where it was written, such as `clients.jsonl:7`; texts on what is wrong with it begin so."""


class ClientChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change of a client; None stays as it is."""

    client_name: str | None = None
    scope: tuple[str, ...] | None = None
    audience: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None


class RegisteredClient(NamedTuple):
    """A client and its secret, for the one time that it is shown."""

    client: ClientRecord
    client_secret: Secret
    is_generated: bool


async def register_client(administration: Administration, request: ClientRequest) -> RegisteredClient:
    """Register one client.

    Raises:
        AdministrationError: a value is malformed or taken, or the tenant is not there.
        SettingsError: a token rule is wrong.
    """
    return (await register_clients(administration, request.tenant_id, [request]))[0]


async def register_clients(
    administration: Administration, tenant_id: str, requests: Sequence[ClientRequest]
) -> list[RegisteredClient]:
    """Register clients of one tenant, all or none. Raises: as `register_client`."""
    rules = await _require_rules(administration, tenant_id)
    made = [_build(administration, request, rules) for request in requests]
    for alg in {_algorithm(one.client, rules) for one in made} - {None}:
        await ensure_signing_key(administration, tenant_id, str(alg))
    try:
        await administration.store.clients.add([one.client for one in made])
    except AlreadyExists as error:
        raise AdministrationError(await _describe_taken(administration, tenant_id, requests)) from error
    return made


async def check_clients(administration: Administration, tenant_id: str, requests: Sequence[ClientRequest]) -> None:
    """Check clients without registering them; whether an id is taken shows only then. Raises: AdministrationError."""
    rules = await _require_rules(administration, tenant_id)
    seen: set[str | None] = set()
    for request in requests:
        _check(request, rules)
        if request.client_id is not None and request.client_id in seen:
            raise AdministrationError(_at(request, f"client_id {request.client_id!r} stands twice"))
        seen.add(request.client_id)


async def require_client(administration: Administration, tenant_id: str, client_id: str) -> ClientRecord:
    """Return a client. Raises: AdministrationError."""
    await administration.require_tenant(tenant_id)
    client = await administration.store.clients.find(tenant_id, client_id)
    if client is None:
        raise AdministrationError(f"tenant {tenant_id!r} has no client {client_id!r}")
    return client


async def list_clients(administration: Administration, tenant_id: str, *, after: str, limit: int) -> list[ClientRecord]:
    """Return a page of a tenant's clients, by id, from behind `after`. Raises: AdministrationError."""
    await administration.require_tenant(tenant_id)
    return await administration.store.clients.page(tenant_id, after, limit)


async def disable_client(
    administration: Administration, tenant_id: str, client_id: str, *, disabled: bool
) -> ClientRecord:
    """Disable a client, or enable it again. Raises: AdministrationError."""
    await require_client(administration, tenant_id, client_id)
    return await _change(administration, tenant_id, client_id, {"is_disabled": disabled}, bump=disabled)


async def change_client(
    administration: Administration, tenant_id: str, client_id: str, changes: ClientChanges
) -> ClientRecord:
    """Change what a client may have; where its system does so, the tokens that it has die at once.

    Raises:
        AdministrationError: a value is malformed, or there is no such client.
    """
    await require_client(administration, tenant_id, client_id)
    rules = await _require_rules(administration, tenant_id)
    given = {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not None}
    _check_scope(changes.scope or (), rules)
    _check_audience(changes.audience or ())
    _check_audience(changes.resources or ())
    bump = "client_changed" in rules.tokens_die_on
    return await _change(administration, tenant_id, client_id, given, bump=bump)


async def reset_secret(administration: Administration, tenant_id: str, client_id: str) -> Secret:
    """Replace all of a client's secrets by a new one; where its system does so, its tokens die at once.

    Raises:
        AdministrationError: there is no such client.
    """
    await require_client(administration, tenant_id, client_id)
    tenant = await administration.require_tenant(tenant_id)
    rules = administration.rules[tenant.dialect]
    secret = generate_secret(rules.client_secret_form)
    record = _hash_secret(administration, tenant_id, client_id, secret, fast=True)
    try:
        await administration.store.clients.reset_secrets(record, bump="secret_reset" in rules.tokens_die_on)
    except NotFound as error:
        raise AdministrationError(f"tenant {tenant_id!r} has no client {client_id!r}") from error
    return secret


async def remove_client(administration: Administration, tenant_id: str, client_id: str) -> None:
    """Remove a client and its secrets. Raises: AdministrationError."""
    await require_client(administration, tenant_id, client_id)
    await administration.store.clients.remove(tenant_id, client_id)


async def add_secret(
    administration: Administration,
    tenant_id: str,
    client_id: str,
    *,
    label: str = "",
    expires_at: int | None = None,
) -> tuple[SecretRecord, Secret]:
    """Give a client one more generated secret; the others go on. Raises: AdministrationError."""
    client = await require_client(administration, tenant_id, client_id)
    if len(client.secrets) >= MAX_SECRETS:
        raise AdministrationError(f"client {client_id!r} has {MAX_SECRETS} secrets; remove one first")
    tenant = await administration.require_tenant(tenant_id)
    secret = generate_secret(administration.rules[tenant.dialect].client_secret_form)
    record = msgspec.structs.replace(
        _hash_secret(administration, tenant_id, client_id, secret, fast=True),
        label=label,
        expires_at=expires_at,
    )
    await administration.store.clients.add_secret(record)
    return record, secret


async def remove_secret(administration: Administration, tenant_id: str, client_id: str, secret_id: str) -> None:
    """Remove a secret: it authenticates no more. Raises: AdministrationError."""
    await require_client(administration, tenant_id, client_id)
    try:
        await administration.store.clients.remove_secret(tenant_id, client_id, secret_id)
    except NotFound as error:
        raise AdministrationError(f"client {client_id!r} has no secret {secret_id!r}") from error


async def _change(
    administration: Administration, tenant_id: str, client_id: str, changes: Mapping[str, Any], *, bump: bool
) -> ClientRecord:
    try:
        return await administration.store.clients.change(tenant_id, client_id, changes, bump=bump)
    except NotFound as error:
        raise AdministrationError(f"tenant {tenant_id!r} has no client {client_id!r}") from error


async def _require_rules(administration: Administration, tenant_id: str) -> Rules:
    tenant = await administration.require_tenant(tenant_id)
    return tenant_rules(administration.rules[tenant.dialect], tenant.token_rules, tenant_id)


async def _describe_taken(administration: Administration, tenant_id: str, requests: Sequence[ClientRequest]) -> str:
    for request in requests:
        if request.client_id and await administration.store.clients.find(tenant_id, request.client_id):
            return _at(request, f"tenant {tenant_id!r} has a client {request.client_id!r} already")
    return f"tenant {tenant_id!r}: a client_id stands twice"


def _at(request: ClientRequest, text: str) -> str:
    return f"{request.origin}: {text}" if request.origin else text


def _build(administration: Administration, request: ClientRequest, rules: Rules) -> RegisteredClient:
    _check(request, rules)
    client_id = request.client_id or generate_client_id(rules.client_id_form)
    secret = request.client_secret or generate_secret(rules.client_secret_form)
    fast = is_generated(secret, rules.client_secret_form)
    client = ClientRecord(
        tenant_id=request.tenant_id,
        client_id=client_id,
        client_name=request.client_name,
        grant_types=request.grant_types,
        authentication_methods=request.authentication_methods,
        scope=request.scope,
        audience=request.audience,
        resources=request.resources,
        token_rules=request.token_rules,
        secrets=(_hash_secret(administration, request.tenant_id, client_id, secret, fast=fast),),
        created_at=administration.now(),
    )
    return RegisteredClient(client, secret, request.client_secret is None)


def _check(request: ClientRequest, rules: Rules) -> None:
    try:
        _check_members(request, rules)
    except MintmarkError as error:
        if not request.origin:
            raise
        raise AdministrationError(_at(request, str(error))) from error


def _check_members(request: ClientRequest, rules: Rules) -> None:
    client_rules(rules, request.token_rules, request.client_id or "(new)")
    if request.client_id is not None and not is_client_id(request.client_id):
        raise AdministrationError("client_id: wanted are 1 to 255 printable ASCII characters")
    if request.client_secret is not None and not 1 <= len(request.client_secret.encoded()) <= MAX_SECRET_LENGTH:
        raise AdministrationError(f"client_secret: wanted are 1 to {MAX_SECRET_LENGTH} octets")
    _check_scope(request.scope, rules)
    _check_audience(request.audience)
    _check_audience(request.resources)
    _check_names("grant_types", request.grant_types, tuple(GRANTS))
    _check_names("authentication_methods", request.authentication_methods, METHODS)


def _check_audience(names: tuple[str, ...]) -> None:
    if any(not name or not name.isprintable() or " " in name for name in names):
        raise AdministrationError("audience: wanted are names or URIs without spaces")


def _check_scope(scope: tuple[str, ...], rules: Rules) -> None:
    for token in scope:
        if not is_scope_token(token):
            raise AdministrationError(f"scope: {token!r} is no scope-token (RFC 6749 section 3.3)")
        if rules.token.scope is not None and token not in rules.token.scope:
            raise AdministrationError(f"scope: {token!r} is not among the tenant's: {' '.join(rules.token.scope)}")


def _check_names(key: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in names:
        if name not in known:
            raise AdministrationError(f"{key}: {name!r} is unknown; known are: {', '.join(known)}")


def _algorithm(client: ClientRecord, rules: Rules) -> str | None:
    """The algorithm for which the tenant needs a key, when something that this client gets is signed."""
    own = client_rules(rules, client.token_rules, client.client_id)
    return own.token.alg if own.token.form == "jwt" or own.id_token else None


def _hash_secret(
    administration: Administration, tenant_id: str, client_id: str, secret: Secret, *, fast: bool
) -> SecretRecord:
    """Hash a secret: keyed and fast if it was generated, argon2id if a person may have chosen it."""
    return SecretRecord(
        secret_id=secrets.token_hex(8),
        tenant_id=tenant_id,
        client_id=client_id,
        kind="hmac-sha256" if fast else "argon2id",
        hash=administration.keyed_hash.hash_secret(secret.encoded()) if fast else hash_chosen_secret(secret),
        created_at=administration.now(),
    )
