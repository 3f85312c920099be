"""Verbs for clients that register themselves: the initial access tokens that let them, and their own registration.

RFC: 7591, RFC: 7592.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from mintmark.admin.administration import Administration, Malformed, Missing, PermissionRefused
from mintmark.admin.clients import (
    ClientChanges,
    ClientRequest,
    change_client,
    find_client,
    register_client,
    remove_client,
)
from mintmark.admin.permissions import PERMISSIONS
from mintmark.authentication.comparison import is_same
from mintmark.protocol.errors import NotFound
from mintmark.protocol.scope import is_scope_token
from mintmark.protocol.secret import Secret
from mintmark.store.records import ClientRecord, InitialAccessToken, RegistrationRecord
from mintmark.tokens.opaque import digest_token

INITIAL_PREFIX: Final = "mmi_"
ACCESS_PREFIX: Final = "mmr_"
MAX_USES: Final = 1_000_000
MAX_LIFETIME_S: Final = 365 * 86_400
OWN: Final[frozenset[str]] = frozenset({"clients:read", "clients:write"})


class Registered(msgspec.Struct, frozen=True):
    """A client that registered itself, and what it is shown this once."""

    client: ClientRecord
    access_token: Secret
    client_secret: Secret | None = None
    """None: it has the one that it was given."""


async def create_initial_token(
    administration: Administration,
    tenant_id: str,
    *,
    scope: tuple[str, ...] = (),
    uses: int = 1,
    lifetime_s: int = 86_400,
    label: str = "",
) -> tuple[InitialAccessToken, Secret]:
    """Make a token with which so many clients may register themselves. It is shown this once.

    Args:
        scope: what such a client may register for at most; permissions of the management API are none of it.

    Raises: AdministrationError.
    """
    administration.permit("clients:write", tenant_id)
    await administration.require_tenant(tenant_id)
    _check_limits(scope, uses, lifetime_s, label)
    secret = Secret(INITIAL_PREFIX + secrets.token_urlsafe(32))
    token = InitialAccessToken(
        tenant_id=tenant_id,
        token_id=secrets.token_hex(8),
        digest=digest_token(secret.reveal()),
        label=label,
        scope=scope,
        uses_left=uses,
        created_at=administration.now(),
        expires_at=administration.now() + lifetime_s,
    )
    await administration.acting("create_initial_token").registrations.add_token(token)
    return token, secret


def _check_limits(scope: tuple[str, ...], uses: int, lifetime_s: int, label: str) -> None:
    if not 1 <= uses <= MAX_USES:
        raise Malformed(f"uses: wanted are 1 to {MAX_USES}", "uses")
    if not 1 <= lifetime_s <= MAX_LIFETIME_S:
        raise Malformed(f"lifetime_s: wanted are 1 to {MAX_LIFETIME_S} seconds", "lifetime_s")
    if len(label) > 255 or not label.isprintable():
        raise Malformed("label: wanted are up to 255 printable characters", "label")
    for one in scope:
        if not is_scope_token(one) or one in PERMISSIONS:
            raise Malformed(f"scope: {one!r} is no scope-token, or a permission of the management API", "scope")


async def list_initial_tokens(administration: Administration, tenant_id: str) -> list[InitialAccessToken]:
    """Return a tenant's initial access tokens, oldest first. Raises: AdministrationError."""
    administration.permit("clients:read", tenant_id)
    await administration.require_tenant(tenant_id)
    return await administration.store.registrations.list_tokens(tenant_id)


async def remove_initial_token(administration: Administration, tenant_id: str, token_id: str) -> None:
    """Remove an initial access token; the clients that came with it stay. Raises: AdministrationError."""
    administration.permit("clients:write", tenant_id)
    await administration.require_tenant(tenant_id)
    try:
        await administration.acting("remove_initial_token").registrations.remove_token(tenant_id, token_id)
    except NotFound as error:
        raise Missing(f"tenant {tenant_id!r} has no initial access token {token_id!r}") from error


async def register_self(administration: Administration, request: ClientRequest, initial: Secret) -> Registered:
    """Register the client that shows an initial access token, and take one of its uses. RFC: 7591 section 3.

    Raises:
        PermissionRefused: the token is unknown, expired or used up.
        AdministrationError: a value is malformed. No use is taken.
    """
    store, digest = administration.store.registrations, digest_token(initial.reveal())
    token = await store.find_token(request.tenant_id, digest)
    if token is None or token.uses_left < 1 or token.expires_at <= administration.now():
        raise PermissionRefused("the initial access token is unknown, expired or used up")
    if not set(request.scope) <= set(token.scope):
        raise Malformed("scope: more than the initial access token allows", "scope")
    name = f"registration {token.token_id}"
    async with _own(administration, request.tenant_id, name) as own:
        if not await own.store.registrations.spend_token(request.tenant_id, digest, administration.now()):
            raise PermissionRefused("the initial access token is used up")
        made = await register_client(own, request)
        access_token = await _give_access_token(own, made.client, token.scope, None)
    return Registered(made.client, access_token, made.client_secret)


async def find_registration(
    administration: Administration, tenant_id: str, client_id: str, access_token: Secret
) -> tuple[ClientRecord, RegistrationRecord]:
    """Return the client that a registration access token belongs to. RFC: 7592 section 2.

    Raises: PermissionRefused (also where there is no such client: nobody learns which there are).
    """
    store, digest = administration.store.registrations, digest_token(access_token.reveal())
    registration = await store.find(tenant_id, client_id)
    if registration is None:
        raise PermissionRefused("there is no such registration")
    if not is_same(registration.digest, digest) and not is_same(registration.previous or b"", digest):
        raise PermissionRefused("the registration access token is another")
    if registration.previous is not None and is_same(registration.digest, digest):
        # The newer one has arrived: the older is of no more use to anybody honest.
        registration = msgspec.structs.replace(registration, previous=None)
        await store.put(registration)
    client = await find_client(administration, tenant_id, client_id)
    if client.is_disabled:
        raise PermissionRefused("the client is disabled")
    return client, registration


async def change_registration(
    administration: Administration, tenant_id: str, client_id: str, access_token: Secret, changes: ClientChanges
) -> Registered:
    """Change the client that shows its registration access token, and give it the next one. RFC: 7592 section 2.2.

    The token shown stays good until the next is first used: should the answer be lost, nobody is locked out.

    Raises: AdministrationError.
    """
    client, registration = await find_registration(administration, tenant_id, client_id, access_token)
    if not set(changes.scope or ()) <= set(registration.scope):
        raise Malformed("scope: more than the initial access token allowed", "scope")
    shown = digest_token(access_token.reveal())
    async with _own(administration, tenant_id, f"client:{tenant_id}/{client_id}") as own:
        changed = await change_client(own, tenant_id, client_id, changes, if_version=client.version)
        access_next = await _give_access_token(own, changed, registration.scope, shown)
    return Registered(changed, access_next)


async def remove_registration(
    administration: Administration, tenant_id: str, client_id: str, access_token: Secret
) -> None:
    """Remove the client that shows its registration access token. RFC: 7592 section 2.3.

    Raises: AdministrationError.
    """
    await find_registration(administration, tenant_id, client_id, access_token)
    async with _own(administration, tenant_id, f"client:{tenant_id}/{client_id}") as own:
        await remove_client(own, tenant_id, client_id)


async def _give_access_token(
    administration: Administration, client: ClientRecord, scope: tuple[str, ...], previous: bytes | None
) -> Secret:
    token = Secret(ACCESS_PREFIX + secrets.token_urlsafe(32))
    registration = RegistrationRecord(
        tenant_id=client.tenant_id,
        client_id=client.client_id,
        digest=digest_token(token.reveal()),
        previous=previous,
        scope=scope,
    )
    await administration.store.registrations.put(registration)
    return token


@asynccontextmanager
async def _own(administration: Administration, tenant_id: str, name: str) -> AsyncIterator[Administration]:
    """Give the verbs on behalf of a client about itself, in one transaction.

    It may register and change clients of its tenant, which the verbs here do to its own alone.
    """
    actor = msgspec.structs.replace(administration.actor, name=name, permissions=OWN, tenants=frozenset({tenant_id}))
    async with administration.store.together() as store:
        yield msgspec.structs.replace(administration, actor=actor, store=store)
