"""One row of the Open API's table, and how a method and path find it. Single calls and batches use the same rows."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from mintmark.admin.administration import (
    Administration,
    AdministrationError,
    Malformed,
    Missing,
    PermissionRefused,
)
from mintmark.admin.sites import SiteOutOfReach
from mintmark.api.omada.envelope import Refusal
from mintmark.api.omada.paging import Page, read_page
from mintmark.store.records import TenantRecord

PREFIX: Final = "/openapi/v1"
MSP: Final = "msp"
PARAMETER: Final = re.compile(r"\{(\w+)\}")
"""In a row's path."""

Family = Literal["controller", "msp"]
"""Which of the vendor's two families of paths: `/{omadacId}/...` or `/msp/{mspId}/...`."""

NOT_TOLD: Final[Mapping[type[AdministrationError], str]] = {
    SiteOutOfReach: "site_out_of_reach",
    PermissionRefused: "no_permission",
    Malformed: "invalid_parameters",
    Missing: "unknown_controller",
    AdministrationError: "operation_forbidden",
}
"""What an error of a verb becomes where the row does not say; the first kind that fits."""


class Call(msgspec.Struct, frozen=True):
    """A call that was read by its row's types."""

    administration: Administration
    """On behalf of the application that calls."""
    tenant: TenantRecord
    """The controller, customer or msp that the path names; within the application's reach."""
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any = None

    @property
    def page(self) -> Page:
        """Which part of a list is asked for. Raises: Refusal (`invalid_parameters`)."""
        return read_page(self.query)

    @property
    def tenant_id(self) -> str:
        """The verbs' second argument."""
        return self.tenant.tenant_id


One = Callable[[Call], Awaitable[object]]
"""Carries out a call and returns its result; `msgspec.UNSET` for none."""
Many = Callable[[Sequence[Call]], Awaitable[Sequence[object]]]
"""Does what so many calls of one row under one id would do one after the other, all or none."""


def alone(call_many: Many) -> One:
    """Return what carries out one call as many are carried out."""

    async def call_one(call: Call) -> object:
        return (await call_many([call]))[0]

    return call_one


def by_name(calls: Sequence[Call], parameter: str) -> Mapping[str, Call]:
    """Return calls by what each is about. Raises: Refusal: two are about the same, and so not done at once."""
    named = {call.path[parameter]: call for call in calls}
    if len(named) < len(calls):
        raise Refusal("action_failed")
    return named


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One row."""

    family: Family
    method: str
    path: str
    """Behind the id, with `{parameters}`."""
    call: One
    call_many: Many | None = None
    """For neighbours in a batch, which need but one transaction then."""
    takes: type[msgspec.Struct] | None = None
    told: Mapping[type[AdministrationError], str] = {}
    """What errors of the verb mean here."""

    def refusal(self, error: AdministrationError) -> Refusal:
        """Return what is answered to an error of the verb."""
        rows = (*self.told.items(), *NOT_TOLD.items())
        return Refusal(next(name for kind, name in rows if isinstance(error, kind)))


class Address(NamedTuple):
    """A path below PREFIX, taken apart."""

    family: Family
    identifier: str
    """The `omadacId`, `customerId` or `mspId`."""
    rest: str
    """Behind the id, from its slash on."""


class Found(NamedTuple):
    """A row and the path's parameters."""

    operation: Operation
    path: Mapping[str, str]


class Table:
    """All rows, found by family, method and path."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.operations = tuple(operations)
        self._rows: dict[tuple[Family, str, int], list[tuple[re.Pattern[str], Operation]]] = {}
        for operation in self.operations:
            pattern = re.compile(PARAMETER.sub(r"(?P<\1>[^/]+)", operation.path))
            place = (operation.family, operation.method, operation.path.count("/"))
            self._rows.setdefault(place, []).append((pattern, operation))

    def find(self, address: Address, method: str) -> Found:
        """Return the row of a call; a fixed word of a path comes before a parameter, by the order of the rows.

        Raises: Refusal (`unsupported_path`).
        """
        for pattern, operation in self._rows.get((address.family, method, address.rest.count("/")), ()):
            if (matched := pattern.fullmatch(address.rest)) is not None:
                return Found(operation, matched.groupdict())
        raise Refusal("unsupported_path")


def read_address(path: str) -> Address:
    """Take a path apart. Raises: Refusal (`unsupported_path`)."""
    if not path.startswith(PREFIX + "/"):
        raise Refusal("unsupported_path")
    first, slash, rest = path[len(PREFIX) + 1 :].partition("/")
    family: Family = "controller"
    if first == MSP:
        family = "msp"
        first, slash, rest = rest.partition("/")
    if not first or not slash:
        raise Refusal("unsupported_path")
    return Address(family, first, slash + rest)
