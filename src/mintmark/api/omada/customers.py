"""The calls on an msp's customers. A customer id is the identifier of the customer's tenant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta

from mintmark.admin.administration import AdministrationError, LimitReached, Missing, Taken
from mintmark.admin.customers import (
    MAX_DESCRIPTION_LENGTH,
    MAX_NAME_LENGTH,
    CustomerChanges,
    CustomerRequest,
    change_customers,
    create_customers,
    list_customers,
    remove_customers,
    require_customer,
)
from mintmark.api.omada.operation import Call, Operation, alone, by_name
from mintmark.api.omada.paging import make_grid
from mintmark.store.records import TenantRecord

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
Description = Annotated[str, Meta(max_length=MAX_DESCRIPTION_LENGTH)]


class NewCustomer(msgspec.Struct, frozen=True, rename="camel"):
    """A customer to make."""

    customer_name: Name
    description: Description = ""

    def request(self) -> CustomerRequest:
        """Return it as the verbs take it."""
        return CustomerRequest(name=self.customer_name, description=self.description)


class ChangedCustomer(msgspec.Struct, frozen=True, rename="camel"):
    """What is to change of a customer."""

    customer_name: Name | None = None
    description: Description | None = None

    def changes(self) -> CustomerChanges:
        """Return it as the verbs take it."""
        return CustomerChanges(name=self.customer_name, description=self.description)


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


async def create_many(calls: Sequence[Call]) -> Sequence[object]:
    """Make customers, all or none."""
    requests = [call.body.request() for call in calls]
    made = await create_customers(calls[0].administration, calls[0].tenant_id, requests)
    return [{"customerId": customer.identifier} for customer in made]


async def change_many(calls: Sequence[Call]) -> Sequence[object]:
    """Change what customers are called, all or none."""
    changes = {customer_id: call.body.changes() for customer_id, call in by_name(calls, "customerId").items()}
    await change_customers(calls[0].administration, calls[0].tenant_id, changes)
    return [UNSET] * len(calls)


async def remove_many(calls: Sequence[Call]) -> Sequence[object]:
    """Remove customers without sites, all or none."""
    await remove_customers(calls[0].administration, calls[0].tenant_id, by_name(calls, "customerId"))
    return [UNSET] * len(calls)


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

CUSTOMER_OPERATIONS: Final = (
    *(
        Operation(family="msp", method="GET", path=path, call=call, told=TOLD)
        for path, call in (("/customers", list_call), ("/customers/{customerId}", get_call))
    ),
    *(
        Operation(family="msp", method=method, path=path, call=alone(many), call_many=many, takes=takes, told=TOLD)
        for method, path, many, takes in (
            ("POST", "/customers", create_many, NewCustomer),
            ("PATCH", "/customers/{customerId}", change_many, ChangedCustomer),
            ("DELETE", "/customers/{customerId}", remove_many, None),
        )
    ),
)
