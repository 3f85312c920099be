"""Two writers of a process: a transaction over many registrations, on whatever node, keeps no token waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from mintmark.store.batching import GroupCommit, Measure
from mintmark.store.records import TokenRecord
from mintmark.store.session import REGISTRATIONS, Turn

Result = TypeVar("Result")


class Lanes:
    """Implements `opening.Committer`: what takes the turn of registrations is written beside all else."""

    def __init__(self, tokens: GroupCommit, registrations: GroupCommit) -> None:
        self._tokens = tokens
        self._registrations = registrations

    async def add(self, rows: Sequence[TokenRecord]) -> None:
        """Add tokens, all or none. Raises: as `GroupCommit.add`."""
        await self._tokens.add(rows)

    async def run(
        self,
        work: Callable[[Connection], Result],
        *,
        turns: Sequence[Turn] = (REGISTRATIONS,),
        is_synced: bool = True,
    ) -> Result:
        """Do work in a transaction. Raises: as `GroupCommit.run`."""
        lane = self._registrations if REGISTRATIONS in turns else self._tokens
        return await lane.run(work, turns=turns, is_synced=is_synced)

    async def close(self) -> None:
        """Finish what waits in both."""
        await asyncio.gather(self._tokens.close(), self._registrations.close())

    @property
    def waiting(self) -> int:
        """How many writes wait in both."""
        return self._tokens.waiting + self._registrations.waiting

    @property
    def is_alive(self) -> bool:
        """Whether both would write."""
        return self._tokens.is_alive and self._registrations.is_alive

    @property
    def measure(self) -> Measure:
        """What measures the commits of tokens; that of registrations is no part of what a request waits for."""
        return self._tokens.measure

    @measure.setter
    def measure(self, measure: Measure) -> None:
        """Put another in its place."""
        self._tokens.measure = measure
