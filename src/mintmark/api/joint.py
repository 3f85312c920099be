"""How the actions of a batch share a transaction: each is a part of it, which is undone by itself where it fails.

Others' writes wait meanwhile. So after HELD_S a transaction is ended and another begun, and what takes long by itself
is done alone, between two of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final, Protocol, TypeVar

from mintmark.admin.actor import Actor
from mintmark.admin.administration import Administration, NotShared
from mintmark.admin.standing import Standing
from mintmark.protocol.errors import StoreUnavailable
from mintmark.store.interface import Store
from mintmark.tokens.verification import LiveToken

HELD_S: Final = 0.05
"""After so long no further action begins in a transaction; the one in hand is finished."""
RESTS_S: Final = 0.002
"""So often the event loop is given to others."""

Answer = TypeVar("Answer")


class Actions(Protocol[Answer]):
    """The actions of one batch, by their places from 0, and whoever asks for them."""

    live: LiveToken
    """The token of the batch, and so of each action."""

    def __len__(self) -> int: ...

    def writes_from(self, place: int) -> bool:
        """Tell whether an action at this place or behind it may change anything."""

    def is_end(self, answer: Answer) -> bool:
        """Tell whether nothing is to be done behind this answer."""

    async def admit(self) -> None:
        """Judge the token as for any call. Raises: the refusal."""

    async def act(self, store: Store) -> Actor:
        """Return whose act the next action is: the token's client as it is now. Raises: StoreUnavailable."""

    async def answer(self, place: int, administration: Administration) -> Answer:
        """Carry out an action. Raises: whatever it failed of."""

    def alike(self, place: int) -> int:
        """Return how many actions from this place on a verb does at once; 1: it does them one by one."""

    async def answer_alike(self, place: int, count: int, administration: Administration) -> Sequence[Answer]:
        """Carry out so many at once, all or none. Raises: whatever one of them failed of."""

    def refuse(self, error: Exception) -> Answer:
        """Return the answer to a failed action."""


async def carry_out_jointly(actions: Actions[Answer], administration: Administration) -> list[Answer]:
    """Carry out actions in their order, up to the first whose answer is an end; return the answers.

    Raises: StoreUnavailable, and that nothing was done.
    """
    answers: list[Answer] = []
    while len(answers) < len(actions) and not (answers and actions.is_end(answers[-1])):
        try:
            answers += await _take_some(actions, len(answers), administration)
        except StoreUnavailable as error:
            if not answers:
                raise
            answers.append(actions.refuse(error))
    return answers


async def _take_some(actions: Actions[Answer], first: int, administration: Administration) -> list[Answer]:
    """Carry out as many actions as share one transaction, or one that shares none."""
    begun = administration.together() if actions.writes_from(first) else nullcontext(administration)
    try:
        return await _take(actions, range(first, len(actions)), begun)
    except NotShared:
        return await _take(actions, range(first, first + 1), nullcontext(administration))


async def _take(
    actions: Actions[Answer], places: range, begun: AbstractAsyncContextManager[Administration]
) -> list[Answer]:
    """Carry out actions in what has begun, until one is an end, or time is up, or the caller is another than before.

    Raises: NotShared (of the first action), StoreUnavailable (nothing was done).
    """
    answers: list[Answer] = []
    try:
        async with begun as shared:
            standing = await Standing.look(shared.store, actions.live)
            await actions.admit()
            ends, rests = time.monotonic() + HELD_S, time.monotonic() + RESTS_S
            acting = shared.on_behalf_of(await actions.act(shared.store))
            while True:
                try:
                    answers += await _answer(actions, places[len(answers)], acting)
                except NotShared:
                    if not answers:
                        raise
                    break
                if time.monotonic() > rests:
                    await asyncio.sleep(0)
                    rests = time.monotonic() + RESTS_S
                if actions.is_end(answers[-1]) or time.monotonic() > ends or len(answers) == len(places):
                    break
                of_issuers = standing.revisions[1]
                if not await standing.holds(shared.clock()):
                    break
                # Another tenant may be the msp's new customer, and so within reach.
                if standing.revisions[1] != of_issuers:
                    acting = shared.on_behalf_of(await actions.act(shared.store))
    except (NotShared, StoreUnavailable):
        raise
    except Exception as error:
        return [actions.refuse(error)] * max(1, len(answers))
    return answers


async def _answer(actions: Actions[Answer], place: int, administration: Administration) -> Sequence[Answer]:
    """Carry out the next action, or with it those behind it that its verb does at once: a part of the transaction.

    Raises: StoreUnavailable (it is gone), NotShared.
    """
    count = actions.alike(place) if administration.is_together else 1
    if count > 1:
        try:
            async with administration.together() as part:
                return await actions.answer_alike(place, count, part)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: S110 - one by one it comes again, and each is answered for itself
            pass
    try:
        async with administration.together() if administration.is_together else nullcontext(administration) as part:
            return [await actions.answer(place, part)]
    except (StoreUnavailable, NotShared):
        raise
    except Exception as error:
        return [actions.refuse(error)]
