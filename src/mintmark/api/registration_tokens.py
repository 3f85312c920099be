"""Initial access tokens, with which clients register themselves: list, create, remove."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from mintmark.admin.registration import (
    MAX_LIFETIME_S,
    MAX_USES,
    create_initial_token,
    list_initial_tokens,
    remove_initial_token,
)
from mintmark.api.messages import Given, Name, Scope
from mintmark.api.operation import Call, Operation, Reply
from mintmark.protocol.secret import Secret
from mintmark.store.records import InitialAccessToken

TOKENS: Final = "/tenants/{tenant_id}/registration-tokens"
EXAMPLE_VIEW: Final = {
    "token_id": "9f86d081884c7d65",
    "label": "branch offices",
    "scope": ["invoices.read"],
    "uses_left": 10,
    "created_at": 1795207683,
    "expires_at": 1795294083,
}


class InitialTokenCreation(Given, frozen=True, kw_only=True):
    """A token to make, and its limits: how many clients, until when, with what scope at most."""

    label: Name = ""
    scope: Scope = ()
    uses: Annotated[int, msgspec.Meta(ge=1, le=MAX_USES)] = 1
    lifetime_s: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIFETIME_S)] = 86_400


class InitialTokenView(msgspec.Struct, frozen=True, kw_only=True):
    """An initial access token, without itself."""

    token_id: str
    label: str
    scope: tuple[str, ...]
    uses_left: int
    created_at: int
    expires_at: int


class NewInitialToken(InitialTokenView, frozen=True, kw_only=True):
    """An initial access token that was just made: it is shown this once."""

    initial_access_token: Secret


class InitialTokenList(msgspec.Struct, frozen=True):
    """A tenant's initial access tokens, oldest first."""

    items: tuple[InitialTokenView, ...]


async def list_all(call: Call) -> Reply:
    """Answer with a tenant's initial access tokens."""
    found = await list_initial_tokens(call.administration, call.path["tenant_id"])
    return Reply(InitialTokenList(tuple(InitialTokenView(**_members(token)) for token in found)))


async def create(call: Call) -> Reply:
    """Make an initial access token."""
    limits = msgspec.structs.asdict(call.body)
    token, secret = await create_initial_token(call.administration, call.path["tenant_id"], **limits)
    return Reply(NewInitialToken(**_members(token), initial_access_token=secret))


async def remove(call: Call) -> Reply:
    """Remove an initial access token."""
    await remove_initial_token(call.administration, call.path["tenant_id"], call.path["token_id"])
    return Reply()


def _members(token: InitialAccessToken) -> dict[str, Any]:
    return {name: getattr(token, name) for name in InitialTokenView.__struct_fields__}


OPERATIONS: Final = (
    Operation(
        name="listRegistrationTokens",
        method="GET",
        path=TOKENS,
        permission="clients:read",
        call=list_all,
        summary="List a tenant's initial access tokens",
        gives=InitialTokenList,
        example_answer={"items": [EXAMPLE_VIEW]},
    ),
    Operation(
        name="createRegistrationToken",
        method="POST",
        path=TOKENS,
        permission="clients:write",
        call=create,
        summary="Make an initial access token",
        about="With it clients register themselves (RFC 7591), where the tenant's `allows_registration` is on. It is in"
        " this answer and in no other.",
        takes=InitialTokenCreation,
        gives=NewInitialToken,
        success=201,
        is_creation=True,
        example={"label": "branch offices", "scope": ["invoices.read"], "uses": 10, "lifetime_s": 86400},
        example_answer={**EXAMPLE_VIEW, "initial_access_token": "mmi_K3w0mQe..."},
    ),
    Operation(
        name="removeRegistrationToken",
        method="DELETE",
        path=TOKENS + "/{token_id}",
        permission="clients:write",
        call=remove,
        summary="Remove an initial access token",
        about="The clients that came with it stay.",
        success=204,
    ),
)
