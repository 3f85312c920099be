"""Verbs on tenants: create, list, suspend, resume."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from mintmark.admin.administration import Administration, AdministrationError
from mintmark.admin.keys import new_keys
from mintmark.grants.rules import tenant_rules
from mintmark.protocol.errors import AlreadyExists
from mintmark.store.records import TenantRecord

TENANT_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
HOST: Final = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
ISSUER: Final = re.compile(r'[^\x00-\x20\x7f-\U0010ffff"#<>?\\]+')
"""What may stand in a URL without query and fragment. RFC: 3986 section 2."""
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
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
    token_rules: Mapping[str, Any] = {}


async def create_tenant(administration: Administration, request: TenantRequest) -> TenantRecord:
    """Create a tenant with its first signing key, and an encryption key where its dialect has use for one.

    Raises:
        AdministrationError: a value is malformed, or taken by another tenant.
        SettingsError: a token rule is wrong.
    """
    _check(administration, request)
    await _require_free(administration, request)
    rules = tenant_rules(administration.rules[request.dialect], request.token_rules, request.tenant_id)
    tenant = TenantRecord(
        tenant_id=request.tenant_id,
        dialect=request.dialect,
        issuer=request.issuer,
        hosts=tuple(host.lower() for host in request.hosts),
        identifier=request.identifier or _new_identifier(administration, request.dialect),
        is_default=request.is_default,
        token_rules=request.token_rules,
        created_at=administration.now(),
    )
    try:
        await administration.store.tenants.add(tenant, new_keys(administration, tenant.tenant_id, rules))
    except AlreadyExists as error:
        raise AdministrationError(f"tenant {request.tenant_id!r}: another was created at the same time") from error
    return tenant


async def list_tenants(administration: Administration) -> list[TenantRecord]:
    """Return all tenants, by id."""
    return await administration.store.tenants.list()


async def suspend_tenant(administration: Administration, tenant_id: str, *, suspended: bool) -> TenantRecord:
    """Suspend a tenant, so that it answers as if it were not there and its tokens die, or resume it.

    Raises: AdministrationError.
    """
    await administration.require_tenant(tenant_id)
    return await administration.store.tenants.change(tenant_id, {"is_suspended": suspended}, bump=suspended)


async def invalidate_tokens(administration: Administration, tenant_id: str) -> None:
    """End every token of a tenant at once, whatever its form. Raises: AdministrationError."""
    await administration.require_tenant(tenant_id)
    await administration.store.tenants.bump_generation(tenant_id)


async def _require_free(administration: Administration, request: TenantRequest) -> None:
    """Say which of a tenant's names is another's. Raises: AdministrationError."""
    for other in await administration.store.tenants.list():
        hosts = sorted({host.lower() for host in request.hosts} & set(other.hosts))
        taken = {
            "its id": other.tenant_id == request.tenant_id,
            "the issuer": other.issuer == request.issuer,
            f"the host {', '.join(hosts)}": bool(hosts),
            "the identifier": other.identifier is not None and other.identifier == request.identifier,
            "the place of the default tenant": other.is_default and request.is_default,
        }
        for name, is_taken in taken.items():
            if is_taken:
                raise AdministrationError(f"tenant {request.tenant_id!r}: {name} is taken by {other.tenant_id!r}")


def _new_identifier(administration: Administration, dialect: str) -> str | None:
    """Make an identifier of 32 hex in a dialect whose messages carry one."""
    rows = administration.dialects[dialect].definition.wire.request.parameters
    return secrets.token_hex(16) if any(row.canonical == "tenant_identifier" for row in rows) else None


def _check(administration: Administration, request: TenantRequest) -> None:
    if TENANT_ID.fullmatch(request.tenant_id) is None:
        raise AdministrationError(f"tenant id {request.tenant_id!r}: wanted are a-z, 0-9 and -, at most 63")
    if request.dialect not in administration.dialects:
        known = ", ".join(sorted(administration.dialects))
        raise AdministrationError(f"there is no dialect {request.dialect!r}; the dialects are: {known}")
    check_issuer(request.issuer)
    for host in request.hosts:
        if HOST.fullmatch(host.lower()) is None:
            raise AdministrationError(f"host {host!r}: wanted is a Host header's value, such as api.example.com:8443")
    if request.identifier is not None and IDENTIFIER.fullmatch(request.identifier) is None:
        raise AdministrationError(f"identifier {request.identifier!r}: wanted are letters, digits, . _ -")


def check_issuer(issuer: str) -> None:
    """Check an issuer identifier: an absolute http(s) URL without query or fragment.

    Raises:
        AdministrationError
    RFC: 8414 section 2. Plain http is for loopback only.
    """
    try:
        parts = urlsplit(issuer)
        is_plain = parts.scheme == "http" and parts.hostname not in LOOPBACK
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = is_plain = False
    if is_plain:
        raise AdministrationError(f"issuer {issuer!r}: plain http is for loopback only (RFC 8414 section 2)")
    if not is_url or ISSUER.fullmatch(issuer) is None:
        raise AdministrationError(f"issuer {issuer!r}: wanted is an http or https URL without query or fragment")
