"""Verbs on tenants: create, list, show, change, suspend, resume, remove, and the end of all their tokens."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from mintmark.admin.administration import (
    Administration,
    LimitReached,
    Malformed,
    Missing,
    PermissionRefused,
    Taken,
    version_checked,
)
from mintmark.admin.keys import ensure_signing_key, new_keys
from mintmark.admin.permissions import MANAGEMENT_AUDIENCE, PERMISSIONS
from mintmark.grants.rules import Rules, tenant_rules
from mintmark.protocol.errors import AlreadyExists, NotFound
from mintmark.store.records import KeyRecord, Rewrite, TenantRecord

TENANT_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
HOST: Final = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
ISSUER: Final = re.compile(r'[^\x00-\x20\x7f-\U0010ffff"#<>?\\]+')
"""What may stand in a URL without query and fragment. RFC: 3986 section 2."""
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
CLIENTS_A_STEP: Final = 500
PAUSE_S: Final = 0.02
MAX_LISTED: Final = 1_000_000
IDENTIFIER: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")


class TenantRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant to create."""

    tenant_id: str
    dialect: str
    issuer: str
    """No other tenant may have it."""
    hosts: tuple[str, ...] = ()
    identifier: str | None = None
    """Left out in a dialect whose messages carry one: one is made."""
    is_default: bool = False
    is_administrative: bool = False
    is_msp: bool = False
    msp_id: str | None = None
    """The tenant id of the msp whose customer it is to be."""
    allows_registration: bool = False
    """Clients may register themselves."""
    token_rules: Mapping[str, Any] = {}
    title: str = ""
    """A name for people."""
    description: str = ""


class TenantChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change of a tenant; None stays as it is."""

    title: str | None = None
    description: str | None = None
    issuer: str | None = None
    hosts: tuple[str, ...] | None = None
    is_default: bool | None = None
    is_suspended: bool | None = None
    is_msp: bool | None = None
    msp_id: str | msgspec.UnsetType | None = msgspec.UNSET
    """None: it is no msp's customer any more."""
    allows_registration: bool | None = None
    token_rules: Mapping[str, Any] | None = None


OF_THE_DEPLOYMENT: Final = frozenset({"issuer", "hosts", "is_default", "is_msp", "msp_id"})
"""What only an administrator of the whole deployment may change: it touches other tenants."""


async def create_tenant(administration: Administration, request: TenantRequest) -> TenantRecord:
    """Create a tenant with its first signing key, and an encryption key where its dialect has use for one.

    An msp's administrator may create its customers: with the issuer of their own prefix at the msp's server
    (`prefix_issuer`), without hosts, and not under the id of a tenant that was removed: its audit records are there.

    Raises:
        AdministrationError: a value is malformed, or taken by another tenant, or the actor may not.
        SettingsError: a token rule is wrong.
    """
    return (await create_tenants(administration, [request]))[0]


async def create_tenants(administration: Administration, requests: Sequence[TenantRequest]) -> list[TenantRecord]:
    """Create tenants, all or none. Raises: as `create_tenant`."""
    # The store lets no two tenants have one of the other names.
    if len({request.issuer for request in requests}) < len(requests):
        raise Taken("two of these tenants have the same issuer")
    made = [await _make(administration, request) for request in requests]
    try:
        await administration.acting("create_tenant").tenants.add_some(made)
    except AlreadyExists as error:
        named = ", ".join(repr(request.tenant_id) for request in requests)
        raise Taken(f"tenant {named}: another was created at the same time") from error
    return [tenant for tenant, _ in made]


async def _make(administration: Administration, request: TenantRequest) -> tuple[TenantRecord, list[KeyRecord]]:
    administration.permit("tenants:write", request.msp_id)
    _check(administration, request)
    await _check_parent(administration, request)
    rules = tenant_rules(administration.rules[request.dialect], request.token_rules, request.tenant_id)
    _check_audience(rules)
    tenant = TenantRecord(
        tenant_id=request.tenant_id,
        dialect=request.dialect,
        issuer=request.issuer,
        hosts=tuple(host.lower() for host in request.hosts),
        identifier=request.identifier or _new_identifier(administration, request.dialect),
        is_default=request.is_default,
        is_administrative=request.is_administrative,
        is_msp=request.is_msp,
        msp_id=request.msp_id,
        allows_registration=request.allows_registration,
        token_rules=request.token_rules,
        title=request.title,
        description=request.description,
        created_at=administration.now(),
    )
    await _require_free(administration, tenant, except_for=None)
    await _require_unused(administration, tenant.tenant_id)
    return tenant, await new_keys(administration, tenant.tenant_id, rules)


async def list_tenants(
    administration: Administration, *, after: str = "", limit: int = MAX_LISTED
) -> list[TenantRecord]:
    """Return a page of the tenants within the actor's reach, by id, from behind `after`. Raises: PermissionRefused."""
    actor, tenants = administration.actor, administration.store.tenants
    if actor.tenants is None:
        administration.permit("tenants:read", None)
        return await tenants.page(after, limit)
    names = sorted(name for name in actor.tenants if name > after)
    for name in names[:1]:
        administration.permit("tenants:read", name)
    found = [await tenants.find(name) for name in names[:limit]]
    return [tenant for tenant in found if tenant is not None]


async def show_tenant(administration: Administration, tenant_id: str) -> TenantRecord:
    """Return a tenant. Raises: AdministrationError."""
    administration.permit("tenants:read", tenant_id)
    return await administration.require_tenant(tenant_id)


async def change_tenant(
    administration: Administration, tenant_id: str, changes: TenantChanges, *, if_version: int | None = None
) -> TenantRecord:
    """Change a tenant; suspended, it answers as if it were not there and its tokens die.

    Raises:
        AdministrationError: a value is malformed or taken, there is no such tenant, or the actor may not.
        SettingsError: a token rule is wrong.
    """
    return (await change_tenants(administration, {tenant_id: changes}, if_version=if_version))[0]


async def change_tenants(
    administration: Administration, changes: Mapping[str, TenantChanges], *, if_version: int | None = None
) -> list[TenantRecord]:
    """Change tenants, named by their ids, all or none. Raises: as `change_tenant`.

    Each is judged as the others were: of several, none may change in what is `OF_THE_DEPLOYMENT`.
    """
    return await _change(administration, "change_tenant", changes, if_version)


async def suspend_tenant(
    administration: Administration, tenant_id: str, *, suspended: bool, if_version: int | None = None
) -> TenantRecord:
    """Suspend a tenant, so that it answers as if it were not there and its tokens die, or resume it.

    Raises: AdministrationError.
    """
    verb = "suspend_tenant" if suspended else "resume_tenant"
    changes = {tenant_id: TenantChanges(is_suspended=suspended)}
    return (await _change(administration, verb, changes, if_version))[0]


async def invalidate_tokens(administration: Administration, tenant_id: str) -> None:
    """End every token of a tenant at once, whatever its form. Raises: AdministrationError."""
    administration.permit("tokens:revoke", tenant_id)
    await administration.require_tenant(tenant_id)
    await administration.acting("invalidate_tokens").tenants.bump_generation(tenant_id)


async def remove_tenant(administration: Administration, tenant_id: str, *, if_version: int | None = None) -> None:
    """Remove a tenant and everything of it; all that it issued is dead. Raises: AdministrationError.

    One of many clients is suspended first, and emptied in steps; cut off between, the call may be repeated.
    """
    administration.permit("tenants:write", tenant_id)
    await remove_tenants(administration, [await administration.require_tenant(tenant_id)], if_version=if_version)


async def remove_tenants(
    administration: Administration, tenants: Sequence[TenantRecord], *, if_version: int | None = None
) -> None:
    """Remove tenants, all or none: of several, none has many clients. Raises: as `remove_tenant`."""
    for tenant in tenants:
        await _judge_removal(administration, tenant)
    versions = {tenant.tenant_id: if_version for tenant in tenants}
    store = administration.acting("remove_tenant")
    try:
        with version_checked():
            for tenant_id in versions:
                if len(await store.clients.page(tenant_id, "", CLIENTS_A_STEP)) == CLIENTS_A_STEP:
                    await _empty(administration, tenant_id, if_version)
                    versions[tenant_id] = None
            await store.tenants.remove_these(versions)
    except NotFound as error:
        raise Missing(str(error)) from error


async def _judge_removal(administration: Administration, tenant: TenantRecord) -> None:
    tenant_id = tenant.tenant_id
    administration.permit("tenants:write", tenant_id)
    if tenant.is_administrative:
        raise LimitReached(f"tenant {tenant_id!r} is the administrative one, and stays")
    if tenant.is_msp and await administration.store.tenants.customers(tenant_id):
        raise LimitReached(f"tenant {tenant_id!r} has customers; remove them first")


async def _empty(administration: Administration, tenant_id: str, if_version: int | None) -> None:
    """Suspend a tenant, and remove its clients in steps."""
    administration.require_alone()
    store = administration.acting("remove_tenant")
    await store.tenants.change(tenant_id, {"is_suspended": True}, bump=True, if_version=if_version)
    while await store.clients.remove_some(tenant_id, CLIENTS_A_STEP):
        await asyncio.sleep(PAUSE_S)


async def _change(
    administration: Administration, verb: str, changes: Mapping[str, TenantChanges], if_version: int | None
) -> list[TenantRecord]:
    rewrites = [await _judge_changes(administration, *one, if_version) for one in changes.items()]
    try:
        with version_checked():
            return await administration.acting(verb).tenants.change_some(rewrites)
    except NotFound as error:
        raise Missing(str(error)) from error
    except AlreadyExists as error:
        named = ", ".join(map(repr, changes))
        raise Taken(f"tenant {named}: another took its name at the same time") from error


async def _judge_changes(
    administration: Administration, tenant_id: str, changes: TenantChanges, if_version: int | None
) -> Rewrite:
    administration.permit("tenants:write", tenant_id)
    tenant = await administration.require_tenant(tenant_id)
    given = {
        name: value
        for name, value in msgspec.structs.asdict(changes).items()
        if value is not msgspec.UNSET and (value is not None or name == "msp_id")
    }
    if given.keys() & OF_THE_DEPLOYMENT:
        administration.permit("tenants:write", None)
    if "hosts" in given:
        given["hosts"] = tuple(host.lower() for host in given["hosts"])
    after = msgspec.structs.replace(tenant, **given)
    await _check_changed(administration, tenant, after)
    rules = tenant_rules(administration.rules[after.dialect], after.token_rules, tenant_id)
    await ensure_signing_key(administration, tenant_id, rules.token.alg)
    return Rewrite(tenant_id, given, _ends_tokens(administration, tenant, changes), if_version)


def _ends_tokens(administration: Administration, tenant: TenantRecord, changes: TenantChanges) -> bool:
    is_mode_changed = changes.is_msp is not None and changes.is_msp != tenant.is_msp
    dies_on = administration.rules[tenant.dialect].tokens_die_on
    return bool(changes.is_suspended) or (is_mode_changed and "msp_mode_changed" in dies_on)


async def _check_changed(administration: Administration, before: TenantRecord, after: TenantRecord) -> None:
    """Check a tenant as it is to be. Raises: Malformed, Taken, LimitReached, SettingsError."""
    check_issuer(after.issuer)
    _check_hosts(after.hosts)
    _check_audience(tenant_rules(administration.rules[after.dialect], after.token_rules, after.tenant_id))
    if after.msp_id != before.msp_id or after.is_msp != before.is_msp:
        await _check_parent(administration, after)
        if not after.is_msp and await administration.store.tenants.customers(after.tenant_id):
            raise LimitReached(f"tenant {after.tenant_id!r} has customers, and so stays an msp")
    is_scope_changed = before.token_rules.get("scope") != after.token_rules.get("scope")
    if after.is_administrative and is_scope_changed and administration.actor.permissions != PERMISSIONS:
        raise PermissionRefused("what administrators may have at all is for who has every permission")
    if after.is_administrative and after.is_suspended:
        raise LimitReached(f"tenant {after.tenant_id!r} is the administrative one, and is never suspended")
    if any(getattr(after, name) != getattr(before, name) for name in ("issuer", "hosts", "is_default")):
        await _require_free(administration, after, except_for=after.tenant_id)


async def _check_parent(administration: Administration, tenant: TenantRequest | TenantRecord) -> None:
    """Judge a tenant's msp, and what an msp may make of its customer. Raises: AdministrationError."""
    if tenant.msp_id is None:
        return
    msp = await administration.require_tenant(tenant.msp_id)
    if not msp.is_msp or tenant.is_msp or tenant.is_administrative:
        raise Malformed(f"msp_id: {tenant.msp_id!r} is no msp tenant, or this tenant is more than a customer", "msp_id")
    if administration.actor.tenants is None:
        return
    if tenant.hosts or tenant.is_default:
        raise PermissionRefused("a customer made by its msp has no hosts, and is not the default")
    if tenant.issuer != (wanted := prefix_issuer(msp, tenant.tenant_id)):
        raise Malformed(f"issuer: a customer made by its msp has its own prefix there: {wanted}", "issuer")


def prefix_issuer(msp: TenantRecord, tenant_id: str) -> str:
    """Return the issuer identifier of a customer: its tenant prefix, `/t/...`, at its msp's server."""
    return f"{'://'.join(urlsplit(msp.issuer)[:2])}/t/{tenant_id}"


async def _require_unused(administration: Administration, tenant_id: str) -> None:
    """Make sure that nobody but an administrator of the deployment gives the id of a removed tenant again.

    Raises: Taken.
    """
    # Looked at when the id is free: a tenant that is removed until then has left the record of it.
    if administration.actor.tenants is not None and await administration.store.audit.tells_of(tenant_id):
        raise Taken(f"tenant {tenant_id!r}: its id is taken")


async def _require_free(administration: Administration, tenant: TenantRecord, *, except_for: str | None) -> None:
    """Say which of a tenant's names is another's. Raises: Taken."""
    for other in await administration.store.tenants.rivals(tenant):
        if other.tenant_id == except_for:
            continue
        hosts = sorted(set(tenant.hosts) & set(other.hosts))
        taken = {
            "its id": other.tenant_id == tenant.tenant_id,
            "the issuer": other.issuer == tenant.issuer,
            f"the host {', '.join(hosts)}": bool(hosts),
            "the identifier": other.identifier is not None and other.identifier == tenant.identifier,
            "the place of the default tenant": other.is_default and tenant.is_default,
            "the place of the administrative tenant": other.is_administrative and tenant.is_administrative,
        }
        for name, is_taken in taken.items():
            if is_taken:
                by = f" by {other.tenant_id!r}" if administration.actor.reaches(other.tenant_id) else ""
                raise Taken(f"tenant {tenant.tenant_id!r}: {name} is taken{by}")


def _new_identifier(administration: Administration, dialect: str) -> str | None:
    """Make an identifier of 32 hex in a dialect whose messages carry one."""
    rows = administration.dialects[dialect].definition.wire.request.parameters
    return secrets.token_hex(16) if any(row.canonical == "tenant_identifier" for row in rows) else None


def _check(administration: Administration, request: TenantRequest) -> None:
    if TENANT_ID.fullmatch(request.tenant_id) is None:
        raise Malformed(f"tenant id {request.tenant_id!r}: wanted are a-z, 0-9 and -, at most 63", "tenant_id")
    if request.dialect not in administration.dialects:
        known = ", ".join(sorted(administration.dialects))
        raise Malformed(f"there is no dialect {request.dialect!r}; the dialects are: {known}", "dialect")
    check_issuer(request.issuer)
    _check_hosts(tuple(host.lower() for host in request.hosts))
    if request.identifier is not None and IDENTIFIER.fullmatch(request.identifier) is None:
        raise Malformed(f"identifier {request.identifier!r}: wanted are letters, digits, . _ -", "identifier")


def _check_hosts(hosts: tuple[str, ...]) -> None:
    for host in hosts:
        if HOST.fullmatch(host) is None:
            raise Malformed(f"host {host!r}: wanted is a Host header's value, such as api.example.com:8443", "hosts")


def _check_audience(rules: Rules) -> None:
    """The management audience is given to clients one by one, each judged; never to a whole tenant."""
    if MANAGEMENT_AUDIENCE in rules.token.audience:
        raise Malformed(f"token rule audience: {MANAGEMENT_AUDIENCE} is for single clients", "token_rules")


def check_issuer(issuer: str) -> None:
    """Check an issuer identifier: an absolute http(s) URL without query or fragment.

    Raises: Malformed.
    RFC: 8414 section 2. Plain http is for loopback only.
    """
    try:
        parts = urlsplit(issuer)
        is_plain = parts.scheme == "http" and parts.hostname not in LOOPBACK
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = is_plain = False
    if is_plain:
        raise Malformed(f"issuer {issuer!r}: plain http is for loopback only (RFC 8414 section 2)", "issuer")
    if not is_url or ISSUER.fullmatch(issuer) is None:
        raise Malformed(f"issuer {issuer!r}: wanted is an http or https URL without query or fragment", "issuer")
