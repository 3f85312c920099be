"""Issued tokens: look one up, revoke one, revoke all of a tenant. A token is sent in a body, never in a URL."""

from __future__ import annotations

from typing import Final

import msgspec

from mintmark.admin.actor import name_token
from mintmark.admin.tenants import invalidate_tokens
from mintmark.admin.tokens import find_token, revoke_named_token, revoke_token
from mintmark.api.messages import Given
from mintmark.api.operation import Call, Operation, Reply
from mintmark.protocol.secret import Secret

TOKENS: Final = "/tenants/{tenant_id}/tokens"
EXAMPLE: Final = {"token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIs..."}


class ShownToken(Given, frozen=True):
    """A token to judge."""

    token: Secret


class TokenView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a live token stands for; of another only that it is not active. RFC: 7662 section 2.2."""

    active: bool
    kind: str | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    """What the audit log calls it."""
    client_id: str | msgspec.UnsetType = msgspec.UNSET
    scope: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    audience: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    issued_at: int | msgspec.UnsetType = msgspec.UNSET
    expires_at: int | msgspec.UnsetType = msgspec.UNSET


class Revocation(msgspec.Struct, frozen=True):
    """Whether the token was alive until now."""

    revoked: bool


async def look_up(call: Call) -> Reply:
    """Answer with what a token stands for."""
    live = await find_token(call.administration, call.desk.verifier, call.path["tenant_id"], call.body.token)
    if live is None:
        return Reply(TokenView(active=False))
    shown = TokenView(
        active=True,
        kind=live.kind,
        name=name_token(live),
        client_id=live.client_id,
        scope=tuple(live.scope.split()),
        audience=live.audience,
        issued_at=live.issued_at,
        expires_at=live.expires_at,
    )
    return Reply(shown)


async def revoke(call: Call) -> Reply:
    """End a token."""
    where = (call.administration, call.desk.verifier, call.path["tenant_id"])
    return Reply(Revocation(await revoke_token(*where, call.body.token)))


async def revoke_named(call: Call) -> Reply:
    """End a token that is known by its name alone."""
    await revoke_named_token(call.administration, call.path["tenant_id"], call.path["token_name"])
    return Reply()


async def revoke_all(call: Call) -> Reply:
    """End every token of a tenant."""
    await invalidate_tokens(call.administration, call.path["tenant_id"])
    return Reply()


OPERATIONS: Final = (
    Operation(
        name="lookUpToken",
        method="POST",
        path=TOKENS + "/lookup",
        permission="tokens:read",
        call=look_up,
        summary="Look up a token",
        about="Whatever the tenant's dialect and the token's form. One that is not alive, or another tenant's, is not"
        " active, and nothing more is said.",
        takes=ShownToken,
        gives=TokenView,
        example=EXAMPLE,
        example_answer={
            "active": True,
            "kind": "access",
            "name": "e8178cab-ffae-4d4e-95d0-35c801a20b2c",
            "client_id": "billing",
            "scope": ["invoices.read"],
            "audience": ["https://api.example"],
            "issued_at": 1795207683,
            "expires_at": 1795211283,
        },
    ),
    Operation(
        name="revokeToken",
        method="POST",
        path=TOKENS + "/revoke",
        permission="tokens:revoke",
        call=revoke,
        summary="Revoke a token",
        about="A refresh token ends with all of its family.",
        takes=ShownToken,
        gives=Revocation,
        example=EXAMPLE,
        example_answer={"revoked": True},
    ),
    Operation(
        name="revokeNamedToken",
        method="DELETE",
        path=TOKENS + "/{token_name}",
        permission="tokens:revoke",
        call=revoke_named,
        summary="Revoke a token by its name",
        about="For one that nobody can show, such as one that the audit log names: the `jti` of a JWT, or 16 to 64 hex"
        " digits of an opaque token's digest.",
        success=204,
        problems=("invalid-values",),
    ),
    Operation(
        name="revokeAllTokens",
        method="POST",
        path=TOKENS + "/revoke-all",
        permission="tokens:revoke",
        call=revoke_all,
        summary="Revoke every token of a tenant",
        about="Your own, too, if you are the tenant's.",
        success=204,
    ),
)
