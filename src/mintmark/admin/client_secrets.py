"""Verbs on a client's secrets: add, give, rotate, reset, remove. A secret is shown once, in the answer that made it.

How many live beside each other, and what a new one does to the others, are rules of the tenant's system.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from mintmark.admin.administration import Administration, LimitReached, Malformed, Missing
from mintmark.admin.clients import (
    MAX_MOMENT,
    check_secret,
    hash_secret,
    require_no_escalation,
    require_permissions_of,
    write_as_read,
)
from mintmark.authentication.authenticate import live_secrets
from mintmark.authentication.secrets import generate_secret, is_generated
from mintmark.grants.rules import Rules
from mintmark.protocol.secret import Secret
from mintmark.store.records import ClientRecord, SecretPlace, SecretRecord

DEFAULT_OVERLAP_S: Final = 86_400
SECRETS_A_PAGE: Final = 500
EXPIRED_KEPT: Final = 3
"""Expired secrets that stay until the next purge, to be looked at; what expired before them goes with the next one."""

MadeSecret = tuple[SecretRecord, Secret]


class SecretRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A secret to give to a client."""

    client_secret: Secret | None = None
    """Left out: one is made and shown."""
    label: str = ""
    expires_at: int | None = None
    """The second from which it authenticates no more; None: it does for good."""


async def add_secret(
    administration: Administration,
    tenant_id: str,
    client_id: str,
    *,
    label: str = "",
    expires_at: int | None = None,
    if_version: int | None = None,
) -> MadeSecret:
    """Give a client one more generated secret; the others go on. Raises: AdministrationError.

    Args:
        expires_at: the second from which it authenticates no more; None: it does for good.
    """
    administration.permit("clients:write", tenant_id)
    rules = await administration.require_rules(tenant_id)
    check_secret(administration, None, label, expires_at)
    store = administration.acting("add_secret")

    async def write(client: ClientRecord, version: int) -> MadeSecret:
        await require_no_escalation(administration, client)
        _require_room(administration, client, rules)
        made = await _make(administration, client, rules, label=label, expires_at=expires_at)
        await store.clients.add_secret(made[0], without=_outlived(administration, client, rules), if_version=version)
        return made

    return await write_as_read(administration, tenant_id, client_id, if_version, write)


async def give_secret(
    administration: Administration, tenant_id: str, client_id: str, request: SecretRequest
) -> MadeSecret:
    """Give a client one more secret, a given one or a made one; the others go on where its system lets them.

    Raises: AdministrationError.
    """
    administration.permit("clients:write", tenant_id)
    rules = await administration.require_rules(tenant_id)
    check_secret(administration, request.client_secret, request.label, request.expires_at)
    store = administration.acting("give_secret")

    async def write(client: ClientRecord, version: int) -> MadeSecret:
        await require_no_escalation(administration, client)
        made = await _take(administration, client, rules, request)
        if rules.secrets.overlap:
            _require_room(administration, client, rules)
            outlived = _outlived(administration, client, rules)
            await store.clients.add_secret(made[0], without=outlived, if_version=version)
        else:
            bump = "secret_reset" in rules.tokens_die_on
            await store.clients.reset_secrets(made[0], bump=bump, if_version=version)
        return made

    return await write_as_read(administration, tenant_id, client_id, None, write)


async def rotate_secret(
    administration: Administration,
    tenant_id: str,
    client_id: str,
    *,
    overlap_s: int | None = None,
    label: str = "",
    expires_at: int | None = None,
    if_version: int | None = None,
) -> MadeSecret:
    """Give a client a new secret and let all older ones expire by themselves. Raises: AdministrationError.

    Args:
        overlap_s: seconds for which the older ones go on; 0: they are gone at once, as by `reset_secret`.
            None: 24 hours, or 0 where the system knows no overlap.
    """
    administration.permit("clients:write", tenant_id)
    rules = await administration.require_rules(tenant_id)
    check_secret(administration, None, label, expires_at)
    overlap = _read_overlap(overlap_s, rules)
    store = administration.acting("rotate_secret")

    async def write(client: ClientRecord, version: int) -> MadeSecret:
        await require_no_escalation(administration, client)
        made = await _make(administration, client, rules, label=label, expires_at=expires_at)
        if overlap == 0:
            bump = "secret_reset" in rules.tokens_die_on
            await store.clients.reset_secrets(made[0], bump=bump, if_version=version)
        else:
            _require_room(administration, client, rules)
            ends, outlived = administration.now() + overlap, _outlived(administration, client, rules)
            await store.clients.add_secret(made[0], others_expire_at=ends, without=outlived, if_version=version)
        return made

    return await write_as_read(administration, tenant_id, client_id, if_version, write)


async def reset_secret(
    administration: Administration, tenant_id: str, client_id: str, *, if_version: int | None = None
) -> Secret:
    """Replace all of a client's secrets by a new one; where its system does so, its tokens die at once.

    Raises: AdministrationError.
    """
    administration.permit("clients:write", tenant_id)
    rules = await administration.require_rules(tenant_id)
    store = administration.acting("reset_secret")

    async def write(client: ClientRecord, version: int) -> Secret:
        await require_no_escalation(administration, client)
        record, secret = await _make(administration, client, rules)
        bump = "secret_reset" in rules.tokens_die_on
        await store.clients.reset_secrets(record, bump=bump, if_version=version)
        return secret

    return await write_as_read(administration, tenant_id, client_id, if_version, write)


async def remove_secret(
    administration: Administration, tenant_id: str, client_id: str, secret_id: str, *, if_version: int | None = None
) -> None:
    """Remove a secret: it authenticates no more. Raises: AdministrationError."""
    administration.permit("clients:write", tenant_id)
    rules = await administration.require_rules(tenant_id)
    store = administration.acting("remove_secret")

    async def write(client: ClientRecord, version: int) -> None:
        await require_permissions_of(administration, client)
        if secret_id not in {secret.secret_id for secret in client.secrets}:
            raise Missing(f"client {client_id!r} has no secret {secret_id!r}")
        if rules.secrets.newest_stays and client.secrets[0].secret_id == secret_id:
            raise LimitReached(f"secret {secret_id!r} is the newest, which its system never removes; rotate it")
        await store.clients.remove_secret(tenant_id, client_id, secret_id, if_version=version)

    await write_as_read(administration, tenant_id, client_id, if_version, write)


async def list_expiring_secrets(
    administration: Administration,
    tenant_id: str | None = None,
    *,
    within_s: int,
    after: SecretPlace | None = None,
    limit: int,
) -> list[SecretRecord]:
    """Return a page of the live secrets that expire within so many seconds, the soonest first.

    Args:
        tenant_id: of this tenant; None: of all that the actor reaches.
        after: the place of the last one of the page before.

    Raises: AdministrationError.
    """
    tenants: list[str] | None = None if tenant_id is None else [tenant_id]
    if tenant_id is not None or administration.actor.tenants is None:
        administration.permit("clients:read", tenant_id)
    else:
        tenants = sorted(administration.actor.tenants)
        for one in tenants[:1]:
            administration.permit("clients:read", one)
    now = administration.now()
    begin = SecretPlace(now + 1) if after is None else after
    return await administration.store.clients.expiring(begin, now + within_s, limit, tenants)


async def count_expiring_secrets(administration: Administration, within_s: int) -> Mapping[str, int]:
    """Return how many live secrets of each tenant expire within so many seconds. Raises: AdministrationError."""
    counts: Counter[str] = Counter()
    after: SecretPlace | None = None
    while page := await list_expiring_secrets(administration, within_s=within_s, after=after, limit=SECRETS_A_PAGE):
        counts.update(secret.tenant_id for secret in page)
        after = place_of_secret(page[-1])
        await asyncio.sleep(0)
    return counts


def place_of_secret(secret: SecretRecord) -> SecretPlace:
    """Return where an expiring secret stands among all, to go on from there."""
    return SecretPlace(secret.expires_at or 0, secret.tenant_id, secret.client_id, secret.secret_id)


def _read_overlap(overlap_s: int | None, rules: Rules) -> int:
    if overlap_s is None:
        return DEFAULT_OVERLAP_S if rules.secrets.overlap else 0
    if not 0 <= overlap_s <= MAX_MOMENT // 2:
        raise Malformed("overlap_s: must not be negative, or so long", "overlap_s")
    if overlap_s > 0 and not rules.secrets.overlap:
        raise LimitReached("overlap_s: in this system a new secret takes the place of the old one at once")
    return overlap_s


def _require_room(administration: Administration, client: ClientRecord, rules: Rules) -> None:
    if len(live_secrets(client, administration.now())) >= rules.secrets.max_live:
        raise LimitReached(
            f"client {client.client_id!r} has {rules.secrets.max_live} live secrets, as many as it may have;"
            " remove one first"
        )


def _outlived(administration: Administration, client: ClientRecord, rules: Rules) -> tuple[str, ...]:
    """Return the ids of the secrets that have expired, but for the last few."""
    authenticating = live_secrets(client, administration.now() - rules.secrets.expiry_skew_s)
    expired = [secret for secret in client.secrets if secret not in authenticating]
    expired.sort(key=lambda secret: secret.expires_at or 0, reverse=True)
    return tuple(secret.secret_id for secret in expired[EXPIRED_KEPT:])


async def _make(administration: Administration, client: ClientRecord, rules: Rules, **named: Any) -> MadeSecret:
    return await _take(administration, client, rules, SecretRequest(**named))


async def _take(
    administration: Administration, client: ClientRecord, rules: Rules, request: SecretRequest
) -> MadeSecret:
    secret = request.client_secret or generate_secret(rules.client_secret_form)
    fast = is_generated(secret, rules.client_secret_form)
    record = await hash_secret(
        administration, client.tenant_id, client.client_id, secret, fast=fast, beside=client.secrets
    )
    return msgspec.structs.replace(record, label=request.label, expires_at=request.expires_at), secret
