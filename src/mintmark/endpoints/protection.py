"""What stands before a resource of our own: the token is shown in the dialect's way, and refused in its words.

RFC: 6750 sections 2.1 and 3, RFC: 9728 section 5.1.
"""

from __future__ import annotations

from mintmark.endpoints.route import Route
from mintmark.protocol.errors import InsufficientScope, InvalidToken, OAuthError
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.tokens.verification import LiveToken, TokenVerifier

PROTECTED_RESOURCE = "/.well-known/oauth-protected-resource"
NAMELESS = frozenset({"no_token_shown"})
"""Reasons whose challenge carries no error code: who shows nothing has made no mistake yet. RFC: 6750 section 3.1."""


class Protection:
    """Demands tokens."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def require_token(
        self, request: HttpRequest, route: Route, scope: tuple[str, ...], audience: str | None = None
    ) -> LiveToken:
        """Return the live access token that a request shows.

        Args:
            audience: the resource that is asked for; None: any of the tenant's.

        Raises:
            InvalidToken: none was shown, it is not alive, or it is meant for another audience.
            InsufficientScope: it lacks one of the scope-tokens wanted.
        RFC: 6750 section 3.1.
        """
        tenant_id = route.select_tenant(None).record.tenant_id
        token = route.dialect.decode_presented_token(request.headers.get(b"authorization"))
        if token is None:
            raise InvalidToken("no_token_shown")
        live = await self._verifier.find_live(tenant_id, token)
        if live is None or live.kind != "access":
            expired = live is None and await self._verifier.is_expired(tenant_id, token)
            raise InvalidToken("expired_token" if expired else "invalid_token")
        if audience is not None and audience not in live.audience:
            raise InvalidToken("invalid_token", "meant for another audience")
        if not set(scope) <= set(live.scope.split()):
            raise InsufficientScope("insufficient_scope")
        return live

    def refuse(self, error: OAuthError, route: Route) -> HttpResponse:
        """Write the refusal, with a challenge where the dialect has one."""
        answer = route.refuse(error, {}, endpoint="resource")
        scheme = route.dialect.definition.wire.resource.scheme
        if not scheme or answer.header(b"www-authenticate") is not None or not isinstance(error, CHALLENGED):
            return answer
        text = ", ".join(f'{name}="{value}"' for name, value in _parameters(error, route).items())
        return answer.with_headers((b"www-authenticate", f"{scheme} {text}".encode()))


CHALLENGED = (InvalidToken, InsufficientScope)


def _parameters(error: OAuthError, route: Route) -> dict[str, str]:
    issuer = route.tenant.record.issuer if route.tenant else ""
    parameters = {"resource_metadata": resource_metadata_url(issuer, route.dialect.endpoints["check"])}
    if error.reason in NAMELESS:
        return parameters
    return {"error": error.code, "error_description": error.description, **parameters}


def resource_metadata_url(issuer: str, path: str) -> str:
    """Return where a resource's metadata is: the well-known name stands before the resource's path.

    RFC: 9728 section 3.1.
    """
    scheme, _, rest = issuer.partition("://")
    host, slash, base = rest.partition("/")
    return f"{scheme}://{host}{PROTECTED_RESOURCE}{slash}{base.rstrip('/')}{path}"
