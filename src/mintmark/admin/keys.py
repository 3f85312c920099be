"""Verbs on keys: list, make another, and show a symmetric key once."""

from __future__ import annotations

import uuid
from typing import Any, Final

from mintmark.admin.administration import Administration, AdministrationError
from mintmark.grants.rules import Rules
from mintmark.store.records import KeyRecord
from mintmark.tokens.keys import (
    ALGORITHMS,
    generate_encryption_key,
    generate_signing_key,
    open_encryption_key,
)

ANNOUNCE_S: Final = 600
"""Twice what the key set may be cached for."""


def new_keys(administration: Administration, tenant_id: str, rules: Rules) -> list[KeyRecord]:
    """Make what a tenant's rules need: a signing key, and an encryption key for an encrypted claim."""
    keys = [_new_signing_key(administration, tenant_id, rules.token.alg)]
    if rules.id_token is not None and any(row.value == "encrypted_scope" for row in rules.id_token.claims):
        keys.append(_new_encryption_key(administration, tenant_id))
    return keys


async def list_keys(administration: Administration, tenant_id: str | None = None) -> list[KeyRecord]:
    """Return the keys of one tenant, or of all. Raises: AdministrationError (no such tenant)."""
    if tenant_id is not None:
        await administration.require_tenant(tenant_id)
    return await administration.store.keys.list(tenant_id)


async def ensure_signing_key(administration: Administration, tenant_id: str, alg: str) -> None:
    """Give a tenant a signing key of an algorithm, unless it has one. A first key signs at once."""
    for key in await administration.store.keys.list(tenant_id):
        if key.use == "sig" and key.alg == alg:
            return
    await administration.store.keys.add(_new_signing_key(administration, tenant_id, alg))


async def add_signing_key(administration: Administration, tenant_id: str, alg: str) -> KeyRecord:
    """Give a tenant a new signing key. It signs after `ANNOUNCE_S`, by when every verifier has read of it.

    The older ones go on verifying. A first key of its algorithm signs at once: nobody has to learn of a change.

    Raises:
        AdministrationError: no such tenant or algorithm.
    """
    await administration.require_tenant(tenant_id)
    if alg not in ALGORITHMS:
        raise AdministrationError(f"there is no algorithm {alg!r}; the algorithms are: {', '.join(ALGORITHMS)}")
    others = [key for key in await administration.store.keys.list(tenant_id) if key.use == "sig" and key.alg == alg]
    key = _new_signing_key(administration, tenant_id, alg, wait_s=ANNOUNCE_S if others else 0)
    await administration.store.keys.add(key)
    return key


async def reset_encryption_key(administration: Administration, tenant_id: str) -> dict[str, Any]:
    """Give a tenant a new encryption key and return it as a JWK: the one time that it is shown. RFC: 7517.

    Raises:
        AdministrationError: no such tenant.
    """
    await administration.require_tenant(tenant_id)
    key = _new_encryption_key(administration, tenant_id)
    await administration.store.keys.add(key)
    return dict(open_encryption_key(key, administration.master_key).jwk.as_dict(private=True))


def _new_signing_key(administration: Administration, tenant_id: str, alg: str, *, wait_s: int = 0) -> KeyRecord:
    now = administration.now()
    return generate_signing_key(
        tenant_id, alg, kid=str(uuid.uuid4()), now=now, master_key=administration.master_key, active_from=now + wait_s
    )


def _new_encryption_key(administration: Administration, tenant_id: str) -> KeyRecord:
    return generate_encryption_key(
        tenant_id, kid=str(uuid.uuid4()), now=administration.now(), master_key=administration.master_key
    )
