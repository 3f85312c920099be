"""The calls on an msp's customers. A customer id is the identifier of the customer's tenant."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta

from mintmark.admin.administration import AdministrationError, LimitReached, Missing, Taken
from mintmark.admin.customers import (
    MAX_DESCRIPTION_LENGTH,
    MAX_NAME_LENGTH,
    CustomerChanges,
    CustomerRequest,
    change_customer,
    create_customer,
    list_customers,
    remove_customer,
    require_customer,
)
from mintmark.api.omada.operation import Call, Operation
from mintmark.api.omada.paging import make_grid
from mintmark.store.records import TenantRecord

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
Description = Annotated[str, Meta(max_length=MAX_DESCRIPTION_LENGTH)]


class NewCustomer(msgspec.Struct, frozen=True, rename="camel"):
    """A customer to make."""

    customer_name: Name
    description: Description = ""


class ChangedCustomer(msgspec.Struct, frozen=True, rename="camel"):
    """What is to change of a customer."""

    customer_name: Name | None = None
    description: Description | None = None


async def list_call(call: Call) -> object:
    """Answer a grid of customers."""
    page = call.page
    total, customers = await list_customers(
        call.administration,
        call.tenant_id,
        containing=call.query.get("searchKey", ""),
        offset=page.offset,
        limit=page.size,
    )
    return make_grid(page, total, [show_customer(one) for one in customers])


async def get_call(call: Call) -> object:
    """Answer one customer."""
    return show_customer(await require_customer(call.administration, call.tenant_id, call.path["customerId"]))


async def create_call(call: Call) -> object:
    """Make a customer."""
    body: NewCustomer = call.body
    request = CustomerRequest(name=body.customer_name, description=body.description)
    return {"customerId": (await create_customer(call.administration, call.tenant_id, request)).identifier}


async def change_call(call: Call) -> object:
    """Change what a customer is called."""
    body: ChangedCustomer = call.body
    changes = CustomerChanges(name=body.customer_name, description=body.description)
    await change_customer(call.administration, call.tenant_id, call.path["customerId"], changes)
    return UNSET


async def remove_call(call: Call) -> object:
    """Remove a customer without sites."""
    await remove_customer(call.administration, call.tenant_id, call.path["customerId"])
    return UNSET


def show_customer(customer: TenantRecord) -> dict[str, Any]:
    """Return a customer as the vendor shows it."""
    return {
        "customerId": customer.identifier,
        "customerName": customer.title,
        "description": customer.description,
    }


TOLD: Final[dict[type[AdministrationError], str]] = {
    Missing: "unknown_controller",
    Taken: "customer_name_taken",
    LimitReached: "customer_has_sites",
}

CUSTOMER_OPERATIONS: Final = tuple(
    Operation(family="msp", method=method, path=path, call=call, takes=takes, told=TOLD)
    for method, path, call, takes in (
        ("GET", "/customers", list_call, None),
        ("POST", "/customers", create_call, NewCustomer),
        ("GET", "/customers/{customerId}", get_call, None),
        ("PATCH", "/customers/{customerId}", change_call, ChangedCustomer),
        ("DELETE", "/customers/{customerId}", remove_call, None),
    )
)
