"""What an error shows of itself."""

from __future__ import annotations

from collections.abc import Iterator


def causes_of(error: BaseException | None) -> Iterator[str]:
    """What a log may show of an error and all that led to it."""
    while error is not None:
        yield f"{error} {error!r}"
        error = error.__cause__ or error.__context__
