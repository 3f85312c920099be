"""Registered clients: list, create, get, change, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from mintmark.admin.clients import (
    ClientChanges,
    ClientRequest,
    RegisteredClient,
    change_clients,
    disable_client,
    list_clients,
    register_clients,
    remove_clients,
    require_client,
)
from mintmark.api.messages import (
    Audiences,
    ClientId,
    ClientView,
    Customers,
    Given,
    Name,
    NewClient,
    Role,
    Scope,
    Sites,
    TokenRuleSet,
    given_members,
    show_client,
    show_new_client,
)
from mintmark.api.operation import Call, Operation, Reply
from mintmark.api.paging import PageQuery, read_cursor, reply_page
from mintmark.api.problems import Fault, Refusal
from mintmark.protocol.secret import Secret

CLIENTS: Final = "/tenants/{tenant_id}/clients"
CLIENT: Final = CLIENTS + "/{client_id}"
EXAMPLE_VIEW: Final[Mapping[str, Any]] = {
    "tenant_id": "acme",
    "client_id": "billing",
    "client_name": "Billing job",
    "is_disabled": False,
    "grant_types": ["client_credentials"],
    "authentication_methods": ["client_secret_basic", "client_secret_post"],
    "scope": ["invoices.read"],
    "audience": [],
    "resources": [],
    "token_rules": {},
    "role": "",
    "all_sites": False,
    "sites": [],
    "all_customers": False,
    "customers": [],
    "created_at": 1795207683,
    "version": 1,
}


class ClientCreation(Given, frozen=True, kw_only=True):
    """A client to register. Without an id or secret, one is made."""

    client_id: ClientId | None = None
    client_secret: Secret | None = None
    client_name: Name = ""
    scope: Scope = ()
    audience: Audiences = ()
    resources: Audiences = ()
    grant_types: tuple[str, ...] = ("client_credentials",)
    authentication_methods: tuple[str, ...] = ("client_secret_basic", "client_secret_post")
    token_rules: TokenRuleSet = TokenRuleSet()
    role: Role = ""
    all_sites: bool = False
    sites: Sites = ()
    all_customers: bool = False
    customers: Customers = ()


class ClientPatch(Given, frozen=True, kw_only=True):
    """What is to change; the rest stays. `is_disabled` changes alone. RFC: 7396."""

    client_name: Name | msgspec.UnsetType = msgspec.UNSET
    scope: Scope | msgspec.UnsetType = msgspec.UNSET
    audience: Audiences | msgspec.UnsetType = msgspec.UNSET
    resources: Audiences | msgspec.UnsetType = msgspec.UNSET
    grant_types: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    authentication_methods: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    token_rules: TokenRuleSet | msgspec.UnsetType = msgspec.UNSET
    """All of them: it replaces what was there."""
    role: Role | msgspec.UnsetType = msgspec.UNSET
    all_sites: bool | msgspec.UnsetType = msgspec.UNSET
    sites: Sites | msgspec.UnsetType = msgspec.UNSET
    all_customers: bool | msgspec.UnsetType = msgspec.UNSET
    customers: Customers | msgspec.UnsetType = msgspec.UNSET
    is_disabled: bool | msgspec.UnsetType = msgspec.UNSET


class ClientPage(msgspec.Struct, frozen=True):
    """Clients, by id."""

    items: tuple[ClientView, ...]
    next: str | None
    """The next page; null at the end."""


async def list_page(call: Call) -> Reply:
    """Answer with a page of clients."""
    limit, after = call.query.limit, read_cursor(call.query.cursor)
    found = await list_clients(call.administration, call.path["tenant_id"], after=after, limit=limit + 1)
    shown = tuple(show_client(client) for client in found[:limit])
    return reply_page(call, ClientPage, shown, shown[-1].client_id if len(found) > limit else None)


async def create(call: Call) -> Reply:
    """Register a client."""
    return (await create_many([call]))[0]


async def create_many(calls: Sequence[Call]) -> list[Reply]:
    """Register clients of one tenant, all or none."""
    tenant_id = calls[0].path["tenant_id"]
    requests = [ClientRequest(tenant_id=tenant_id, **given_members(call.body)) for call in calls]
    return [_show_made(made) for made in await register_clients(calls[0].administration, tenant_id, requests)]


def _show_made(made: RegisteredClient) -> Reply:
    where = f"/tenants/{made.client.tenant_id}/clients/{quote(made.client.client_id, safe='')}"
    shown = show_new_client(made.client, made.client_secret if made.is_generated else None)
    return Reply(shown, made.client.version, location=where)


async def get(call: Call) -> Reply:
    """Answer with a client."""
    client = await require_client(call.administration, call.path["tenant_id"], call.path["client_id"])
    return Reply(show_client(client), client.version)


async def change(call: Call) -> Reply:
    """Change a client, or disable or enable it."""
    patch = given_members(call.body)
    is_disabled = patch.pop("is_disabled", None)
    if is_disabled is None:
        return (await change_many([call]))[0]
    if patch:
        raise Refusal("invalid-values", faults=(Fault("It changes alone.", pointer="#/is_disabled"),))
    where = (call.administration, call.path["tenant_id"], call.path["client_id"])
    client = await disable_client(*where, disabled=is_disabled, if_version=call.if_version)
    return Reply(show_client(client), client.version)


async def change_many(calls: Sequence[Call]) -> list[Reply]:
    """Change clients of one tenant, all or none."""
    patches = {call.path["client_id"]: given_members(call.body) for call in calls}
    if len(patches) < len(calls) or any("is_disabled" in patch for patch in patches.values()):
        return [await change(call) for call in calls]
    changes = {client_id: ClientChanges(**patch) for client_id, patch in patches.items()}
    first = calls[0]
    changed = await change_clients(first.administration, first.path["tenant_id"], changes, if_version=first.if_version)
    return [Reply(show_client(client), client.version) for client in changed]


async def delete(call: Call) -> Reply:
    """Remove a client."""
    return (await delete_many([call]))[0]


async def delete_many(calls: Sequence[Call]) -> list[Reply]:
    """Remove clients of one tenant, all or none."""
    first, client_ids = calls[0], dict.fromkeys(call.path["client_id"] for call in calls)
    if len(client_ids) < len(calls):
        return [await delete(call) for call in calls]
    await remove_clients(first.administration, first.path["tenant_id"], client_ids, if_version=first.if_version)
    return [Reply()] * len(calls)


OPERATIONS: Final = (
    Operation(
        name="listClients",
        method="GET",
        path=CLIENTS,
        permission="clients:read",
        call=list_page,
        summary="List clients, by id",
        query=PageQuery,
        gives=ClientPage,
        example_answer={"items": [EXAMPLE_VIEW], "next": None},
    ),
    Operation(
        name="createClient",
        method="POST",
        path=CLIENTS,
        permission="clients:write",
        call=create,
        call_many=create_many,
        summary="Register a client",
        about="A secret that was made is in this answer and in no other. Nobody gives a client a scope of this API,"
        " or a role, that he has not himself.",
        takes=ClientCreation,
        gives=NewClient,
        success=201,
        is_creation=True,
        problems=("taken", "refused"),
        example={"client_id": "billing", "client_name": "Billing job", "scope": ["invoices.read"]},
        example_answer={**EXAMPLE_VIEW, "client_secret": "mms_JK50q9Jc_J1LlWbspYaSFWu1iUZ..."},
    ),
    Operation(
        name="getClient",
        method="GET",
        path=CLIENT,
        permission="clients:read",
        call=get,
        summary="Get a client",
        gives=ClientView,
        is_versioned=True,
        example_answer=EXAMPLE_VIEW,
    ),
    Operation(
        name="changeClient",
        method="PATCH",
        path=CLIENT,
        permission="clients:write",
        call=change,
        call_many=change_many,
        summary="Change, disable or enable a client",
        about="What is left out stays. Tokens of the client end where its system ends them on such a change, and"
        " always when it is disabled.",
        takes=ClientPatch,
        gives=ClientView,
        is_versioned=True,
        problems=("refused",),
        example={"scope": ["invoices.read", "invoices.write"]},
        example_answer={**EXAMPLE_VIEW, "scope": ["invoices.read", "invoices.write"], "version": 2},
    ),
    Operation(
        name="deleteClient",
        method="DELETE",
        path=CLIENT,
        permission="clients:write",
        call=delete,
        call_many=delete_many,
        summary="Remove a client and its secrets",
        about="Its tokens end at once.",
        success=204,
        is_versioned=True,
    ),
)
