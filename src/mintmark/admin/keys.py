"""Verbs on keys: list, rotate, revoke, and show a symmetric key once."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial
from typing import Any, Final

import msgspec

from mintmark.admin.administration import Administration, LimitReached, Malformed, Missing
from mintmark.grants.rules import MAX_LIFETIME_S, Rules
from mintmark.settings import MIN_ANNOUNCE_S
from mintmark.store.records import KeyRecord
from mintmark.tokens.algorithms import ALGORITHMS
from mintmark.tokens.keys import (
    CACHE_S,
    describe_key_state,
    generate_encryption_key,
    generate_signing_key,
    open_encryption_key,
    published_keys,
)

SLOWLY_MADE: Final = frozenset({"RS256", "RS384", "RS512", "PS256"})
"""Of these algorithms a key takes half a second: primes are sought."""
MAX_PUBLISHED: Final = 32
"""Signing keys with which rotating by hand ends: every verifier reads them all. Calls at once may pass it by a few."""


async def new_keys(administration: Administration, tenant_id: str, rules: Rules) -> list[KeyRecord]:
    """Make what a tenant's rules need: a signing key, and an encryption key for an encrypted claim."""
    keys = [await _new_signing_key(administration, tenant_id, rules.token.alg)]
    if rules.id_token is not None and any(row.value == "encrypted_scope" for row in rules.id_token.claims):
        keys.append(_new_encryption_key(administration, tenant_id))
    return keys


async def list_keys(administration: Administration, tenant_id: str | None = None) -> list[KeyRecord]:
    """Return the keys of one tenant, or of all. Raises: AdministrationError (no such tenant)."""
    administration.permit("keys:read", tenant_id)
    if tenant_id is not None:
        await administration.require_tenant(tenant_id)
    return await administration.store.keys.list(tenant_id)


async def ensure_signing_key(administration: Administration, tenant_id: str, alg: str) -> None:
    """Give a tenant a signing key of an algorithm, unless it has one. A first key signs at once."""
    for key in await administration.store.keys.list(tenant_id):
        if key.use == "sig" and key.alg == alg:
            return
    key = await _new_signing_key(administration, tenant_id, alg)
    await administration.acting("ensure_signing_key").keys.add(key)


async def rotate_signing_key(administration: Administration, tenant_id: str, alg: str, *, announce_s: int) -> KeyRecord:
    """Give a tenant a new signing key, published at once, that signs `announce_s` seconds from now.

    The older ones go on verifying. A first key of its algorithm signs at once: nobody has to learn of a change.

    Raises:
        AdministrationError: no such tenant or algorithm, or an announcement shorter than MIN_ANNOUNCE_S, or of years,
            or MAX_PUBLISHED keys are there.
    """
    administration.permit("keys:rotate", tenant_id)
    await administration.require_tenant(tenant_id)
    if alg not in ALGORITHMS:
        raise Malformed(f"there is no algorithm {alg!r}; the algorithms are: {', '.join(ALGORITHMS)}", "alg")
    if not MIN_ANNOUNCE_S <= announce_s <= MAX_LIFETIME_S:
        text = f"announce: at least {MIN_ANNOUNCE_S} seconds; verifiers may keep the key set for {CACHE_S}"
        raise Malformed(text, "announce_s")
    published = published_keys(await administration.store.keys.list(tenant_id))
    if len(published) >= MAX_PUBLISHED:
        raise LimitReached(
            f"tenant {tenant_id!r} publishes {len(published)} signing keys already. A key that signs no more goes by"
            " itself when its last token has died; one that nobody needs can be revoked (mintmark keys revoke), and"
            " its tokens with it"
        )
    others = [key for key in published if key.alg == alg]
    key = await _new_signing_key(administration, tenant_id, alg, wait_s=announce_s if others else 0)
    await administration.acting("rotate_signing_key").keys.add(key)
    return key


async def revoke_key(administration: Administration, tenant_id: str, kid: str) -> KeyRecord | None:
    """The compromise drill: every token of this key is inactive at once.

    Returns:
        The new key that signs at once in its place; None for a key that does not sign (any more, or yet): then
        the present one goes on, for a new one would sign before verifiers have heard of it.

    Raises:
        AdministrationError: no such tenant or key.
    """
    administration.permit("keys:rotate", tenant_id)
    await administration.require_tenant(tenant_id)
    keys = await administration.store.keys.list(tenant_id)
    key = next((one for one in keys if one.kid == kid and one.use == "sig"), None)
    if key is None:
        raise Missing(f"tenant {tenant_id!r} has no signing key {kid!r}")
    state = describe_key_state(key, keys, administration.now())
    if state == "revoked":
        return None
    successor = await _new_signing_key(administration, tenant_id, key.alg) if state == "active" else None
    revoked = msgspec.structs.replace(key, revoked_at=administration.now())
    await administration.acting("revoke_key").keys.replace(revoked, successor=successor)
    return successor


async def add_scheduled_key(administration: Administration, tenant_id: str, alg: str, *, active_from: int) -> KeyRecord:
    """Give a tenant the successor of a key, published at once, that signs from a moment on (seconds)."""
    key = await _new_signing_key(administration, tenant_id, alg, wait_s=active_from - administration.now())
    await administration.acting("add_scheduled_key").keys.add(key)
    return key


async def reset_encryption_key(administration: Administration, tenant_id: str) -> dict[str, Any]:
    """Give a tenant a new encryption key and return it as a JWK: the one time that it is shown. RFC: 7517.

    Raises:
        AdministrationError: no such tenant.
    """
    administration.permit("keys:rotate", tenant_id)
    await administration.require_tenant(tenant_id)
    key = _new_encryption_key(administration, tenant_id)
    await administration.acting("reset_encryption_key").keys.add(key)
    return dict(open_encryption_key(key, administration.sealing_key).jwk.as_dict(private=True))


async def _new_signing_key(administration: Administration, tenant_id: str, alg: str, *, wait_s: int = 0) -> KeyRecord:
    """Make one; where that takes long, in a thread: requests go on meanwhile."""
    now = administration.now()
    make = partial(
        generate_signing_key,
        tenant_id,
        alg,
        kid=str(uuid.uuid4()),
        now=now,
        sealing_key=administration.sealing_key,
        active_from=now + wait_s,
    )
    if alg not in SLOWLY_MADE:
        return make()
    administration.require_alone()
    return await asyncio.to_thread(make)


def _new_encryption_key(administration: Administration, tenant_id: str) -> KeyRecord:
    return generate_encryption_key(
        tenant_id, kid=str(uuid.uuid4()), now=administration.now(), sealing_key=administration.sealing_key
    )
