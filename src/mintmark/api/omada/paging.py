"""The vendor's grids: `page` and `pageSize` are both required, and an answer says how many rows there are in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from mintmark.api.omada.envelope import Refusal

MAX_PAGE_SIZE: Final = 1000
MAX_DIGITS: Final = 9


class Page(msgspec.Struct, frozen=True):
    """Which part of a list is asked for."""

    number: int
    """From 1."""
    size: int
    """From 1 to 1000."""

    @property
    def offset(self) -> int:
        """How many rows come before it."""
        return (self.number - 1) * self.size


class Grid(msgspec.Struct, frozen=True, rename="camel"):
    """A part of a list."""

    total_rows: int
    current_page: int
    current_size: int
    """The size that was asked for, however many rows there are."""
    data: Sequence[Any]


def read_page(query: Mapping[str, str]) -> Page:
    """Read which part is asked for. Raises: Refusal (`invalid_parameters`)."""
    page = Page(_read_number(query.get("page", "")), _read_number(query.get("pageSize", "")))
    if page.number < 1 or not 1 <= page.size <= MAX_PAGE_SIZE:
        raise Refusal("invalid_parameters")
    return page


def _read_number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > MAX_DIGITS:
        raise Refusal("invalid_parameters")
    return int(text)


def make_grid(page: Page, total: int, data: Sequence[Any]) -> Grid:
    """Wrap a part of a list."""
    return Grid(total, page.number, page.size, data)
