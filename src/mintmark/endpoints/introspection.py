"""The introspection endpoint: whether a token is alive, told to whom it concerns.

RFC: 7662, RFC: 9701.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from mintmark.authentication.authenticate import AuthenticatedClient, Authenticator
from mintmark.dialects.inquiry import decode_token_inquiry
from mintmark.endpoints.outcome import Outcomes
from mintmark.endpoints.route import Route, ServedTenant
from mintmark.grants.rules import JwtForm
from mintmark.protocol.errors import InvalidRequest, OAuthError
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.protocol.messages import Introspection
from mintmark.tokens.jwt_profile import sign_jwt
from mintmark.tokens.keys import KeyRing
from mintmark.tokens.verification import LiveToken, TokenVerifier

SIGNED: Final = b"application/token-introspection+jwt"
SIGNED_TYP: Final = "token-introspection+jwt"
SIGNED_FORM: Final = JwtForm(header=("typ", "alg", "kid"), claims=())
JSON_HEADERS: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
SIGNED_HEADERS: Final = ((b"content-type", SIGNED), (b"cache-control", b"no-store"))


class IntrospectionEndpoint:
    """Answers introspection requests."""

    def __init__(
        self,
        authenticator: Authenticator,
        verifier: TokenVerifier,
        keys: KeyRing,
        outcomes: Outcomes,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._authenticator = authenticator
        self._verifier = verifier
        self._keys = keys
        self._clock = clock
        self._outcomes = outcomes

    async def handle(self, request: HttpRequest, route: Route) -> HttpResponse:
        """Answer; who may not know of a token is told what is told of a dead one. RFC: 7662 sections 2.2, 4."""
        try:
            inquiry = decode_token_inquiry(request)
            tenant = route.select_tenant(None)
            caller = await self._authenticator.authenticate_client(
                inquiry.credentials, tenant.record, source=request.source, secret_form=tenant.rules.client_secret_form
            )
            if inquiry.token is None:
                raise InvalidRequest("missing_token")
            live = await self._verifier.find_live(tenant.record.tenant_id, inquiry.token)
            if live is not None and not may_know(caller, live):
                live = None
            members = route.dialect.encode_introspection(_describe(live, tenant))
            if SIGNED in request.headers.get(b"accept", b"").lower():
                return await self._answer_signed(tenant, caller, members)
            return HttpResponse(200, JSON_HEADERS, msgspec.json.encode(members))
        except OAuthError as error:
            self._outcomes.refused(error, request, route=route)
            return route.refuse(error, request.headers, endpoint="introspection")

    async def _answer_signed(
        self, tenant: ServedTenant, caller: AuthenticatedClient, members: dict[str, object]
    ) -> HttpResponse:
        """Wrap the answer in a JWT for this caller; its `typ` keeps it from being an access token.

        RFC: 9701 section 5.
        """
        key = (await self._keys.of(tenant.record.tenant_id)).signing_key(tenant.rules.token.alg)
        claims = {
            "iss": tenant.record.issuer,
            "aud": caller.client.client_id,
            "iat": int(self._clock()),
            "token_introspection": members,
        }
        text = sign_jwt(SIGNED_FORM, SIGNED_TYP, msgspec.json.encode(claims), key)
        return HttpResponse(200, SIGNED_HEADERS, text.encode())


def may_know(caller: AuthenticatedClient, live: LiveToken) -> bool:
    """Tell whether a token concerns a caller: it is the caller's own, or meant for an audience that the caller is.

    A refresh token is meant for nobody else: a resource server would take it for an access token.
    """
    if live.client_id == caller.client.client_id:
        return True
    return live.kind == "access" and not set(caller.client.resources).isdisjoint(live.audience)


def _describe(live: LiveToken | None, tenant: ServedTenant) -> Introspection | None:
    if live is None:
        return None
    return Introspection(
        live.client_id,
        live.scope,
        live.audience,
        tenant.record.issuer,
        live.issued_at,
        live.expires_at,
        "refresh_token" if live.kind == "refresh" else tenant.rules.token_type,
        live.jwt_id is not None,
        live.jwt_id,
    )
