"""A token kept in memory until shortly before it expires, with one fetch at a time however many callers ask.

A fetch that fails fails for all who waited for it: a refused secret is sent once, not once a caller.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Final

import msgspec

from mintmark.protocol.messages import TokenResponse

MARGIN_S: Final = 30.0
MARGIN_SHARE: Final = 0.1
"""A token is renewed 30 s before its end, or a tenth of its life before, whichever is less.

The share matters where a server hands out the same token again with what is left of its life (WSO2).
"""
LONGEST_S: Final = 10 * 365 * 86400

Clock = Callable[[], float]


class HeldToken(msgspec.Struct, frozen=True):
    """A token response and the moment, by a monotonic clock in seconds, at which it was asked for."""

    response: TokenResponse
    asked_at: float

    def remaining_s(self, now: float) -> float:
        """Return the seconds of life left, counted from before the request was sent."""
        return self.asked_at + min(self.response.expires_in, LONGEST_S) - now

    def is_fresh(self, now: float) -> bool:
        """Tell whether the token may still be handed out."""
        margin = min(MARGIN_S, MARGIN_SHARE * self.response.expires_in)
        return self.remaining_s(now) > margin

    def at(self, now: float) -> TokenResponse:
        """Return the response with `expires_in` counted down to now, in whole seconds."""
        return msgspec.structs.replace(self.response, expires_in=max(0, int(self.remaining_s(now))))


class _Shelf:
    """The place for one held token, without a lock of its own."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._held: HeldToken | None = None

    def find(self) -> TokenResponse | None:
        held, now = self._held, self.clock()
        return held.at(now) if held is not None and held.is_fresh(now) else None

    def put(self, response: TokenResponse, asked_at: float) -> None:
        self._held = HeldToken(response, asked_at)

    def drop(self, response: TokenResponse | None) -> None:
        held = self._held
        # The plain comparison is no guess at a secret: the caller was handed the token.
        if held and (response is None or _is_same_token(held.response, response)):
            self._held = None


def _is_same_token(one: TokenResponse, other: TokenResponse) -> bool:
    return one.access_token.reveal() == other.access_token.reveal()


class TokenCache:
    """For threads: `get` returns the held token, or lets one caller fetch while the others wait for that."""

    def __init__(self, fetch: Callable[[], TokenResponse], *, clock: Clock = time.monotonic) -> None:
        self._fetch = fetch
        self._shelf = _Shelf(clock)
        self._lock = threading.Lock()
        self._flight: Future[TokenResponse] | None = None

    def get(self) -> TokenResponse:
        """Return a token that lives for a while yet. Raises: what the fetch raises, to all who waited."""
        with self._lock:
            if (held := self._shelf.find()) is not None:
                return held
            under_way = self._flight
            if under_way is None:
                flight = self._flight = Future()
        return self._fly(flight) if under_way is None else under_way.result()

    def forget(self, response: TokenResponse | None = None) -> None:
        """Drop the held token, or drop it only if it is still the one in this response."""
        with self._lock:
            self._shelf.drop(response)

    def _fly(self, flight: Future[TokenResponse]) -> TokenResponse:
        asked_at = self._shelf.clock()
        try:
            response = self._fetch()
        except BaseException as error:
            self._land(None, asked_at)
            flight.set_exception(error)
            raise
        self._land(response, asked_at)
        flight.set_result(response)
        return response

    def _land(self, response: TokenResponse | None, asked_at: float) -> None:
        with self._lock:
            self._flight = None
            if response is not None:
                self._shelf.put(response, asked_at)


class AsyncTokenCache:
    """For asyncio: as `TokenCache`. A caller that is cancelled leaves the fetch to those who still wait."""

    def __init__(self, fetch: Callable[[], Awaitable[TokenResponse]], *, clock: Clock = time.monotonic) -> None:
        self._fetch = fetch
        self._shelf = _Shelf(clock)
        self._flight: asyncio.Task[TokenResponse] | None = None

    async def get(self) -> TokenResponse:
        """Return a token that lives for a while yet. Raises: what the fetch raises, to all who waited."""
        if (held := self._shelf.find()) is not None:
            return held
        if self._flight is None:
            self._flight = asyncio.ensure_future(self._fly())
            self._flight.add_done_callback(self._land)
        return await asyncio.shield(self._flight)

    def forget(self, response: TokenResponse | None = None) -> None:
        """Drop the held token, or drop it only if it is still the one in this response."""
        self._shelf.drop(response)

    async def _fly(self) -> TokenResponse:
        asked_at = self._shelf.clock()
        response = await self._fetch()
        self._shelf.put(response, asked_at)
        return response

    def _land(self, flight: asyncio.Task[TokenResponse]) -> None:
        self._flight = None
        if not flight.cancelled():
            flight.exception()  # all waiters may be gone; asyncio is not to warn about that
