"""How one call is carried out, whether it came alone or in a batch: path, token, tenant, body, verb, in this order."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar, cast

import msgspec

from mintmark.admin.administration import Administration, AdministrationError
from mintmark.api.omada.callers import Caller, Callers
from mintmark.api.omada.envelope import Refusal
from mintmark.api.omada.operation import Address, Call, Many, Operation, Table, read_address
from mintmark.dialects.parameters import read_form
from mintmark.protocol.errors import InvalidRequest, SettingsError
from mintmark.store.records import TenantRecord

Wanted = TypeVar("Wanted")


class Asked(msgspec.Struct, frozen=True):
    """One call, before it is judged."""

    method: str
    path: str
    query: bytes
    read_body: Callable[[], object]
    """Returns what the JSON says, `msgspec.UNSET` for none; not called before the caller is known. Raises: Refusal."""
    authorization: bytes | None
    """The header that shows the token; an action of a batch shows its batch's."""
    source: str
    correlation_id: str

    def __repr__(self) -> str:
        """Leave out query, header and body: they carry tokens and passwords."""
        return f"Asked({self.method} {self.path})"


class Dispatcher:
    """Carries out calls."""

    def __init__(self, table: Table, callers: Callers) -> None:
        self._table = table
        self._callers = callers

    async def dispatch(self, asked: Asked, administration: Administration) -> object:
        """Judge who calls, carry out the call and return its result. Raises: Refusal."""
        address = read_address(asked.path)
        # What is not there needs no token.
        self._table.find(address, asked.method)
        caller, _ = await self.admit(asked, address)
        return await self.carry_out(asked, administration.on_behalf_of(caller.actor))

    async def admit(self, asked: Asked, address: Address) -> tuple[Caller, TenantRecord]:
        """Return who calls, and the tenant of the path. Raises: Refusal."""
        shown = asked.authorization
        caller = await self._callers.admit(shown, source=asked.source, correlation_id=asked.correlation_id)
        return caller, self._callers.require_tenant(caller.actor, address)

    async def carry_out(self, asked: Asked, administration: Administration) -> object:
        """Carry out one call on behalf of whoever was judged, and return its result. Raises: Refusal."""
        operation, call = self._read(asked, administration)
        with refusals_of(operation):
            return await operation.call(call)

    async def carry_out_many(self, alike: Sequence[Asked], administration: Administration) -> Sequence[object]:
        """Carry out calls for which `find_many` finds the same, all or none; return their results. Raises: Refusal."""
        operation, _ = self._read(alike[0], administration)
        call_many = cast(Many, operation.call_many)
        with refusals_of(operation):
            return await call_many([self._read(asked, administration)[1] for asked in alike])

    def find_many(self, method: str, path: str) -> Hashable | None:
        """Return what is the same for calls under one id that a verb does at once; None: there is no such verb."""
        try:
            address = read_address(path)
            operation = self._table.find(address, method).operation
        except Refusal:
            return None
        return None if operation.call_many is None else (address[:2], operation.path)

    def _read(self, asked: Asked, administration: Administration) -> tuple[Operation, Call]:
        """Find the row and read the rest. Raises: Refusal."""
        address = read_address(asked.path)
        operation, path = self._table.find(address, asked.method)
        tenant = self._callers.require_tenant(administration.actor, address)
        query, body = read_query(asked.query), read_body(operation, asked)
        return operation, Call(administration, tenant, path, query, body)


@contextmanager
def refusals_of(operation: Operation) -> Iterator[None]:
    """Turn the errors of verbs into what they mean to a row. Raises: Refusal."""
    try:
        yield
    except AdministrationError as error:
        raise operation.refusal(error) from error
    except SettingsError as error:
        raise Refusal("operation_forbidden") from error


def read_query(query: bytes) -> Mapping[str, str]:
    """Read the query; a name that stands twice is refused. Raises: Refusal (`invalid_parameters`)."""
    try:
        return read_form(query) if query else {}
    except InvalidRequest as error:
        raise Refusal("invalid_parameters") from error


def read_body(operation: Operation, asked: Asked) -> object:
    """Read the body by its row's type. Raises: Refusal (`invalid_type`, `invalid_parameters`)."""
    return None if operation.takes is None else convert(asked.read_body(), operation.takes)


def convert(value: object, wanted: type[Wanted]) -> Wanted:
    """Read a JSON value by a type; members that it does not know are ignored, as the vendor does.

    Raises: Refusal (`invalid_parameters`).
    """
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        raise Refusal("invalid_parameters") from error
