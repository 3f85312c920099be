"""A resource of our own: show a token, and hear whether it will do. For `auth_request` of nginx and its like.

RFC: 6750, RFC: 9728.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mintmark.dialects.parameters import read_form
from mintmark.endpoints.outcome import Outcomes
from mintmark.endpoints.protection import Protection
from mintmark.endpoints.route import Route
from mintmark.protocol.errors import REASONS, OAuthError
from mintmark.protocol.http import HttpRequest, HttpResponse

HEADERS: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
REFUSED: Final = 400


class CheckEndpoint:
    """Answers 200 to a live token, else the dialect's refusal.

    `?scope=` asks for a token that has that scope, `?audience=` for one that is meant for that audience.
    """

    def __init__(self, protection: Protection, outcomes: Outcomes) -> None:
        self._protection = protection
        self._outcomes = outcomes

    async def handle(self, request: HttpRequest, route: Route) -> HttpResponse:
        """Check the token that the request shows, and say in headers and body whose it is."""
        try:
            wanted = read_form(request.query) if request.query else {}
            scope = tuple(wanted.get("scope", "").split())
            live = await self._protection.require_token(request, route, scope, wanted.get("audience"))
        except OAuthError as error:
            self._outcomes.refused(error, request, route=route)
            return with_telling_status(self._protection.refuse(error, route), error)
        members = {"client_id": live.client_id, "scope": live.scope, "aud": live.audience, "exp": live.expires_at}
        told = {"x-client-id": live.client_id, "x-scope": live.scope, "x-audience": " ".join(live.audience)}
        names = tuple((name.encode(), value.encode()) for name, value in told.items())
        return HttpResponse(200, (*HEADERS, *names), msgspec.json.encode(members))


def with_telling_status(answer: HttpResponse, error: OAuthError) -> HttpResponse:
    """Give a refusal that its dialect sends with 200 the reason's own status: a gateway reads nothing else."""
    if answer.status >= REFUSED:
        return answer
    return HttpResponse(REASONS[error.reason].status, answer.headers, answer.body)
