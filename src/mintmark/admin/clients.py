"""Verbs on registered clients: register, import, list, show, change, disable, enable, remove.

A secret is shown once, in the answer that made it; more on secrets in `client_secrets`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from mintmark.admin.administration import (
    Administration,
    Malformed,
    Missing,
    Outdated,
    PermissionRefused,
    Taken,
)
from mintmark.admin.keys import ensure_signing_key
from mintmark.admin.permissions import MANAGEMENT_AUDIENCE, PERMISSIONS
from mintmark.admin.privileges import PRIVILEGES, check_privileges
from mintmark.admin.roles import permissions_of
from mintmark.authentication.client_secret import MAX_SECRET_LENGTH, hash_chosen_secret
from mintmark.authentication.clients import is_client_id
from mintmark.authentication.secrets import generate_client_id, generate_secret, is_generated
from mintmark.grants.policy import GRANTS, token_audience
from mintmark.grants.rules import Rules, client_rules
from mintmark.protocol.errors import AlreadyExists, NotFound, SettingsError, StaleVersion
from mintmark.protocol.scope import is_scope_token
from mintmark.protocol.secret import Secret
from mintmark.store.records import ClientRecord, Rewrite, SecretRecord, TenantRecord

Result = TypeVar("Result")
Judged = tuple[ClientRecord, int]
"""A client as it was read, and the version that is written to."""

METHODS = ("client_secret_basic", "client_secret_post")
MAX_SCOPE_LENGTH: Final = 8192
"""Of all scope-tokens, with the spaces: a JWT holds them, and a server in front takes so many octets of a header."""
MAX_NAME_LENGTH: Final = 255
MAX_LABEL_LENGTH: Final = 255
MAX_MOMENT: Final = 2**53 - 1
"""Seconds that JSON and the store can hold."""
ATTEMPTS: Final = 20
"""Times that a change is tried again when others change the same client between the look and the write."""


class ClientRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A client to register. RFC: 7591 section 2."""

    tenant_id: str
    client_id: str | None = None
    """Left out: one is made."""
    client_secret: Secret | None = None
    """Left out: one is made and shown."""
    secret_label: str = ""
    secret_expires_at: int | None = None
    client_name: str = ""
    scope: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    """The audiences for which this client, as a resource server, may introspect."""
    grant_types: tuple[str, ...] = ("client_credentials",)
    authentication_methods: tuple[str, ...] = METHODS
    token_rules: Mapping[str, Any] = {}
    role: str = ""
    """These five are an Omada application's privileges; see `store.records.ClientRecord`."""
    all_sites: bool = False
    sites: tuple[str, ...] = ()
    all_customers: bool = False
    customers: tuple[str, ...] = ()
    origin: str = ""
    """Where it was written, such as `clients.jsonl:7`; texts on what is wrong with it begin so."""


class ClientChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change of a client; None stays as it is."""

    client_name: str | None = None
    scope: tuple[str, ...] | None = None
    audience: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    grant_types: tuple[str, ...] | None = None
    authentication_methods: tuple[str, ...] | None = None
    token_rules: Mapping[str, Any] | None = None
    role: str | None = None
    all_sites: bool | None = None
    sites: tuple[str, ...] | None = None
    all_customers: bool | None = None
    customers: tuple[str, ...] | None = None


class RegisteredClient(NamedTuple):
    """A client and its secret, for the one time that it is shown."""

    client: ClientRecord
    client_secret: Secret
    is_generated: bool


async def register_client(administration: Administration, request: ClientRequest) -> RegisteredClient:
    """Register one client.

    Raises:
        AdministrationError: a value is malformed or taken, the tenant is not there, or the actor may not.
        SettingsError: a token rule is wrong.
    """
    return (await register_clients(administration, request.tenant_id, [request]))[0]


async def register_clients(
    administration: Administration, tenant_id: str, requests: Sequence[ClientRequest]
) -> list[RegisteredClient]:
    """Register clients of one tenant, all or none. Raises: as `register_client`."""
    administration.permit("clients:write", tenant_id)
    rules = await administration.require_rules(tenant_id)
    tenant = await administration.require_tenant(tenant_id)
    made = [await _build(administration, request, tenant, rules) for request in requests]
    for alg in {_algorithm(one.client, rules) for one in made} - {None}:
        await ensure_signing_key(administration, tenant_id, str(alg))
    try:
        await administration.acting("register_client").clients.add([one.client for one in made])
    except AlreadyExists as error:
        raise Taken(await _describe_taken(administration, tenant_id, requests)) from error
    return made


async def check_clients(administration: Administration, tenant_id: str, requests: Sequence[ClientRequest]) -> None:
    """Check clients without registering them; whether an id is taken shows only then. Raises: AdministrationError."""
    administration.permit("clients:write", tenant_id)
    rules = await administration.require_rules(tenant_id)
    seen: set[str | None] = set()
    for request in requests:
        _check(request, rules)
        if request.client_id is not None and request.client_id in seen:
            raise Taken(_at(request, f"client_id {request.client_id!r} stands twice"))
        seen.add(request.client_id)


async def require_client(administration: Administration, tenant_id: str, client_id: str) -> ClientRecord:
    """Return a client. Raises: AdministrationError."""
    administration.permit("clients:read", tenant_id)
    return await find_client(administration, tenant_id, client_id)


async def list_clients(administration: Administration, tenant_id: str, *, after: str, limit: int) -> list[ClientRecord]:
    """Return a page of a tenant's clients, by id, from behind `after`. Raises: AdministrationError."""
    administration.permit("clients:read", tenant_id)
    await administration.require_tenant(tenant_id)
    return await administration.store.clients.page(tenant_id, after, limit)


async def disable_client(
    administration: Administration, tenant_id: str, client_id: str, *, disabled: bool, if_version: int | None = None
) -> ClientRecord:
    """Disable a client, or enable it again. Raises: AdministrationError."""
    administration.permit("clients:write", tenant_id)
    store = administration.acting("disable_client" if disabled else "enable_client")

    async def write(client: ClientRecord, version: int) -> ClientRecord:
        await (require_permissions_of if disabled else require_no_escalation)(administration, client)
        changes = {"is_disabled": disabled}
        return await store.clients.change(tenant_id, client_id, changes, bump=disabled, if_version=version)

    return await write_as_read(administration, tenant_id, client_id, if_version, write)


async def change_client(
    administration: Administration,
    tenant_id: str,
    client_id: str,
    changes: ClientChanges,
    *,
    if_version: int | None = None,
) -> ClientRecord:
    """Change a client; where what it may have changes and its system does so, the tokens that it has die at once.

    Raises:
        AdministrationError: a value is malformed, there is no such client, or the actor may not.
        SettingsError: a token rule is wrong.
    """
    return (await change_clients(administration, tenant_id, {client_id: changes}, if_version=if_version))[0]


async def change_clients(
    administration: Administration,
    tenant_id: str,
    changes: Mapping[str, ClientChanges],
    *,
    if_version: int | None = None,
) -> list[ClientRecord]:
    """Change clients of one tenant, named by their ids, all or none. Raises: as `change_client`."""
    administration.permit("clients:write", tenant_id)
    tenant = await administration.require_tenant(tenant_id)
    rules = await administration.require_rules(tenant_id)

    async def write(clients: Sequence[Judged]) -> list[ClientRecord]:
        rewrites = [
            await _judge_changes(administration, one, changes[one[0].client_id], tenant=tenant, rules=rules)
            for one in clients
        ]
        return await administration.acting("change_client").clients.change_some(tenant_id, rewrites)

    return await write_all_as_read(administration, tenant_id, changes, if_version, write)


async def _judge_changes(
    administration: Administration, judged: Judged, changes: ClientChanges, *, tenant: TenantRecord, rules: Rules
) -> Rewrite:
    client, version = judged
    given = {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not None}
    after = msgspec.structs.replace(client, **given)
    _check_metadata(after, rules)
    for one in (client, after):
        await _refuse_escalation(administration, one, tenant, rules)
    if PRIVILEGES & given.keys():
        await check_privileges(administration, tenant, after, given)
    await _ensure_key(administration, after, rules)
    is_privileged_anew = "client_changed" in rules.tokens_die_on and privileges(client) != privileges(after)
    bump = is_privileged_anew or ("client_modified" in rules.tokens_die_on and client != after)
    return Rewrite(client.client_id, given, bump, version)


async def remove_client(
    administration: Administration, tenant_id: str, client_id: str, *, if_version: int | None = None
) -> None:
    """Remove a client and its secrets. Raises: AdministrationError."""
    await remove_clients(administration, tenant_id, [client_id], if_version=if_version)


async def remove_clients(
    administration: Administration, tenant_id: str, client_ids: Collection[str], *, if_version: int | None = None
) -> None:
    """Remove clients of one tenant and their secrets, all or none. Raises: AdministrationError."""
    administration.permit("clients:write", tenant_id)

    async def write(clients: Sequence[Judged]) -> None:
        for client, _ in clients:
            await require_permissions_of(administration, client)
        versions = {client.client_id: version for client, version in clients}
        await administration.acting("remove_client").clients.remove_these(tenant_id, versions)

    await write_all_as_read(administration, tenant_id, client_ids, if_version, write)


async def find_client(administration: Administration, tenant_id: str, client_id: str) -> ClientRecord:
    """Return a client within the actor's reach, for a verb that has judged its permission. Raises: Missing."""
    await administration.require_tenant(tenant_id)
    client = await administration.store.clients.find(tenant_id, client_id)
    if client is None:
        raise no_client(tenant_id, client_id)
    return client


def no_client(tenant_id: str, client_id: str) -> Missing:
    """Return the error of a client that is not there."""
    return Missing(f"tenant {tenant_id!r} has no client {client_id!r}")


async def write_as_read(
    administration: Administration,
    tenant_id: str,
    client_id: str,
    if_version: int | None,
    write: Callable[[ClientRecord, int], Awaitable[Result]],
) -> Result:
    """Do as `write_all_as_read` with one client. Raises: Missing, Outdated, and what `write` raises."""
    return await write_all_as_read(administration, tenant_id, [client_id], if_version, lambda found: write(*found[0]))


async def write_all_as_read(
    administration: Administration,
    tenant_id: str,
    client_ids: Collection[str],
    if_version: int | None,
    write: Callable[[Sequence[Judged]], Awaitable[Result]],
) -> Result:
    """Let `write` judge clients and write to them at the versions that it judged; if another was faster, judge again.

    Args:
        if_version: the version that the caller means; no other will do.

    Raises: Missing, Outdated, and what `write` raises.
    """
    for _ in range(ATTEMPTS):
        clients = [await find_client(administration, tenant_id, client_id) for client_id in client_ids]
        try:
            return await write([(one, one.version if if_version is None else if_version) for one in clients])
        except StaleVersion as error:
            if if_version is not None:
                raise Outdated(f"somebody else changed it meanwhile: {error}") from error
        except NotFound as error:
            raise Missing(str(error)) from error
    raise Outdated(f"{', '.join(client_ids)}: others change them all the time")


async def require_no_escalation(administration: Administration, client: ClientRecord) -> None:
    """Make sure that a client may not do more than the actor: else the actor could, through it.

    Raises: PermissionRefused.
    """
    rules = await administration.require_rules(client.tenant_id)
    tenant = await administration.require_tenant(client.tenant_id)
    await _refuse_escalation(administration, client, tenant, rules)


async def _refuse_escalation(
    administration: Administration, client: ClientRecord, tenant: TenantRecord, rules: Rules
) -> None:
    _refuse_greater(administration, client, tenant, rules)
    # Only those that are there: who is gone can be seen by nobody.
    for customer in await administration.store.tenants.customers(client.tenant_id) if client.customers else ():
        if customer in client.customers and not administration.actor.reaches(customer):
            raise Missing(f"there is no customer {customer!r}")


async def require_permissions_of(administration: Administration, client: ClientRecord) -> None:
    """Make sure that a client may do nothing that the actor may not: else a lesser one could shut out a greater.

    Raises: PermissionRefused.
    """
    rules = await administration.require_rules(client.tenant_id)
    tenant = await administration.require_tenant(client.tenant_id)
    _refuse_greater(administration, client, tenant, rules)


def is_for_management(client: ClientRecord, tenant: TenantRecord, rules: Rules) -> bool:
    """Tell whether the tokens that a client gets are for the management API, by the audience that they get."""
    own = client_rules(rules, client.token_rules, client.client_id).token
    return MANAGEMENT_AUDIENCE in token_audience(client, tenant.issuer, own)


def _refuse_greater(administration: Administration, client: ClientRecord, tenant: TenantRecord, rules: Rules) -> None:
    held: frozenset[str] = permissions_of(client.role)
    if is_for_management(client, tenant, rules):
        held |= PERMISSIONS & set(client.scope)
    if beyond := held - administration.actor.permissions:
        raise PermissionRefused(f"only who has them can give or take them: {' '.join(sorted(beyond))}")


def privileges(client: ClientRecord) -> tuple[object, ...]:
    """Return what a client may have; a change of it ends the tokens that were given before."""
    of_rules = tuple(client.token_rules.get(name) for name in ("audience", "scope"))
    of_omada = (client.role, client.all_sites, set(client.sites), client.all_customers, set(client.customers))
    return (set(client.scope), set(client.audience), set(client.resources), of_rules, of_omada)


async def _describe_taken(administration: Administration, tenant_id: str, requests: Sequence[ClientRequest]) -> str:
    for request in requests:
        if request.client_id and await administration.store.clients.find(tenant_id, request.client_id):
            return _at(request, f"tenant {tenant_id!r} has a client {request.client_id!r} already")
    return f"tenant {tenant_id!r}: a client_id stands twice"


def _at(request: ClientRequest, text: str) -> str:
    return f"{request.origin}: {text}" if request.origin else text


async def _build(
    administration: Administration, request: ClientRequest, tenant: TenantRecord, rules: Rules
) -> RegisteredClient:
    _check(request, rules)
    check_secret(administration, request.client_secret, request.secret_label, request.secret_expires_at)
    client_id = request.client_id or generate_client_id(rules.client_id_form)
    secret = request.client_secret or generate_secret(rules.client_secret_form)
    fast = is_generated(secret, rules.client_secret_form)
    stored = await hash_secret(administration, request.tenant_id, client_id, secret, fast=fast)
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
        role=request.role,
        all_sites=request.all_sites,
        sites=request.sites,
        all_customers=request.all_customers,
        customers=request.customers,
        secrets=(msgspec.structs.replace(stored, label=request.secret_label, expires_at=request.secret_expires_at),),
        created_at=administration.now(),
    )
    _refuse_greater(administration, client, tenant, rules)
    await check_privileges(administration, tenant, client)
    return RegisteredClient(client, secret, request.client_secret is None)


def _check(request: ClientRequest, rules: Rules) -> None:
    """Raises: Malformed, which names where the request was written, SettingsError (a token rule)."""
    try:
        if request.client_id is not None and not is_client_id(request.client_id):
            raise Malformed("client_id: wanted are 1 to 255 printable ASCII characters", "client_id")
        if request.client_id == MANAGEMENT_AUDIENCE:
            # Where tokens have the client_id as their audience, such a client's would be for the management API.
            raise Malformed(f"client_id: {MANAGEMENT_AUDIENCE} is an audience", "client_id")
        _check_length(request.client_secret)
        _check_metadata(request, rules)
    except (Malformed, SettingsError) as error:
        if not request.origin:
            raise
        raise Malformed(_at(request, str(error)), getattr(error, "key", "token_rules")) from error


def check_secret(administration: Administration, secret: Secret | None, label: str, expires_at: int | None) -> None:
    """Check what is said of a new secret. Raises: Malformed."""
    _check_length(secret)
    if len(label) > MAX_LABEL_LENGTH or not label.isprintable():
        raise Malformed(f"label: wanted are up to {MAX_LABEL_LENGTH} printable characters", "label")
    if expires_at is not None and not administration.now() < expires_at <= MAX_MOMENT:
        raise Malformed("expires_at: that moment is past, or too far", "expires_at")


def _check_length(secret: Secret | None) -> None:
    if secret is not None and not 1 <= len(secret.encoded()) <= MAX_SECRET_LENGTH:
        raise Malformed(f"client_secret: wanted are 1 to {MAX_SECRET_LENGTH} octets", "client_secret")


def _check_metadata(client: ClientRequest | ClientRecord, rules: Rules) -> None:
    """Check what can be said of a client when it is registered and when it is changed. Raises: Malformed."""
    client_rules(rules, client.token_rules, client.client_id or "(new)")
    if len(client.client_name) > MAX_NAME_LENGTH or not client.client_name.isprintable():
        raise Malformed(f"client_name: wanted are up to {MAX_NAME_LENGTH} printable characters", "client_name")
    _check_scope(client.scope, rules)
    _check_audience("audience", client.audience)
    _check_audience("resources", client.resources)
    _check_names("grant_types", client.grant_types, tuple(GRANTS))
    _check_names("authentication_methods", client.authentication_methods, METHODS)


def _check_audience(key: str, names: tuple[str, ...]) -> None:
    if any(not name or not name.isprintable() or " " in name for name in names):
        raise Malformed(f"{key}: wanted are names or URIs without spaces", key)


def _check_scope(scope: tuple[str, ...], rules: Rules) -> None:
    if sum(map(len, scope)) + len(scope) > MAX_SCOPE_LENGTH:
        raise Malformed(f"scope: wanted are up to {MAX_SCOPE_LENGTH} characters in all", "scope")
    for token in scope:
        if not is_scope_token(token):
            raise Malformed(f"scope: {token!r} is no scope-token (RFC 6749 section 3.3)", "scope")
        if rules.token.scope is not None and token not in rules.token.scope:
            raise Malformed(f"scope: {token!r} is not among the tenant's: {' '.join(rules.token.scope)}", "scope")


def _check_names(key: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in names:
        if name not in known:
            raise Malformed(f"{key}: {name!r} is unknown; known are: {', '.join(known)}", key)


async def _ensure_key(administration: Administration, client: ClientRecord, rules: Rules) -> None:
    alg = _algorithm(client, rules)
    if alg is not None:
        await ensure_signing_key(administration, client.tenant_id, alg)


def _algorithm(client: ClientRecord, rules: Rules) -> str | None:
    """The algorithm for which the tenant needs a key, when something that this client gets is signed."""
    own = client_rules(rules, client.token_rules, client.client_id)
    return own.token.alg if own.token.form == "jwt" or own.id_token else None


async def hash_secret(
    administration: Administration,
    tenant_id: str,
    client_id: str,
    secret: Secret,
    *,
    fast: bool,
    beside: Sequence[SecretRecord] = (),
) -> SecretRecord:
    """Hash a secret: keyed and fast if it was generated, argon2id if a person may have chosen it, in a thread.

    Args:
        beside: the client's other secrets; see `hash_chosen_secret`.
    """
    if fast:
        hashed = administration.keyed_hash.hash_secret(secret.encoded())
    else:
        administration.require_alone()
        chosen = next((one.hash for one in beside if one.kind == "argon2id"), None)
        hashed = await asyncio.to_thread(hash_chosen_secret, secret, chosen)
    return SecretRecord(
        secret_id=secrets.token_hex(8),
        tenant_id=tenant_id,
        client_id=client_id,
        kind="hmac-sha256" if fast else "argon2id",
        hash=hashed,
        created_at=administration.now(),
    )
