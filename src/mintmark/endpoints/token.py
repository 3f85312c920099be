"""The token endpoint: the straight line from a request to a token, in order.

RFC: 6749 sections 3.2, 4.4, 5.
"""

from __future__ import annotations

from collections.abc import Callable

from mintmark.authentication.authenticate import Authenticator
from mintmark.authentication.keyed_hash import KeyedHash
from mintmark.endpoints.outcome import Outcomes
from mintmark.endpoints.route import Route
from mintmark.grants.memory import GrantMemory
from mintmark.grants.policy import AccessGrant
from mintmark.grants.refresh_token import PresentedGrant
from mintmark.protocol.errors import InvalidRequest, OAuthError
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.protocol.messages import TokenRequest, TokenResponse
from mintmark.tokens.keys import KeyRing
from mintmark.tokens.ledger import TokenLedger
from mintmark.tokens.mint import mint_access_token
from mintmark.tokens.randomness import Randomness


class TokenEndpoint:
    """Answers token requests, in whatever dialect they come."""

    def __init__(
        self,
        authenticator: Authenticator,
        keys: KeyRing,
        ledger: TokenLedger,
        outcomes: Outcomes,
        *,
        keyed_hash: KeyedHash,
        clock: Callable[[], float],
    ) -> None:
        self._authenticator = authenticator
        self._keys = keys
        self._ledger = ledger
        self._keyed_hash = keyed_hash
        self._clock = clock
        self._outcomes = outcomes
        self._randomness = Randomness()
        # Steps 3 and 4. Where a request is traced, they are put into spans.
        self.authorize_grant = GrantMemory().authorize_grant
        self.mint_access_token = mint_access_token

    async def handle(self, request: HttpRequest, route: Route) -> HttpResponse:
        """Decode, authenticate, authorize, mint, store, encode; a refusal leaves through the dialect that came in."""
        tenant, grant_type = route.tenant, ""
        try:
            if request.method != "POST":
                raise InvalidRequest("method_not_allowed")
            token_request = route.dialect.decode_token_request(request)
            grant_type = token_request.grant_type or ""
            presented = PresentedGrant(int(self._clock()))
            if grant_type == "refresh_token":
                presented = await self._find_presented(token_request, presented.now)
            tenant = route.select_tenant(token_request.tenant_identifier, presented.owner)
            client = await self._authenticator.authenticate_client(
                token_request.credentials,
                tenant.record,
                source=request.source,
                secret_form=tenant.rules.client_secret_form,
                expiry_skew_s=tenant.rules.secrets.expiry_skew_s,
            )
            grant = self.authorize_grant(client, token_request, tenant.rules, presented)
            response = await self._issue(grant)
            self._outcomes.issued(tenant, grant_type, grant.client_id, request)
            return route.dialect.encode_token_response(response)
        except OAuthError as error:
            self._outcomes.refused(error, request, route=route, tenant=tenant, grant_type=grant_type)
            return route.refuse(error, request.headers)

    async def _find_presented(self, request: TokenRequest, now: int) -> PresentedGrant:
        """Look up what the request shows beside credentials."""
        return PresentedGrant(now, await self._ledger.find_refresh(request.refresh_token))

    async def _issue(self, grant: AccessGrant) -> TokenResponse:
        """Hand out the live token of the grant's slot where the system does so; else mint one and keep it."""
        now = int(self._clock())
        if grant.token.is_handed_out_again:
            live = await self._ledger.find_live(grant, now)
            if live is not None:
                return live
        keys = await self._keys.of(grant.tenant_id)
        minted = self.mint_access_token(grant, keys, self._keyed_hash, now=now, randomness=self._randomness)
        return await self._ledger.add(minted, now)
