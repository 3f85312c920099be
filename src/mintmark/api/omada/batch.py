"""Up to twenty calls in one: each goes through the same code as alone, is authorised by itself, and has its envelope.

What an action did stays done when a later one fails. All of it is on disk when the answer comes, by one sync.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Final
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


class BatchCall:
    """Carries out batches."""

    def __init__(self, dispatcher: Dispatcher, callers: Callers) -> None:
        self._dispatcher = dispatcher
        self._callers = callers

    async def run(self, asked: Asked, address: Address, administration: Administration) -> BatchResult:
        """Carry out a batch. Raises: Refusal (for the batch as a whole), StoreUnavailable (nothing is promised)."""
        actor, _ = await self._dispatcher.admit(asked, address)
        batch = convert(asked.read_body(), Batch)
        unsynced = administration.unsynced()
        envelopes: list[Envelope] = []
        for action in batch.actions:
            if batch.interrupt and envelopes and envelopes[-1].error_code != 0:
                envelopes.append(refuse("interrupted"))
            else:
                envelopes.append(await self._answer(action, asked, address, actor, unsynced))
        await administration.store.sync()
        return BatchResult(tuple(envelopes))

    async def _answer(
        self, action: Action, asked: Asked, within: Address, actor: Actor, administration: Administration
    ) -> Envelope:
        """Answer one action; whatever comes of it, the batch goes on to tell it."""
        try:
            path = unquote(action.path)
            self._require_allowed(action.method, read_address(path), within, actor)
            alone = msgspec.structs.replace(
                asked,
                method=action.method,
                path=path,
                query=(action.query or "").encode(),
                read_body=partial(read_action_body, action.body),
            )
            return succeed(await self._dispatcher.dispatch(alone, administration))
        except Refusal as error:
            return refuse(error.name)
        except Exception:
            log.error("batch_action_failed", correlation_id=asked.correlation_id, exc_info=True)
            return refuse("action_failed")

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
