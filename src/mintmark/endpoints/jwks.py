"""The JWK Set endpoint: the public keys that verify a tenant's tokens.

RFC: 7517 section 5.
"""

from __future__ import annotations

from mintmark.endpoints.document import answer_document
from mintmark.endpoints.route import Route
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.tokens.keys import KeyRing


class JwksEndpoint:
    """Answers with the tenant's key set."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def handle(self, request: HttpRequest, route: Route) -> HttpResponse:
        """Return the key set."""
        tenant = route.select_tenant(None)
        keys = await self._keys.of(tenant.record.tenant_id)
        return answer_document(request, keys.jwks)
