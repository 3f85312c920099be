"""The authorization endpoint, for clients that will not start without one: it refuses, in plain OAuth.

There is no grant here that a person approves. RFC: 6749 section 4.1.2.1, RFC: 8414 section 2.
"""

from __future__ import annotations

from mintmark.endpoints.outcome import Outcomes
from mintmark.endpoints.route import Route
from mintmark.protocol.errors import UnsupportedResponseType
from mintmark.protocol.http import HttpRequest, HttpResponse


class AuthorizationEndpoint:
    """Answers every request with `unsupported_response_type`; it never redirects."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes

    async def handle(self, request: HttpRequest, route: Route) -> HttpResponse:
        """Refuse."""
        error = UnsupportedResponseType("unsupported_response_type")
        self._outcomes.refused(error, request, route=route)
        return route.refuse(error, {})
