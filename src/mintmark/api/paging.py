"""Pages by position: a cursor is where the last page ended, so the millionth client costs what the first did.

A cursor holds no secret and no right: who writes his own merely begins elsewhere in what he may read anyway.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec

from mintmark.api.operation import Call, Reply
from mintmark.api.problems import Fault, Refusal

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
MAX_CURSOR: Final = 1400

Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT, description="How many at most.")]
Cursor = Annotated[
    str,
    msgspec.Meta(
        pattern="^[A-Za-z0-9_-]*$", max_length=MAX_CURSOR, description="Where to go on, from the page before. Opaque."
    ),
]


class PageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The query of a list."""

    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor = ""


def write_cursor(position: str) -> str:
    """Return the cursor of a position."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> str:
    """Return the position of a cursor. Raises: Refusal (`invalid-query`)."""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise Refusal("invalid-query", faults=(Fault("It is no cursor of ours.", parameter="cursor"),)) from error


def next_url(call: Call, position: str) -> str:
    """Return the URL, without the host, of the page behind a position, with the filters of this one."""
    query: dict[str, Any] = {**msgspec.to_builtins(call.query), "cursor": write_cursor(position)}
    pairs = {name: value for name, value in query.items() if value is not None and value != ""}
    return f"{call.request.path}?{urlencode(pairs)}"


def reply_page(call: Call, page: type[msgspec.Struct], items: Sequence[Any], position: str | None) -> Reply:
    """Answer with a page, and where the next one is: in the body, and as `Link`. RFC: 8288 section 3.3.

    Args:
        page: a struct of `items` and `next`.
        position: of the last item, when there are more; else None.
    """
    url = None if position is None else next_url(call, position)
    return Reply(page(items, url), link=None if url is None else f'<{url}>; rel="next"')
