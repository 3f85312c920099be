"""A deployment, or one tenant, as a declarative file that `mintmark apply` takes without a change.

Secrets are kept as hashes, so the file refers to an environment variable for each live one. What is as it is by default
is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from mintmark.admin.administration import Administration
from mintmark.admin.clients import list_clients
from mintmark.admin.declaration import CLIENT_MEMBERS, SITE_MEMBERS, TENANT_MEMBERS, show_moment
from mintmark.admin.sites import list_sites
from mintmark.admin.tenants import list_tenants, show_tenant
from mintmark.authentication.authenticate import live_secrets
from mintmark.store.records import ClientRecord, SecretRecord, SiteRecord, TenantRecord

HEAD: Final = """\
# A deployment of Mintmark, as `mintmark apply` takes it; written by `mintmark export`.
#
# What is not said here is as it is by default. Secrets are kept as hashes only and cannot be exported: each reference
# below names an environment variable that holds the secret when the file is applied. Where it suits you better, write
# { file = "PATH" } instead, or { generate = true } for a new one.
"""
BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
NOT_IN_A_VARIABLE: Final = re.compile(r"[^A-Z0-9]+")
MAX_SITES: Final = 1_000_000
CLIENTS_A_PAGE: Final = 1000


async def export_declaration(administration: Administration, tenant_id: str | None = None) -> AsyncIterator[str]:
    """Yield the file in pieces, tenants, sites and clients in the order of their names.

    Args:
        tenant_id: this tenant alone; None: all within the actor's reach.

    Raises: AdministrationError, StoreUnavailable.
    """
    if tenant_id is None:
        tenants = await list_tenants(administration)
    else:
        tenants = [await show_tenant(administration, tenant_id)]
    yield HEAD
    variables: set[str] = set()
    for tenant in tenants:
        yield _table(("tenants", tenant.tenant_id), _said(tenant, TENANT_MEMBERS))
        async for piece in _export_own(administration, tenant, variables):
            yield piece


async def _export_own(administration: Administration, tenant: TenantRecord, variables: set[str]) -> AsyncIterator[str]:
    """Yield a tenant's sites and clients."""
    path = ("tenants", tenant.tenant_id)
    _, sites = await list_sites(administration, tenant.tenant_id, offset=0, limit=MAX_SITES)
    for site in sites:
        yield _table((*path, "sites", site.name), _said(site, SITE_MEMBERS))
    names = {site.site_id: site.name for site in sites}
    customers = await administration.store.tenants.customers(tenant.tenant_id)
    after = ""
    while page := await list_clients(administration, tenant.tenant_id, after=after, limit=CLIENTS_A_PAGE):
        after = page[-1].client_id
        for client in page:
            said = _said(client, CLIENT_MEMBERS) | _privileges(client, names, customers)
            secrets = _secrets(client, live_secrets(client, administration.now()), variables)
            yield _table((*path, "clients", client.client_id), said) + secrets


def _said(record: TenantRecord | SiteRecord | ClientRecord, members: Collection[str]) -> dict[str, Any]:
    """Return the members of a record that are not as they are by default."""
    values = {field.name: (getattr(record, field.name), _default(field)) for field in msgspec.structs.fields(record)}
    return {name: values[name][0] for name in members if values[name][0] != values[name][1]}


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _privileges(client: ClientRecord, names: Mapping[str, str], customers: Collection[str]) -> dict[str, Any]:
    """Return what an application may see by its name; what is not there any more is left out."""
    seen = {
        "sites": [names[site_id] for site_id in client.sites if site_id in names],
        "customers": [name for name in client.customers if name in customers],
    }
    return {name: value for name, value in seen.items() if getattr(client, name)}


def _secrets(client: ClientRecord, live: Sequence[SecretRecord], variables: set[str]) -> str:
    """Return the line that refers to a client's secrets, in an order that a second export has, too."""
    ordered = sorted(live, key=lambda one: (one.label, one.expires_at or 0))
    tables = [_inline(_reference(client, secret, variables)) for secret in ordered]
    if len(tables) < 2:
        return "".join(f"secret = {table}\n" for table in tables)
    return "secrets = [\n" + "".join(f"  {table},\n" for table in tables) + "]\n"


def _reference(client: ClientRecord, secret: SecretRecord, variables: set[str]) -> dict[str, Any]:
    reference: dict[str, Any] = {"env": _variable(client, variables)}
    if secret.label:
        reference["label"] = secret.label
    if secret.expires_at is not None:
        reference["expires_at"] = show_moment(secret.expires_at)
    return reference


def _variable(client: ClientRecord, variables: set[str]) -> str:
    """Return the name of a variable that no other secret of the file has."""
    stem = "SECRET_OF_" + NOT_IN_A_VARIABLE.sub("_", f"{client.tenant_id}_{client.client_id}".upper())
    name, number = stem, 1
    while name in variables:
        number += 1
        name = f"{stem}_{number}"
    variables.add(name)
    return name


def _table(path: Sequence[str], members: Mapping[str, Any]) -> str:
    lines = [f"\n[{'.'.join(map(_key, path))}]"]
    lines += [f"{_key(name)} = {_value(value)}" for name, value in members.items()]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if BARE_KEY.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    """Return a value as TOML has it, which knows no null: what is null is left out."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return _inline(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(one) for one in value if one is not None)}]"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _inline(table: Mapping[str, Any]) -> str:
    pairs = ", ".join(_pairs(table))
    return f"{{ {pairs} }}" if pairs else "{}"


def _pairs(table: Mapping[str, Any]) -> Iterator[str]:
    return (f"{_key(name)} = {_value(value)}" for name, value in table.items() if value is not None)


def _text(text: str) -> str:
    """Return a basic string: its escapes are those of JSON, which leaves one control character as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
