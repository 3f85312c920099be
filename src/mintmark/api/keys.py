"""A tenant's keys: list, rotate, revoke. Private halves are never shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from mintmark.admin.keys import list_keys, revoke_key, rotate_signing_key
from mintmark.api.messages import Given
from mintmark.api.operation import Call, Operation, Reply
from mintmark.grants.rules import MAX_LIFETIME_S, Algorithm
from mintmark.store.records import KeyRecord
from mintmark.tokens.keys import CACHE_S, describe_key_state

KEYS: Final = "/tenants/{tenant_id}/keys"
DEFAULT_ANNOUNCE_S: Final = 2 * 86_400
EXAMPLE_VIEW: Final[Mapping[str, Any]] = {
    "kid": "4b0be1f2-8c53-4f0c-9d43-5f5c9e6f4f0a",
    "use": "sig",
    "alg": "ES256",
    "state": "active",
    "active_from": 1795207683,
    "created_at": 1795207683,
    "revoked_at": None,
    "public_jwk": {"kty": "EC", "crv": "P-256", "x": "...", "y": "..."},
}


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key, its public half as a JWK (RFC 7517); a symmetric key has none."""

    kid: str
    use: Literal["sig", "enc"]
    alg: str
    state: str
    active_from: int
    created_at: int
    revoked_at: int | None
    public_jwk: Mapping[str, Any]


class KeyList(msgspec.Struct, frozen=True):
    """A tenant's keys, oldest first."""

    items: tuple[KeyView, ...]


class KeyRotation(Given, frozen=True, kw_only=True):
    """A signing key to make. It is published at once, and signs after `announce_s` seconds."""

    alg: Algorithm
    announce_s: Annotated[int, msgspec.Meta(ge=CACHE_S, le=MAX_LIFETIME_S)] = DEFAULT_ANNOUNCE_S


class KeyRevocation(msgspec.Struct, frozen=True):
    """What took the place of a revoked key; null if it did not sign."""

    successor: KeyView | None


async def list_all(call: Call) -> Reply:
    """Answer with a tenant's keys."""
    keys = await list_keys(call.administration, call.path["tenant_id"])
    return Reply(KeyList(tuple(_show(call, key, keys) for key in keys)))


async def rotate(call: Call) -> Reply:
    """Give a tenant a new signing key."""
    where = (call.administration, call.path["tenant_id"])
    key = await rotate_signing_key(*where, call.body.alg, announce_s=call.body.announce_s)
    return Reply(_show(call, key, [key]))


async def revoke(call: Call) -> Reply:
    """Revoke a key: every token that it signed is dead."""
    successor = await revoke_key(call.administration, call.path["tenant_id"], call.path["kid"])
    return Reply(KeyRevocation(None if successor is None else _show(call, successor, [successor])))


def _show(call: Call, key: KeyRecord, keys: list[KeyRecord]) -> KeyView:
    return KeyView(
        kid=key.kid,
        use=key.use,
        alg=key.alg,
        state=describe_key_state(key, keys, call.administration.now()),
        active_from=key.active_from,
        created_at=key.created_at,
        revoked_at=key.revoked_at,
        public_jwk=key.public_jwk,
    )


OPERATIONS: Final = (
    Operation(
        name="listKeys",
        method="GET",
        path=KEYS,
        permission="keys:read",
        call=list_all,
        summary="List a tenant's keys, oldest first",
        gives=KeyList,
        example_answer={"items": [EXAMPLE_VIEW]},
    ),
    Operation(
        name="rotateKey",
        method="POST",
        path=KEYS,
        permission="keys:rotate",
        call=rotate,
        summary="Give a tenant a new signing key",
        about="Published at once, it signs after `announce_s` seconds; a first key of its algorithm signs at once."
        " Older keys go on verifying.",
        takes=KeyRotation,
        gives=KeyView,
        success=201,
        is_creation=True,
        problems=("limit-reached",),
        example={"alg": "ES256", "announce_s": 172800},
        example_answer={**EXAMPLE_VIEW, "state": "announced"},
    ),
    Operation(
        name="revokeKey",
        method="POST",
        path=KEYS + "/{kid}/revoke",
        permission="keys:rotate",
        call=revoke,
        summary="Revoke a key",
        about="For a key that leaked: every token of it is dead at once, and a new key signs in its place.",
        gives=KeyRevocation,
        example_answer={"successor": EXAMPLE_VIEW},
    ),
)
