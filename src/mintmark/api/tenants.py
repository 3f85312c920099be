"""Tenants: list, create, get, change (suspend and resume among it), delete; their scopes and audiences."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec

from mintmark.admin.tenants import (
    OF_THE_DEPLOYMENT,
    TenantChanges,
    TenantRequest,
    change_tenant,
    change_tenants,
    create_tenants,
    list_tenants,
    remove_tenants,
    show_tenant,
)
from mintmark.api.messages import Audiences, Given, Name, Scope, TenantId, TenantView, TokenRuleSet, given_members
from mintmark.api.messages import show_tenant as show
from mintmark.api.operation import Call, Operation, Reply
from mintmark.api.paging import PageQuery, read_cursor, reply_page

TENANTS: Final = "/tenants"
TENANT: Final = TENANTS + "/{tenant_id}"
EXAMPLE_VIEW: Final[Mapping[str, Any]] = {
    "tenant_id": "acme",
    "dialect": "oauth2",
    "issuer": "https://id.example/t/acme",
    "title": "Acme",
    "description": "",
    "hosts": [],
    "identifier": None,
    "is_default": False,
    "is_suspended": False,
    "is_administrative": False,
    "is_msp": False,
    "msp_id": None,
    "allows_registration": False,
    "token_rules": {"lifetime_s": 600},
    "created_at": 1795207683,
    "version": 1,
}

Url = Annotated[str, msgspec.Meta(max_length=2048, examples=["https://id.example/t/acme"])]
Host = Annotated[str, msgspec.Meta(max_length=255, examples=["id.acme.example"])]
Hosts = Annotated[tuple[Host, ...], msgspec.Meta(max_length=100)]
Description = Annotated[str, msgspec.Meta(max_length=1024)]
Identifier = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9._-]{1,128}$")]
Dialect = Annotated[str, msgspec.Meta(max_length=64, examples=["oauth2"])]


class TenantCreation(Given, frozen=True, kw_only=True):
    """A tenant to create."""

    tenant_id: TenantId
    dialect: Dialect
    issuer: Url
    title: Name = ""
    description: Description = ""
    hosts: Hosts = ()
    identifier: Identifier | None = None
    is_default: bool = False
    is_msp: bool = False
    msp_id: TenantId | None = None
    allows_registration: bool = False
    token_rules: TokenRuleSet = TokenRuleSet()


class TenantPatch(Given, frozen=True, kw_only=True):
    """What is to change; the rest stays. RFC: 7396."""

    title: Name | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType = msgspec.UNSET
    issuer: Url | msgspec.UnsetType = msgspec.UNSET
    hosts: Hosts | msgspec.UnsetType = msgspec.UNSET
    is_default: bool | msgspec.UnsetType = msgspec.UNSET
    is_suspended: bool | msgspec.UnsetType = msgspec.UNSET
    is_msp: bool | msgspec.UnsetType = msgspec.UNSET
    msp_id: TenantId | msgspec.UnsetType | None = msgspec.UNSET
    allows_registration: bool | msgspec.UnsetType = msgspec.UNSET
    token_rules: TokenRuleSet | msgspec.UnsetType = msgspec.UNSET


class TenantPage(msgspec.Struct, frozen=True):
    """Tenants, by id."""

    items: tuple[TenantView, ...]
    next: str | None


class ScopeRule(Given, frozen=True):
    """The scope-tokens that exist in a tenant; null: whatever its clients are registered with."""

    scope: Scope | None


class AudienceRule(Given, frozen=True):
    """The audience of tokens whose client has none of its own; null, in a change: what the dialect says."""

    audience: Audiences | None


async def list_page(call: Call) -> Reply:
    """Answer with a page of the tenants within reach."""
    limit, after = call.query.limit, read_cursor(call.query.cursor)
    found = await list_tenants(call.administration, after=after, limit=limit + 1)
    shown = tuple(show(tenant) for tenant in found[:limit])
    return reply_page(call, TenantPage, shown, shown[-1].tenant_id if len(found) > limit else None)


async def create(call: Call) -> Reply:
    """Create a tenant."""
    return (await create_many([call]))[0]


async def create_many(calls: Sequence[Call]) -> list[Reply]:
    """Create tenants, all or none."""
    requests = [TenantRequest(**given_members(call.body)) for call in calls]
    made = await create_tenants(calls[0].administration, requests)
    return [Reply(show(one), one.version, location=f"{TENANTS}/{one.tenant_id}") for one in made]


async def get(call: Call) -> Reply:
    """Answer with a tenant."""
    tenant = await show_tenant(call.administration, call.path["tenant_id"])
    return Reply(show(tenant), tenant.version)


async def change(call: Call) -> Reply:
    """Change a tenant."""
    changes = TenantChanges(**given_members(call.body))
    tenant = await change_tenant(call.administration, call.path["tenant_id"], changes, if_version=call.if_version)
    return Reply(show(tenant), tenant.version)


async def change_many(calls: Sequence[Call]) -> list[Reply]:
    """Change tenants, all or none; at once where none is there twice and nothing of them touches another."""
    patches = {call.path["tenant_id"]: given_members(call.body) for call in calls}
    if len(patches) < len(calls) or any(patch.keys() & OF_THE_DEPLOYMENT for patch in patches.values()):
        return [await change(call) for call in calls]
    changes = {tenant_id: TenantChanges(**patch) for tenant_id, patch in patches.items()}
    return [Reply(show(one), one.version) for one in await change_tenants(calls[0].administration, changes)]


async def delete(call: Call) -> Reply:
    """Remove a tenant."""
    return (await delete_many([call]))[0]


async def delete_many(calls: Sequence[Call]) -> list[Reply]:
    """Remove tenants, all or none."""
    first, tenant_ids = calls[0], dict.fromkeys(call.path["tenant_id"] for call in calls)
    if len(tenant_ids) < len(calls):
        return [await delete(call) for call in calls]
    tenants = [await first.administration.require_tenant(tenant_id) for tenant_id in tenant_ids]
    await remove_tenants(first.administration, tenants, if_version=first.if_version)
    return [Reply()] * len(calls)


def getting(rule: str, kind: type[msgspec.Struct]) -> Callable[[Call], Awaitable[Reply]]:
    """Return what answers with one token rule of a tenant."""

    async def get_rule(call: Call) -> Reply:
        tenant = await call.administration.require_tenant(call.path["tenant_id"])
        rules = await call.administration.require_rules(tenant.tenant_id)
        return Reply(kind(getattr(rules.token, rule)), tenant.version)

    return get_rule


def putting(rule: str, kind: type[msgspec.Struct]) -> Callable[[Call], Awaitable[Reply]]:
    """Return what writes one token rule of a tenant and leaves its others."""

    async def put_rule(call: Call) -> Reply:
        tenant = await call.administration.require_tenant(call.path["tenant_id"])
        wanted = {**tenant.token_rules, rule: getattr(call.body, rule)}
        changes = TenantChanges(token_rules={name: value for name, value in wanted.items() if value is not None})
        # Others may change the other rules meanwhile: what was read must still be there.
        version = tenant.version if call.if_version is None else call.if_version
        await change_tenant(call.administration, tenant.tenant_id, changes, if_version=version)
        return await getting(rule, kind)(call)

    return put_rule


def rule_operations(
    rule: str,
    noun: str,
    *,
    kind: type[msgspec.Struct],
    what: str,
    about_put: str,
    example: list[str],
    about_get: str = "",
) -> tuple[Operation, Operation]:
    """Return the rows that get and put one token rule of a tenant."""
    getting_it = Operation(
        name=f"get{noun.capitalize()}",
        method="GET",
        path=f"{TENANT}/{noun}",
        permission="tenants:read",
        call=getting(rule, kind),
        summary=f"Get {what}",
        about=about_get,
        gives=kind,
        is_versioned=True,
        example_answer={rule: example},
    )
    putting_it = msgspec.structs.replace(
        getting_it,
        name=f"put{noun.capitalize()}",
        method="PUT",
        permission="tenants:write",
        call=putting(rule, kind),
        summary=f"Set {what}",
        about=about_put,
        takes=kind,
        example={rule: example},
    )
    return getting_it, putting_it


OPERATIONS: Final = (
    Operation(
        name="listTenants",
        method="GET",
        path=TENANTS,
        permission="tenants:read",
        call=list_page,
        summary="List the tenants within reach, by id",
        query=PageQuery,
        gives=TenantPage,
        example_answer={"items": [EXAMPLE_VIEW], "next": None},
    ),
    Operation(
        name="createTenant",
        method="POST",
        path=TENANTS,
        permission="tenants:write",
        call=create,
        call_many=create_many,
        summary="Create a tenant with its first keys",
        about="A client of an msp tenant creates customers: with its own tenant as `msp_id`, no hosts, and an issuer"
        " on the msp's origin.",
        takes=TenantCreation,
        gives=TenantView,
        success=201,
        is_creation=True,
        problems=("taken", "refused", "not-found"),
        example={"tenant_id": "acme", "dialect": "oauth2", "issuer": "https://id.example/t/acme"},
        example_answer=EXAMPLE_VIEW,
    ),
    Operation(
        name="getTenant",
        method="GET",
        path=TENANT,
        permission="tenants:read",
        call=get,
        summary="Get a tenant",
        gives=TenantView,
        is_versioned=True,
        example_answer=EXAMPLE_VIEW,
    ),
    Operation(
        name="changeTenant",
        method="PATCH",
        path=TENANT,
        permission="tenants:write",
        call=change,
        call_many=change_many,
        summary="Change, suspend or resume a tenant",
        about="What is left out stays; `token_rules` is replaced whole. A suspended tenant answers as if it were not"
        " there, and its tokens are dead. What touches other tenants is for the administrative tenant's clients.",
        takes=TenantPatch,
        gives=TenantView,
        is_versioned=True,
        problems=("taken", "refused", "limit-reached"),
        example={"is_suspended": True},
        example_answer={**EXAMPLE_VIEW, "is_suspended": True, "version": 2},
    ),
    Operation(
        name="deleteTenant",
        method="DELETE",
        path=TENANT,
        permission="tenants:write",
        call=delete,
        call_many=delete_many,
        summary="Remove a tenant and everything of it",
        about="Its clients, secrets and keys are gone and its tokens dead.",
        success=204,
        is_versioned=True,
        problems=("limit-reached",),
    ),
    *rule_operations(
        "scope",
        "scopes",
        kind=ScopeRule,
        what="the scope-tokens that exist in a tenant",
        about_put="Null: whatever its clients are registered with. The ETag is the tenant's.",
        example=["invoices.read", "invoices.write"],
    ),
    *rule_operations(
        "audience",
        "audiences",
        kind=AudienceRule,
        what="the audience of a tenant's tokens",
        about_get="Of those whose client has no audience of its own."
        " `<issuer>` and `<client_id>` stand for themselves.",
        about_put="Null: what its dialect says. The ETag is the tenant's.",
        example=["https://api.example"],
    ),
)
