"""How one call is carried out, whether it came alone or in a batch: path, token, tenant, body, verb, in this order."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from mintmark.admin.actor import Actor
from mintmark.admin.administration import Administration, AdministrationError
from mintmark.api.omada.callers import Callers
from mintmark.api.omada.envelope import Refusal
from mintmark.api.omada.operation import Address, Call, Operation, Table, read_address
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
        """Carry out one call and return its result. Raises: Refusal."""
        operation, call = await self._read(asked, administration)
        with refusals_of(operation):
            return await operation.call(call)

    async def dispatch_alike(self, alike: Sequence[Asked], administration: Administration) -> Sequence[object] | None:
        """Carry out calls of one row under one id in one transaction, and return their results.

        The caller is judged once: nothing comes between them.

        Returns: None, when they have to be carried out one by one; nothing has been done then.
        Raises: Refusal: one of them cannot be done, or not with the others; nothing has been done.
        """
        operation, first = await self._read(alike[0], administration)
        if operation.call_many is None:
            return None
        calls = [first]
        for asked in alike[1:]:
            path = self._table.find(read_address(asked.path), asked.method).path
            calls.append(msgspec.structs.replace(first, path=path, body=read_body(operation, asked)))
        with refusals_of(operation):
            return await operation.call_many(calls)

    def find_row(self, method: str, path: str) -> Hashable:
        """Return what tells which calls are of one row under one id; for a path without a row something else."""
        try:
            address = read_address(path)
            return address[:2], self._table.find(address, method).operation.path
        except Refusal:
            return path

    async def _read(self, asked: Asked, administration: Administration) -> tuple[Operation, Call]:
        """Find the row, judge the caller, read the rest. Raises: Refusal."""
        address = read_address(asked.path)
        operation, path = self._table.find(address, asked.method)
        actor, tenant = await self.admit(asked, address)
        query, body = read_query(asked.query), read_body(operation, asked)
        return operation, Call(administration.on_behalf_of(actor), tenant, path, query, body)

    async def admit(self, asked: Asked, address: Address) -> tuple[Actor, TenantRecord]:
        """Return who calls, and the tenant of the path. Raises: Refusal."""
        actor = await self._callers.admit(asked.authorization, source=asked.source, correlation_id=asked.correlation_id)
        return actor, self._callers.require_tenant(actor, address)


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
