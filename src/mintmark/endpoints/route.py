"""Where a request has arrived: the endpoint, the dialect that it speaks, and the tenant or tenants it can mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from mintmark.dialects.codec import Dialect
from mintmark.grants.rules import Rules
from mintmark.protocol.errors import InvalidRequest, OAuthError
from mintmark.protocol.http import CORRELATION_ID, HttpRequest, HttpResponse
from mintmark.store.records import TenantRecord


class ServedTenant(msgspec.Struct, frozen=True):
    """A tenant with its dialect and its rules, read once when the tenant is loaded."""

    record: TenantRecord
    dialect: Dialect
    rules: Rules


class Route(msgspec.Struct, frozen=True):
    """What the router found for a host and path."""

    endpoint: str
    dialect: Dialect
    tenant: ServedTenant | None = None
    """The tenant, when host and path name it; else the message has to (`by_identifier`)."""
    by_identifier: Mapping[str, ServedTenant] = {}
    """The tenants of this dialect by the identifier that a message may carry."""

    def select_tenant(self, identifier: str | None, owner: str | None = None) -> ServedTenant:
        """Return the tenant of a message. An identifier that it carries must be the tenant's own.

        Args:
            owner: the tenant to which a token in the message belongs, for messages without an identifier. It comes
                before a default tenant; a prefix or host knows of no tenant but its own.

        Raises:
            InvalidRequest: `unknown_tenant`; `missing_parameter` where nothing names one.
        """
        named = self.tenant
        if identifier is not None:
            named = self.by_identifier.get(identifier)
        elif owner is not None:
            named = self._find_owner(owner) or self.tenant
        if named is None:
            raise InvalidRequest("missing_parameter" if identifier is None else "unknown_tenant", "tenant")
        return named

    def _find_owner(self, tenant_id: str | None) -> ServedTenant | None:
        return next((one for one in self.by_identifier.values() if one.record.tenant_id == tenant_id), None)

    def refuse(
        self, error: OAuthError, request_headers: Mapping[bytes, bytes], *, endpoint: str = "token"
    ) -> HttpResponse:
        """Write an error in the route's dialect, as that endpoint has it, with the error's id."""
        issuer = self.tenant.record.issuer if self.tenant else ""
        header_used = b"authorization" in request_headers
        answer = self.dialect.encode_error(error, issuer=issuer, header_used=header_used, endpoint=endpoint)
        if not error.correlation_id:
            return answer
        return answer.with_headers((CORRELATION_ID, error.correlation_id.encode()))


class Endpoint(Protocol):
    """What answers a request that has found its route."""

    async def handle(self, request: HttpRequest, route: Route) -> HttpResponse:
        """Answer; errors that the caller may see are answers too."""
