"""One row of the API's table: a method and path, the permission, the verb behind it, and what goes in and out.

Routes, the OpenAPI document, the page for people and the batch call are all made from such rows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import msgspec

from mintmark.admin.administration import Administration
from mintmark.api.problems import Exchange
from mintmark.protocol.http import HttpRequest
from mintmark.tokens.verification import LiveToken, TokenVerifier

PREFIX: Final = "/api/v1"
MAX_BODY_OCTETS: Final = 64 * 1024


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of an operation that takes none."""


class Desk(msgspec.Struct, frozen=True):
    """What an operation works on: the verbs on behalf of its caller, and what else they need of this process."""

    administration: Administration
    verifier: TokenVerifier
    exchange: Exchange
    live: LiveToken
    """The caller's token."""
    admit_again: Callable[[], Awaitable[Desk]]
    """Judges the token anew, since what was done meanwhile may have ended it; returns a desk for what is next.

    Raises: Refusal.
    """


class Call(msgspec.Struct, frozen=True):
    """A request that was read by its row's types."""

    desk: Desk
    path: Mapping[str, str]
    """The path's parameters, decoded."""
    query: Any
    body: Any
    if_version: int | None
    """The version that `If-Match` names; None: any."""
    request: HttpRequest

    @property
    def administration(self) -> Administration:
        """The verbs' first argument."""
        return self.desk.administration


class Reply(msgspec.Struct, frozen=True):
    """What an operation answers, before it is encoded."""

    content: Any = None
    version: int | None = None
    """Becomes the ETag."""
    location: str | None = None
    """Where that which was made is, below PREFIX."""
    link: str | None = None
    """A `Link` header. RFC: 8288."""


Many = Callable[[Sequence[Call]], Awaitable[list[Reply]]]
"""Does what as many calls do one after the other, all or none, whose paths differ in a parameter at the end alone."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One row."""

    name: str
    """Its `operationId`, in camel case, as generated clients name their methods by it."""
    method: str
    path: str
    """Below PREFIX, with `{parameters}`."""
    permission: str
    """The scope-token that the caller's token must hold; empty: any live management token will do."""
    call: Callable[[Call], Awaitable[Reply]]
    summary: str
    call_many: Many | None = None
    """For neighbours in a batch."""
    about: str = ""
    query: type[msgspec.Struct] = NoQuery
    takes: type[msgspec.Struct] | None = None
    gives: type[msgspec.Struct] | None = None
    success: int = 200
    is_versioned: bool = False
    """Its answer has an ETag; a change minds `If-Match`."""
    is_creation: bool = False
    """It minds `Idempotency-Key`."""
    problems: tuple[str, ...] = ()
    """What it may answer beside what every operation may, by the names of `problems.PROBLEMS`."""
    example: Mapping[str, Any] | None = None
    """A body that it takes."""
    example_answer: Mapping[str, Any] | None = None
    max_body_octets: int = MAX_BODY_OCTETS

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in the path, in their order."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @property
    def noun(self) -> str:
        """What it is about: the last word of its path that is no parameter and no verb, for a page's headings."""
        return self.call.__module__.rpartition(".")[2]


class Found(NamedTuple):
    """A row and the path's parameters."""

    operation: Operation
    path: Mapping[str, str]

    @property
    def name(self) -> str:
        """The parameter at the path's end: what it is about. Empty: the path ends in a word."""
        return tuple(self.path.values())[-1] if self.operation.path.endswith("}") else ""

    def is_like(self, other: Found) -> bool:
        """Tell whether it differs from another in the name alone."""
        names, others = tuple(self.path.values()), tuple(other.path.values())
        is_around = bool(self.name) and names[:-1] == others[:-1]
        return self.operation is other.operation and (names == others or is_around)


class Place(msgspec.Struct):
    """A point on the way along paths: where the next part leads, and what can be done here, by method."""

    parts: dict[str, Place] = {}
    parameter: Place | None = None
    rows: dict[str, Operation] = {}


class Table:
    """All rows, found by path."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.operations = tuple(operations)
        self._root = Place()
        for operation in self.operations:
            place = self._root
            for part in operation.path.split("/"):
                if not part.startswith("{"):
                    place = place.parts.setdefault(part, Place())
                else:
                    place.parameter = place.parameter or Place()
                    place = place.parameter
            place.rows[operation.method] = operation

    def at(self, path: str) -> Mapping[str, Operation]:
        """Return the rows at a path below PREFIX, still percent-encoded, by method; nothing: an empty mapping."""
        place = self._root
        for part in path.split("/"):
            # A parameter is never empty.
            place_below = place.parts.get(part) or (place.parameter if part else None)
            if place_below is None:
                return {}
            place = place_below
        return place.rows


def read_path(operation: Operation, path: str) -> dict[str, str]:
    """Return the parameters of a path, each decoded by itself: an id may hold a slash."""
    pairs = zip(operation.path.split("/"), path.split("/"), strict=True)
    return {part[1:-1]: unquote(given) for part, given in pairs if part.startswith("{")}
