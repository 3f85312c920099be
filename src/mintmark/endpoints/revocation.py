"""The revocation endpoint: a client ends its own token, at once and everywhere.

RFC: 7009.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import structlog

from mintmark.authentication.authenticate import AuthenticatedClient, Authenticator
from mintmark.dialects.inquiry import decode_token_inquiry
from mintmark.endpoints.outcome import Outcomes
from mintmark.endpoints.route import Route
from mintmark.protocol.errors import InvalidRequest, OAuthError, UnauthorizedClient
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.protocol.messages import TokenInquiry
from mintmark.protocol.secret import Secret
from mintmark.tokens.ledger import TokenLedger
from mintmark.tokens.verification import LiveToken, TokenVerifier

HEADERS: Final = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"pragma", b"no-cache"),
)
CALLBACK: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.]{0,99}")

log = structlog.get_logger()


class RevocationEndpoint:
    """Answers revocation requests."""

    def __init__(
        self,
        authenticator: Authenticator,
        verifier: TokenVerifier,
        ledger: TokenLedger,
        outcomes: Outcomes,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._authenticator = authenticator
        self._verifier = verifier
        self._ledger = ledger
        self._outcomes = outcomes
        self._clock = clock

    async def handle(self, request: HttpRequest, route: Route) -> HttpResponse:
        """Revoke; a token that is not alive is no error. RFC: 7009 sections 2.1, 2.2."""
        callback = None
        try:
            inquiry = decode_token_inquiry(request)
            callback = inquiry.callback
            tenant = route.select_tenant(None)
            caller = await self._authenticator.authenticate_client(
                inquiry.credentials,
                tenant.record,
                source=request.source,
                secret_form=tenant.rules.client_secret_form,
                expiry_skew_s=tenant.rules.secrets.expiry_skew_s,
            )
            if inquiry.token is None:
                raise InvalidRequest("missing_token")
            live = await self._revoke(tenant.record.tenant_id, inquiry.token, caller)
            return wrap_callback(_answer(route, inquiry, live), route, callback)
        except OAuthError as error:
            self._outcomes.refused(error, request, route=route)
            answer = route.refuse(error, request.headers, endpoint="revocation")
            return wrap_callback(answer, route, callback)

    async def _revoke(self, tenant_id: str, token: Secret, caller: AuthenticatedClient) -> LiveToken | None:
        # Who revokes a refresh token that is spent, too, wants an end of what came of it. RFC: 7009 section 2.1.
        live = await self._verifier.find_live(tenant_id, token, to_end=True)
        if live is None:
            return None
        if live.client_id != caller.client.client_id:
            raise UnauthorizedClient("token_of_another_client", f"client_id {caller.client.client_id!r}")
        await self._ledger.revoke(live, int(self._clock()))
        log.info("token_revoked", tenant_id=tenant_id, client_id=live.client_id, kind=live.kind)
        return live


def _answer(route: Route, inquiry: TokenInquiry, live: LiveToken | None) -> HttpResponse:
    headers: tuple[tuple[bytes, bytes], ...] = HEADERS
    if live is not None and inquiry.token is not None and route.dialect.definition.wire.revocation.tells_owner:
        name = b"RevokedRefreshToken" if live.kind == "refresh" else b"RevokedAccessToken"
        headers = (*headers, (name, inquiry.token.encoded()), (b"AuthorizedUser", live.client_id.encode()))
    return HttpResponse(200, headers, b"")


def wrap_callback(answer: HttpResponse, route: Route, callback: str | None) -> HttpResponse:
    """Wrap an answer as JSONP where the system does so; a name that is no JavaScript name is ignored."""
    if callback is None or not route.dialect.definition.wire.revocation.takes_callback:
        return answer
    if CALLBACK.fullmatch(callback) is None:
        return answer
    headers = tuple(pair for pair in answer.headers if pair[0] != b"content-type")
    script = b"%b(%b);" % (callback.encode(), answer.body)
    return HttpResponse(answer.status, ((b"content-type", b"application/javascript"), *headers), script)
