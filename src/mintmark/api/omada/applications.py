"""The calls on applications. The vendor publishes none, so these paths and members are our own, in its spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta

from mintmark.admin.administration import AdministrationError, Malformed, Missing
from mintmark.admin.applications import (
    ApplicationChanges,
    ApplicationRequest,
    Privilege,
    change_applications,
    create_applications,
    list_applications,
    remove_applications,
    require_application,
    reset_application_secret,
)
from mintmark.admin.customers import customer_identifiers
from mintmark.admin.privileges import MAX_NAMED
from mintmark.admin.roles import NoSuchRole
from mintmark.api.omada.operation import Call, Family, Operation, alone, by_name
from mintmark.api.omada.paging import make_grid
from mintmark.store.records import ClientRecord

Name = Annotated[str, Meta(min_length=1, max_length=128)]
Names = Annotated[tuple[str, ...], Meta(max_length=MAX_NAMED)]


class NewApplication(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """An application to register, with its role and its site or customer privilege."""

    app_name: Name
    role_id: str
    all_sites: bool = False
    sites: Names = ()
    """Site ids, of a controller."""
    all_customers: bool = False
    customers: Names = ()
    """Customer ids, of an msp."""


class ChangedApplication(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What is to change; a privilege is given as a whole."""

    app_name: Name | None = None
    role_id: str | None = None
    all_sites: bool = False
    sites: Names = ()
    all_customers: bool = False
    customers: Names = ()

    @property
    def names_privilege(self) -> bool:
        """Whether a privilege is given."""
        return bool(self.all_sites or self.sites or self.all_customers or self.customers)


async def list_call(call: Call) -> object:
    """Answer a grid of applications."""
    page = call.page
    total, clients = await list_applications(call.administration, call.tenant_id, offset=page.offset, limit=page.size)
    identifiers = await read_identifiers(call)
    return make_grid(page, total, [show_application(call, client, identifiers) for client in clients])


async def get_call(call: Call) -> object:
    """Answer one application."""
    client = await require_application(call.administration, call.tenant_id, call.path["clientId"])
    return show_application(call, client, await read_identifiers(call))


async def create_many(calls: Sequence[Call]) -> Sequence[object]:
    """Register applications, all or none; the answers show their secrets, the one time."""
    requests = [await read_request(call) for call in calls]
    made = await create_applications(calls[0].administration, calls[0].tenant_id, requests)
    return [{"clientId": one.client.client_id, "clientSecret": one.client_secret.reveal()} for one in made]


async def read_request(call: Call) -> ApplicationRequest:
    """Return an application to register as the verbs take it. Raises: Malformed."""
    body: NewApplication = call.body
    return ApplicationRequest(name=body.app_name, role=body.role_id, privilege=await read_privilege(call, body))


async def change_many(calls: Sequence[Call]) -> Sequence[object]:
    """Change applications, all or none; their tokens die at once."""
    changes = {client_id: await read_changes(call) for client_id, call in by_name(calls, "clientId").items()}
    await change_applications(calls[0].administration, calls[0].tenant_id, changes)
    return [UNSET] * len(calls)


async def read_changes(call: Call) -> ApplicationChanges:
    """Return what is to change of an application as the verbs take it. Raises: Malformed."""
    body: ChangedApplication = call.body
    privilege = await read_privilege(call, body) if body.names_privilege else None
    return ApplicationChanges(name=body.app_name, role=body.role_id, privilege=privilege)


async def remove_many(calls: Sequence[Call]) -> Sequence[object]:
    """Remove applications, all or none; their tokens die at once."""
    await remove_applications(calls[0].administration, calls[0].tenant_id, by_name(calls, "clientId"))
    return [UNSET] * len(calls)


async def reset_call(call: Call) -> object:
    """Replace an application's secret; the answer shows the new one, the one time."""
    client_id = call.path["clientId"]
    secret = await reset_application_secret(call.administration, call.tenant_id, client_id)
    return {"clientId": client_id, "clientSecret": secret.reveal()}


async def read_privilege(call: Call, body: NewApplication | ChangedApplication) -> Privilege:
    """Return the privilege that a body gives. Raises: Malformed (of the other family, or of what is not there)."""
    of_controller, of_msp = (body.all_sites, body.sites), (body.all_customers, body.customers)
    (sees_all, named), foreign = (of_msp, of_controller) if call.tenant.is_msp else (of_controller, of_msp)
    if any(foreign):
        raise Malformed("an msp's privilege names customers, a controller's sites")
    if not call.tenant.is_msp:
        return Privilege(sees_all=sees_all, sites=named)
    tenant_ids = {identifier: tenant_id for tenant_id, identifier in (await read_identifiers(call)).items()}
    if not set(named) <= set(tenant_ids):
        raise Malformed("the privilege names a customer that is not there")
    return Privilege(sees_all=sees_all, customers=tuple(tenant_ids[one] for one in named))


async def read_identifiers(call: Call) -> Mapping[str, str]:
    """Return the customer ids of an msp's customers, as messages name them, by tenant id."""
    return await customer_identifiers(call.administration, call.tenant_id) if call.tenant.is_msp else {}


def show_application(call: Call, client: ClientRecord, identifiers: Mapping[str, str]) -> dict[str, Any]:
    """Return an application, without its secret: that is kept as a hash alone."""
    shown: dict[str, Any] = {
        "clientId": client.client_id,
        "appName": client.client_name,
        "mode": "client",
        "roleId": client.role,
        "enable": not client.is_disabled,
        "createdTime": client.created_at * 1000,
    }
    if call.tenant.is_msp:
        customers = [identifiers[one] for one in client.customers if one in identifiers]
        return {**shown, "allCustomers": client.all_customers, "customers": customers}
    return {**shown, "allSites": client.all_sites, "sites": client.sites}


TOLD: Final[dict[type[AdministrationError], str]] = {
    NoSuchRole: "unknown_role",
    Missing: "unknown_application",
}

FAMILIES: Final[tuple[Family, ...]] = ("controller", "msp")

APPLICATION_OPERATIONS: Final = (
    *(
        Operation(family=family, method=method, path=path, call=call, takes=takes, told=TOLD)
        for family in FAMILIES
        for method, path, call, takes in (
            ("GET", "/applications", list_call, None),
            ("GET", "/applications/{clientId}", get_call, None),
            ("POST", "/applications/{clientId}/reset-secret", reset_call, None),
        )
    ),
    *(
        Operation(family=family, method=method, path=path, call=alone(many), call_many=many, takes=takes, told=TOLD)
        for family in FAMILIES
        for method, path, many, takes in (
            ("POST", "/applications", create_many, NewApplication),
            ("PATCH", "/applications/{clientId}", change_many, ChangedApplication),
            ("DELETE", "/applications/{clientId}", remove_many, None),
        )
    ),
)
