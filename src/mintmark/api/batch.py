"""Up to twenty requests in one: each through the same code as alone, each authorised by itself; see `joint`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Annotated, Final, Literal, NamedTuple, cast

import msgspec

from mintmark.admin.actor import Actor, actor_of_token
from mintmark.admin.administration import Administration
from mintmark.api.joint import carry_out_jointly
from mintmark.api.operation import PREFIX, Call, Desk, Found, Operation, Reply, Table, read_path
from mintmark.api.performing import READING, carry_out, carry_out_many, refuse
from mintmark.api.problems import Refusal
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.store.interface import Store
from mintmark.tokens.verification import LiveToken

BATCH_PATH: Final = "/batch"
MAX_ACTIONS: Final = 20
PLAIN: Final[Mapping[bytes, bytes]] = {b"content-type": b"application/json"}
"""The headers of an action that has none of its own."""
MAX_BATCH_OCTETS: Final = 1024 * 1024


class ActionHeaders(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"if_match": "If-Match", "if_none_match": "If-None-Match", "idempotency_key": "Idempotency-Key"},
):
    """The headers that an action may have."""

    if_match: str | None = None
    if_none_match: str | None = None
    idempotency_key: str | None = None


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One request of a batch."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: Annotated[str, msgspec.Meta(pattern="^/", max_length=4096)]
    """With its query, as it stands alone: `/api/v1/tenants/acme/clients?limit=10`."""
    headers: ActionHeaders | None = None
    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests, carried out in their order."""

    actions: Annotated[tuple[Action, ...], msgspec.Meta(min_length=1, max_length=MAX_ACTIONS)]
    interrupt: bool = True
    """The first that fails ends the batch; what was done before it stays done."""


class ActionResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to one action."""

    status: int
    headers: dict[str, str] = {}
    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class BatchAnswer(msgspec.Struct, frozen=True):
    """The answers, in the order of the actions."""

    results: tuple[ActionResult, ...]


def batch_operation(table: Table) -> Operation:
    """Return the row of the batch call over the rows of a table, which does not hold it: no batch within a batch."""

    async def run_batch(call: Call) -> Reply:
        return await run(call, table)

    return Operation(
        name="runBatch",
        method="POST",
        path=BATCH_PATH,
        permission="",
        call=run_batch,
        summary="Carry out up to 20 requests",
        about="Each is authorised by itself, and answered in its place. With `interrupt`, the first failure ends it:"
        " what was done stays done, and what was not begun is answered 424. All are on disk when the answer comes.",
        takes=BatchRequest,
        gives=BatchAnswer,
        problems=("body-too-large",),
        max_body_octets=MAX_BATCH_OCTETS,
        example={
            "actions": [
                {"method": "GET", "path": "/api/v1/tenants/acme"},
                {"method": "POST", "path": "/api/v1/tenants/acme/clients", "body": {"client_name": "Billing job"}},
            ]
        },
    )


class Asked(NamedTuple):
    """An action as a request, and the row that it found, or why it found none."""

    request: HttpRequest
    found: Found | Refusal


async def run(call: Call, table: Table) -> Reply:
    """Carry out a batch's actions one after the other."""
    batch: BatchRequest = call.body
    asked = [read_action(action, table, call.request.source) for action in batch.actions]
    actions = Actions(asked, call.desk, interrupt=batch.interrupt)
    responses = await carry_out_jointly(actions, call.administration)
    responses += [actions.refuse(Refusal("not-attempted"))] * (len(asked) - len(responses))
    return Reply(BatchAnswer(tuple(write_result(response) for response in responses)))


class Actions:
    """Implements `joint.Actions`."""

    def __init__(self, asked: Sequence[Asked], desk: Desk, *, interrupt: bool) -> None:
        self.live = desk.live
        self._asked = asked
        self._desk = desk
        self._interrupt = interrupt

    def __len__(self) -> int:
        return len(self._asked)

    def writes_from(self, place: int) -> bool:
        """Tell whether not all from here on are reading."""
        return any(request.method not in READING for request, _ in self._asked[place:])

    def is_end(self, answer: HttpResponse) -> bool:
        """Tell whether this failure ends the batch."""
        return self._interrupt and answer.status >= 400

    async def admit(self) -> None:
        """Judge the token. Raises: Refusal (`invalid-token`)."""
        self._desk = await self._desk.admit_again()

    async def act(self, store: Store) -> Actor:
        """Return the token's client as it is now. Raises: StoreUnavailable."""
        was = self._desk.administration.actor
        return await actor_of_token(self.live, store.tenants, source=was.source, correlation_id=was.correlation_id)

    async def answer(self, place: int, administration: Administration) -> HttpResponse:
        """Carry out an action as if it had come alone. Raises: whatever `refuse` answers."""
        request, found = self._asked[place]
        if isinstance(found, Refusal):
            raise found
        return await carry_out(found, request, msgspec.structs.replace(self._desk, administration=administration))

    def alike(self, place: int) -> int:
        """Return how many from here on are alike, where their row does many and none may end the caller's token."""
        first = self._asked[place]
        if isinstance(first.found, Refusal) or first.found.operation.call_many is None:
            return 1
        return max(1, len(list(takewhile(partial(is_alike, first, self.live), self._asked[place:]))))

    async def answer_alike(self, place: int, count: int, administration: Administration) -> list[HttpResponse]:
        """Carry out actions that are alike, all or none. Raises: whatever one of them failed of."""
        alike = [(cast(Found, one.found), one.request) for one in self._asked[place : place + count]]
        return await carry_out_many(alike, msgspec.structs.replace(self._desk, administration=administration))

    def refuse(self, error: Exception) -> HttpResponse:
        """Return the problem that answers a failed action."""
        return refuse(error, self._desk.exchange)


def is_alike(first: Asked, live: LiveToken, other: Asked) -> bool:
    """Tell whether two actions differ in their bodies and the names at the end alone, and the other is not the token's.

    What is done to the client or tenant of the token itself is looked at when it is done.
    """
    if isinstance(first.found, Refusal) or isinstance(other.found, Refusal):
        return False
    is_own = other.found.name in {live.tenant_id, live.client_id}
    is_plain = other.request.headers is first.request.headers is PLAIN
    return is_plain and not is_own and other.found.is_like(first.found)


def read_action(action: Action, table: Table, source: str) -> Asked:
    """Return an action as the request that it would be alone."""
    path, _, query = action.path.partition("?")
    body = b"" if action.body is msgspec.UNSET else bytes(action.body)
    request = HttpRequest(action.method, path, query.encode(), read_headers(action.headers), body, source)
    try:
        return Asked(request, find(table, action.method, path))
    except Refusal as refusal:
        return Asked(request, refusal)


def read_headers(headers: ActionHeaders | None) -> Mapping[bytes, bytes]:
    """Return an action's headers as a request has them."""
    if headers is None:
        return PLAIN
    return {**PLAIN, **{name.lower().encode(): value.encode() for name, value in msgspec.to_builtins(headers).items()}}


def find(table: Table, method: str, path: str) -> Found:
    """Return the row of an action. Raises: Refusal (`not-found`, `method-not-allowed`, `invalid-values`)."""
    if path.rstrip("/") == PREFIX + BATCH_PATH:
        raise Refusal("invalid-values", "A batch holds no batch.")
    below = path.removeprefix(PREFIX)
    rows = table.at(below) if path.startswith(PREFIX + "/") else {}
    if not rows:
        raise Refusal("not-found")
    if method not in rows:
        raise Refusal("method-not-allowed", headers=(("allow", ", ".join(sorted(rows))),))
    return Found(rows[method], read_path(rows[method], below))


def write_result(response: HttpResponse) -> ActionResult:
    """Write an answer as a member of the batch's."""
    headers = {name.decode(): value.decode() for name, value in response.headers}
    return ActionResult(response.status, headers, msgspec.Raw(response.body) if response.body else msgspec.UNSET)
