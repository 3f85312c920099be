"""The token endpoint: the straight line from a request to a token, in order.

RFC: 6749 sections 3.2, 4.4, 5.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import structlog

from mintmark.authentication.authenticate import Authenticator
from mintmark.endpoints.route import Route
from mintmark.grants.policy import AccessGrant, authorize_grant
from mintmark.protocol.errors import InvalidRequest, OAuthError
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.protocol.messages import TokenResponse
from mintmark.tokens.keys import KeyRing
from mintmark.tokens.ledger import TokenLedger
from mintmark.tokens.mint import mint_access_token

log = structlog.get_logger()


class TokenEndpoint:
    """Answers token requests, in whatever dialect they come."""

    def __init__(
        self, authenticator: Authenticator, keys: KeyRing, ledger: TokenLedger, *, clock: Callable[[], float]
    ) -> None:
        self._authenticator = authenticator
        self._keys = keys
        self._ledger = ledger
        self._clock = clock

    async def handle(self, request: HttpRequest, route: Route) -> HttpResponse:
        """Decode, authenticate, authorize, mint, store, encode; a refusal leaves through the dialect that came in."""
        try:
            if request.method != "POST":
                raise InvalidRequest("method_not_allowed")
            token_request = route.dialect.decode_token_request(request)
            tenant = route.select_tenant(token_request.tenant_identifier)
            client = await self._authenticator.authenticate_client(
                token_request,
                tenant.record,
                source=request.source,
                secret_form=tenant.rules.client_secret_form,
            )
            grant = authorize_grant(client, token_request, tenant.rules)
            response = await self._issue(grant)
            return route.dialect.encode_token_response(response)
        except OAuthError as error:
            log.info("token_refused", reason=error.reason, detail=error.detail, source=request.source)
            return route.refuse(error, request.headers)

    async def _issue(self, grant: AccessGrant) -> TokenResponse:
        """Hand out the live token of the grant's slot where the system does so; else mint one and keep it."""
        now = int(self._clock())
        live = await self._ledger.find_live(grant, now)
        if live is not None:
            return live
        keys = await self._keys.of(grant.tenant_id)
        minted = mint_access_token(grant, keys, now=now, randomness=os.urandom)
        return await self._ledger.add(minted, now)
