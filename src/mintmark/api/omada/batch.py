"""Up to twenty calls in one: each goes through the same code as alone, is authorised by itself, and has its envelope.

What an action did stays done when a later one fails. How they share a transaction, `joint` tells.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from itertools import takewhile
from typing import Annotated, Any, Final
from urllib.parse import unquote

import msgspec
import structlog

from mintmark.admin.actor import Actor
from mintmark.admin.administration import Administration
from mintmark.admin.applications import act_as_application
from mintmark.api.joint import carry_out_jointly
from mintmark.api.omada.callers import Caller, Callers
from mintmark.api.omada.dispatching import Asked, Dispatcher, convert
from mintmark.api.omada.envelope import Envelope, Refusal, refuse, succeed
from mintmark.api.omada.operation import Address, read_address
from mintmark.protocol.errors import StoreUnavailable
from mintmark.store.interface import Store

MAX_ACTIONS: Final = 20
METHODS: Final = frozenset({"POST", "PATCH", "PUT", "DELETE"})
"""The published values. A batch changes; reading has calls of its own that page."""
BATCH_PATH: Final = "/batch"

log = structlog.get_logger()


class Action(msgspec.Struct, frozen=True):
    """One call of a batch."""

    method: str
    path: str
    query: str | None = None
    body: Any = msgspec.UNSET
    """A JSON object, or a string that holds one: the vendor's text says the one, its schema and SDKs the other."""


class Batch(msgspec.Struct, frozen=True):
    """What a batch asks for."""

    actions: Annotated[tuple[Action, ...], msgspec.Meta(min_length=1, max_length=MAX_ACTIONS)]
    interrupt: bool = True
    """Whether the first failing action ends it."""


class BatchResult(msgspec.Struct, frozen=True):
    """An envelope for each action, in their order."""

    response: tuple[Envelope, ...]


class BatchCall:
    """Carries out batches."""

    def __init__(self, dispatcher: Dispatcher, callers: Callers) -> None:
        self._dispatcher = dispatcher
        self._callers = callers

    async def run(self, asked: Asked, address: Address, administration: Administration) -> BatchResult:
        """Carry out a batch. Raises: Refusal (for the batch as a whole), StoreUnavailable (nothing was done)."""
        caller, _ = await self._dispatcher.admit(asked, address)
        batch = convert(asked.read_body(), Batch)
        actions = Actions(batch, asked, address, caller=caller, dispatcher=self._dispatcher, callers=self._callers)
        envelopes = await carry_out_jointly(actions, administration)
        envelopes += [refuse("interrupted")] * (len(batch.actions) - len(envelopes))
        return BatchResult(tuple(envelopes))


class Actions:
    """Implements `joint.Actions`."""

    def __init__(
        self, batch: Batch, asked: Asked, within: Address, *, caller: Caller, dispatcher: Dispatcher, callers: Callers
    ) -> None:
        self.live = caller.live
        self._batch = batch
        self._asked = asked
        self._within = within
        self._caller = caller
        self._dispatcher = dispatcher
        self._callers = callers

    def __len__(self) -> int:
        return len(self._batch.actions)

    def writes_from(self, place: int) -> bool:
        """All change something."""
        return True

    def is_end(self, answer: Envelope) -> bool:
        """Tell whether this failure ends the batch."""
        return self._batch.interrupt and answer.error_code != 0

    async def admit(self) -> None:
        """Judge the token. Raises: Refusal (`expired_token`, `invalid_token`)."""
        self._caller, _ = await self._dispatcher.admit(self._asked, self._within)

    async def act(self, store: Store) -> Actor:
        """Return the token's application as it is now. Raises: StoreUnavailable."""
        return await act_as_application(
            self.live,
            self._caller.client,
            tenant=self._caller.tenant,
            store=store,
            source=self._asked.source,
            correlation_id=self._asked.correlation_id,
        )

    async def answer(self, place: int, administration: Administration) -> Envelope:
        """Carry out an action as if it had come alone. Raises: Refusal, and whatever is a fault of ours."""
        asked = self._read(self._batch.actions[place], administration.actor)
        return succeed(await self._dispatcher.carry_out(asked, administration))

    def alike(self, place: int) -> int:
        """Return how many from here on are of one row under one id, where it does many, none of them on the caller."""
        rows = map(self._find_many, self._batch.actions[place:])
        first = next(rows)
        return 1 if first is None else 1 + len(list(takewhile(lambda row: row == first, rows)))

    async def answer_alike(self, place: int, count: int, administration: Administration) -> list[Envelope]:
        """Carry out actions that are alike, all or none. Raises: whatever one of them failed of."""
        alike = [self._read(one, administration.actor) for one in self._batch.actions[place : place + count]]
        return [succeed(result) for result in await self._dispatcher.carry_out_many(alike, administration)]

    def refuse(self, error: Exception) -> Envelope:
        """Return the envelope of a failed action; of a fault of ours the log has the cause."""
        if isinstance(error, Refusal):
            return refuse(error.name)
        log.error("batch_action_failed", correlation_id=self._asked.correlation_id, exc_info=error)
        return refuse("unavailable" if isinstance(error, StoreUnavailable) else "action_failed")

    def _find_many(self, action: Action) -> Hashable | None:
        """As `Dispatcher.find_many`. What is done to the caller itself is looked at when it is done."""
        path = unquote(action.path)
        is_own = path.endswith(f"/{self.live.client_id}")
        return None if action.query or is_own else self._dispatcher.find_many(action.method, path)

    def _read(self, action: Action, actor: Actor) -> Asked:
        """Return an action as the call that it would be alone. Raises: Refusal (`unsupported_path`)."""
        path = unquote(action.path)
        self._require_allowed(action.method, read_address(path), actor)
        return msgspec.structs.replace(
            self._asked,
            method=action.method,
            path=path,
            query=(action.query or "").encode(),
            read_body=partial(read_action_body, action.body),
        )

    def _require_allowed(self, method: str, address: Address, actor: Actor) -> None:
        """Make sure that an action is of its batch: the same id, or a customer of the batch's msp.

        A path that names a customer beyond the caller's reach is refused as one that names none.

        Raises: Refusal (`unsupported_path`).
        """
        is_same = address[:2] == self._within[:2]
        is_customers = self._within.family == "msp" and self._callers.finds_tenant(actor, address)
        if method not in METHODS or not (is_same or is_customers):
            raise Refusal("unsupported_path")


def read_action_body(body: object) -> object:
    """Return an action's body as JSON says it, also where it was written into a string.

    Raises: Refusal (`invalid_parameters`).
    """
    if isinstance(body, str):
        try:
            body = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise Refusal("invalid_parameters") from error
    if body is None or body is msgspec.UNSET or isinstance(body, dict):
        return body
    raise Refusal("invalid_parameters")
