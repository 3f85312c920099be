"""The JWK Set endpoint: the public keys that verify a tenant's tokens.

RFC: 7517 section 5.
"""

from __future__ import annotations

from mintmark.endpoints.route import Route
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.tokens.keys import KeyRing

CACHE_S = 300


class JwksEndpoint:
    """Answers with the tenant's key set."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def handle(self, request: HttpRequest, route: Route) -> HttpResponse:
        """Return the key set; verifiers may keep it for `CACHE_S` seconds."""
        tenant = route.select_tenant(None)
        keys = await self._keys.of(tenant.record.tenant_id)
        headers = (
            (b"content-type", b"application/json"),
            (b"cache-control", b"public, max-age=%d" % CACHE_S),
        )
        return HttpResponse(200, headers, keys.jwks)
