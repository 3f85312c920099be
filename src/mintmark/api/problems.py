"""Refusals of the management API: one closed list, written as problem documents.

RFC: 9457, RFC: 6750 section 3.1.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from mintmark.protocol.errors import MintmarkError
from mintmark.protocol.http import HttpResponse

MEDIA_TYPE: Final = "application/problem+json"
RESOURCE_METADATA: Final = "/.well-known/oauth-protected-resource/api/v1"
TYPE_PREFIX: Final = "urn:mintmark:problem:"


class ProblemRow(NamedTuple):
    """One row of the closed list."""

    status: int
    title: str
    about: str
    """When it is answered, for the page."""
    error: str = ""
    """The error code of its challenge. RFC: 6750 section 3.1."""


PROBLEMS: Final[dict[str, ProblemRow]] = {
    "malformed-request": ProblemRow(400, "The request is malformed.", "The body is no JSON, or a header is wrong."),
    "invalid-query": ProblemRow(400, "The query is wrong.", "A query parameter is unknown, repeated or wrong."),
    "no-token": ProblemRow(401, "No access token was shown.", "The Authorization header holds no Bearer token."),
    "invalid-token": ProblemRow(
        401,
        "The access token is invalid, expired or revoked.",
        "The token is not alive, or not meant for the management API.",
        "invalid_token",
    ),
    "insufficient-scope": ProblemRow(
        403,
        "The access token has less scope than is needed.",
        "The token lacks the operation's permission.",
        "insufficient_scope",
    ),
    "refused": ProblemRow(403, "The caller may not do this.", "It would give more than the caller has itself."),
    "tls-required": ProblemRow(403, "This server is to be reached over TLS only.", "The request came in plain."),
    "not-found": ProblemRow(404, "There is nothing here.", "It is not there, or not within the caller's reach."),
    "method-not-allowed": ProblemRow(405, "The method is not allowed here.", "`Allow` names those that are."),
    "not-acceptable": ProblemRow(406, "Only JSON can be answered.", "`Accept` admits no JSON."),
    "taken": ProblemRow(409, "Something with this name is there already.", "An id, issuer, host or name is taken."),
    "limit-reached": ProblemRow(409, "There are as many as there may be.", "Remove one first."),
    "outdated": ProblemRow(412, "It was changed meanwhile.", "`If-Match` names another version than the present one."),
    "body-too-large": ProblemRow(413, "The request body is too large.", "64 KiB, and 1 MiB for a batch, are allowed."),
    "unsupported-media-type": ProblemRow(415, "The body must be JSON.", "`Content-Type` names another type."),
    "invalid-values": ProblemRow(422, "The request asks for what cannot be.", "`errors` says where and what."),
    "key-reused": ProblemRow(
        422, "This Idempotency-Key stood on another request.", "Take a new key for each creation."
    ),
    "not-attempted": ProblemRow(424, "An action before this one failed.", "Only within a batch with `interrupt`."),
    "internal-error": ProblemRow(500, "The server met an unexpected condition.", "The log has the cause."),
    "unavailable": ProblemRow(503, "The server is not available, try later.", "The database cannot be reached."),
}
EVERYWHERE: Final = (
    "malformed-request",
    "invalid-query",
    "no-token",
    "invalid-token",
    "insufficient-scope",
    "tls-required",
    "not-acceptable",
    "internal-error",
    "unavailable",
)
"""What every operation may answer."""


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong with a request, and where."""

    detail: str
    pointer: str | None = None
    """Where in the body: a JSON pointer as a fragment. RFC: 6901 section 6."""
    parameter: str | None = None
    """Which query parameter or header."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document. RFC: 9457 section 3.1."""

    type: str
    title: str
    status: int
    correlation_id: str
    detail: str | None = None
    errors: tuple[Fault, ...] = ()


class Refusal(MintmarkError):
    """An answer of the closed list.

    Args:
        name: one of PROBLEMS.
        detail: for the caller; never a secret.
    """

    def __init__(
        self,
        name: str,
        detail: str = "",
        *,
        faults: tuple[Fault, ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
        scope: str = "",
    ) -> None:
        super().__init__(name)
        self.name = name
        self.detail = detail
        self.faults = faults
        self.headers = headers
        """Beside those of every answer: a challenge, `Allow`, `Retry-After`."""
        self.scope = scope
        """What would have been enough. RFC: 6750 section 3."""


class Exchange(msgspec.Struct, frozen=True):
    """What an answer says of its request, whatever it is."""

    correlation_id: str
    origin: str
    """Scheme and host under which the caller reached us; empty: the host is no tenant's."""


def write_problem(refusal: Refusal, exchange: Exchange) -> HttpResponse:
    """Write a problem document. RFC: 9457 section 3."""
    row = PROBLEMS[refusal.name]
    problem = Problem(
        type=TYPE_PREFIX + refusal.name,
        title=row.title,
        status=row.status,
        detail=refusal.detail or None,
        correlation_id=exchange.correlation_id,
        errors=refusal.faults,
    )
    headers = (*refusal.headers, *challenge(refusal, exchange))
    named = tuple((name.encode(), value.encode()) for name, value in headers)
    fixed = ((b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store"))
    return HttpResponse(row.status, (*fixed, *named), msgspec.json.encode(problem))


def challenge(refusal: Refusal, exchange: Exchange) -> tuple[tuple[str, str], ...]:
    """Return the challenge of a refusal, or nothing. RFC: 6750 section 3, RFC: 9728 section 5.1."""
    row = PROBLEMS[refusal.name]
    if row.status != 401 and not row.error:
        return ()
    parameters = {"error": row.error, "error_description": row.title} if row.error else {}
    if exchange.origin:
        parameters["resource_metadata"] = exchange.origin + RESOURCE_METADATA
    if refusal.scope:
        parameters["scope"] = refusal.scope
    named = ", ".join(f'{name}="{text}"' for name, text in parameters.items())
    return (("www-authenticate", f"Bearer {named}".rstrip()),)
