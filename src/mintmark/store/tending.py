"""What the rest of the program asks of a store beside its nouns: upkeep, leading, and a look at what writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Upkeep(Protocol):
    """Getting rid of what is past. Each removal is one short transaction: call until it returns 0, with pauses."""

    async def tend_log(self) -> None:
        """See from now on, until the store is closed, to what the database wants done beside its writers.

        A second call does nothing. A store without it is as correct, and slower now and then.
        """

    async def purge(self, now: int, limit: int) -> int:
        """Remove up to `limit` rows whose `expires_at` is `now` or earlier.

        They are tokens, what is kept of JWTs, and answers kept for an idempotency key. Where tokens lie together by
        their expiry, those of one lot go at once when all have expired, and not before.

        Returns: how many rows are gone, a token and its slot being one; of a lot, about how many.
        """

    async def reclaim(self, pages: int, *, keep: int = 0, keep_share: float = 0.0) -> int:
        """Give up to `pages` free pages of the database back to the file system, and return how many.

        Args:
            keep: so many free pages stay, for what is written next,
            keep_share: or this share of all pages, if it is more.
        """


class Leadership(Protocol):
    """For what one process must do for all. Of all processes at most one leads; when it dies, another can."""

    async def try_acquire(self) -> bool:
        """Return whether this process leads from now on, or did already. Never waits."""

    @property
    def is_leading(self) -> bool:
        """Whether this process leads."""

    async def release(self) -> None:
        """Let another process lead. Closing the store does it, too."""


class Writer(Protocol):
    """What can be seen of that which writes, from outside."""

    measure: Callable[[Callable[[], list[object]], int], list[object]]
    """Commits a number of writes by calling what it is given: put another in its place to see how long that takes."""

    @property
    def waiting(self) -> int:
        """How many writes wait."""

    @property
    def is_alive(self) -> bool:
        """Whether anything would be written."""
