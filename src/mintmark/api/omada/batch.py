"""Up to twenty calls in one: each goes through the same code as alone, is authorised by itself, and has its envelope.

What an action did stays done when a later one fails. All of it is on disk when the answer comes, by one sync.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import takewhile
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import unquote

import msgspec
import structlog

from mintmark.admin.actor import Actor
from mintmark.admin.administration import Administration
from mintmark.api.omada.callers import Callers
from mintmark.api.omada.dispatching import Asked, Dispatcher, convert
from mintmark.api.omada.envelope import Envelope, Refusal, refuse, succeed
from mintmark.api.omada.operation import Address, read_address

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


class Desk(NamedTuple):
    """What all actions of a batch share."""

    asked: Asked
    within: Address
    actor: Actor
    """Who called at the beginning. What each action may do is judged anew."""
    administration: Administration
    """Whose writes are synced together."""


class BatchCall:
    """Carries out batches."""

    def __init__(self, dispatcher: Dispatcher, callers: Callers) -> None:
        self._dispatcher = dispatcher
        self._callers = callers

    async def run(self, asked: Asked, address: Address, administration: Administration) -> BatchResult:
        """Carry out a batch. Raises: Refusal (for the batch as a whole), StoreUnavailable (nothing is promised)."""
        actor, _ = await self._dispatcher.admit(asked, address)
        batch = convert(asked.read_body(), Batch)
        desk = Desk(asked, address, actor, administration.unsynced())
        envelopes: list[Envelope] = []
        while len(envelopes) < len(batch.actions):
            if batch.interrupt and envelopes and envelopes[-1].error_code != 0:
                envelopes.append(refuse("interrupted"))
            else:
                rest = batch.actions[len(envelopes) :]
                alike = list(takewhile(partial(self._is_alike, rest[0]), rest))
                together = await self._answer_together(alike, desk) if len(alike) > 1 else None
                envelopes += together or await self._answer_each(alike, desk, interrupt=batch.interrupt)
        await administration.store.sync()
        return BatchResult(tuple(envelopes))

    async def _answer_together(self, alike: Sequence[Action], desk: Desk) -> list[Envelope] | None:
        """Carry out alike actions in one transaction; None if any of them fails, and then none has been done."""
        with suppress(Exception):  # whatever it was: one by one it comes again, and is told or logged
            asked = [self._read(action, desk) for action in alike]
            results = await self._dispatcher.dispatch_alike(asked, desk.administration)
            return None if results is None else [succeed(result) for result in results]
        return None

    async def _answer_each(self, alike: Sequence[Action], desk: Desk, *, interrupt: bool) -> list[Envelope]:
        """Carry out actions one after the other, with `interrupt` up to the first that fails."""
        envelopes: list[Envelope] = []
        for action in alike:
            envelopes.append(await self._answer(action, desk))
            if interrupt and envelopes[-1].error_code != 0:
                break
        return envelopes

    async def _answer(self, action: Action, desk: Desk) -> Envelope:
        """Answer one action; whatever comes of it, the batch goes on to tell it."""
        try:
            return succeed(await self._dispatcher.dispatch(self._read(action, desk), desk.administration))
        except Refusal as error:
            return refuse(error.name)
        except Exception:
            log.error("batch_action_failed", correlation_id=desk.asked.correlation_id, exc_info=True)
            return refuse("action_failed")

    def _read(self, action: Action, desk: Desk) -> Asked:
        """Return an action as the call that it would be alone. Raises: Refusal (`unsupported_path`)."""
        path = unquote(action.path)
        self._require_allowed(action.method, read_address(path), desk.within, desk.actor)
        return msgspec.structs.replace(
            desk.asked,
            method=action.method,
            path=path,
            query=(action.query or "").encode(),
            read_body=partial(read_action_body, action.body),
        )

    def _is_alike(self, first: Action, other: Action) -> bool:
        """Tell whether two actions are of one row under one id."""
        if (first.method, first.query) != (other.method, other.query):
            return False
        find = self._dispatcher.find_row
        return find(first.method, unquote(first.path)) == find(other.method, unquote(other.path))

    def _require_allowed(self, method: str, address: Address, within: Address, actor: Actor) -> None:
        """Make sure that an action is of its batch: the same id, or a customer of the batch's msp.

        A path that names a customer beyond the caller's reach is refused as one that names none.

        Raises: Refusal (`unsupported_path`).
        """
        is_same = address[:2] == within[:2]
        is_customers = within.family == "msp" and self._callers.finds_tenant(actor, address)
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
