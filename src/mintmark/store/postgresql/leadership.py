"""Which node leads: the one whose session holds the leader's advisory lock. When its node dies, the server frees it."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from mintmark.protocol.errors import StoreError
from mintmark.store.faults import read_fault
from mintmark.store.postgresql.connection import Link
from mintmark.store.session import OPENED_ELSEWHERE

LEADER: Final = 0x6D696E746D61726B
TRY: Final = f"SELECT pg_try_advisory_lock({LEADER})"
LOOK: Final = "SELECT 1"
HELD: Final = "is_leading"


class SessionLeadership:
    """Implements `interface.Leadership` by a lock of a session that is kept for it alone."""

    def __init__(self, engine: Engine) -> None:
        """Prepare to lead; nothing is connected before the first attempt."""
        self._link = Link(engine)
        self._is_leading = False
        self._one_at_a_time = asyncio.Lock()
        self._process = os.getpid()

    async def try_acquire(self) -> bool:
        """Return whether this process leads from now on, or did already. Raises: StoreUnavailable, StoreError."""
        if self._process != os.getpid():
            raise StoreError(OPENED_ELSEWHERE)
        async with self._one_at_a_time:
            self._is_leading = await asyncio.to_thread(self._try)
        return self._is_leading

    @property
    def is_leading(self) -> bool:
        """Whether this process led when it last looked."""
        return self._is_leading

    async def release(self) -> None:
        """Let another lead. Nothing happens where this process does not."""
        self._is_leading = False
        if self._process == os.getpid():
            async with self._one_at_a_time:
                await asyncio.to_thread(self._link.drop)

    def _try(self) -> bool:
        """Ask the server, also where this process leads: with its session it would have lost the lock."""
        self._is_leading = False
        connection = self._link.live()
        try:
            if HELD in connection.info:
                connection.exec_driver_sql(LOOK)
                return True
            is_won = bool(connection.exec_driver_sql(TRY).scalar_one())
        except DBAPIError as error:
            self._link.drop()
            raise read_fault(error) from error
        if is_won:
            connection.info[HELD] = True
        return is_won
