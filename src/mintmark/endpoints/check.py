"""A resource of our own: show a token, and hear whether it will do. For `auth_request` of nginx and its like.

RFC: 6750, RFC: 9728.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mintmark.dialects.parameters import read_form
from mintmark.endpoints.protection import Protection
from mintmark.endpoints.route import Route
from mintmark.protocol.errors import REASONS, OAuthError
from mintmark.protocol.http import HttpRequest, HttpResponse

HEADERS: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
REFUSED: Final = 400


class CheckEndpoint:
    """Answers 200 to a live token (with `?scope=`: one that has that scope), else the dialect's refusal."""

    def __init__(self, protection: Protection) -> None:
        self._protection = protection

    async def handle(self, request: HttpRequest, route: Route) -> HttpResponse:
        """Check the token that the request shows, and say in headers and body whose it is."""
        try:
            wanted = read_form(request.query).get("scope", "").split() if request.query else []
            live = await self._protection.require_token(request, route, tuple(wanted))
        except OAuthError as error:
            return with_telling_status(self._protection.refuse(error, route), error)
        members = {"client_id": live.client_id, "scope": live.scope, "aud": live.audience, "exp": live.expires_at}
        names = ((b"x-client-id", live.client_id.encode()), (b"x-scope", live.scope.encode()))
        return HttpResponse(200, (*HEADERS, *names), msgspec.json.encode(members))


def with_telling_status(answer: HttpResponse, error: OAuthError) -> HttpResponse:
    """Give a refusal that its dialect sends with 200 the reason's own status: a gateway reads nothing else."""
    if answer.status >= REFUSED:
        return answer
    return HttpResponse(REASONS[error.reason].status, answer.headers, answer.body)
