"""Authorization server metadata, true to what exists: one document for both well-known names.

RFC: 8414 sections 2 and 3, OpenID Connect Discovery 1.0 section 3.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mintmark.endpoints.document import answer_document
from mintmark.endpoints.route import Route, ServedTenant
from mintmark.protocol.http import HttpRequest, HttpResponse

STANDARD_METHODS = ("client_secret_basic", "client_secret_post")


class ResourceMetadataEndpoint:
    """Answers with the metadata of the tenant's own protected resource. RFC: 9728 section 3.2."""

    async def handle(self, request: HttpRequest, route: Route) -> HttpResponse:
        """Return the document."""
        tenant = route.select_tenant(None)
        document = {
            "resource": tenant.record.issuer.rstrip("/") + tenant.dialect.endpoints["check"],
            "authorization_servers": [tenant.record.issuer],
            "bearer_methods_supported": ["header"],
            "jwks_uri": _url(tenant.record.issuer, tenant.dialect.endpoints.get("jwks")),
        }
        return answer_document(request, msgspec.json.encode(document))


class MetadataEndpoint:
    """Answers with the tenant's metadata."""

    async def handle(self, request: HttpRequest, route: Route) -> HttpResponse:
        """Return the document. RFC: 8414 section 3.2."""
        return answer_document(request, msgspec.json.encode(describe_tenant(route.select_tenant(None))))


def describe_tenant(tenant: ServedTenant) -> dict[str, Any]:
    """Return a tenant's metadata.

    `authorization_endpoint` is there because clients in wide use fail without it, and answers with a plain error;
    `response_types_supported` is required and empty, because no response type exists.
    RFC: 8414 section 2.
    """
    issuer = tenant.record.issuer
    paths = tenant.dialect.endpoints
    document = {
        "issuer": issuer,
        "authorization_endpoint": _url(issuer, paths.get("authorization")),
        "token_endpoint": _url(issuer, paths["token"]),
        "introspection_endpoint": _url(issuer, paths.get("introspection")),
        "introspection_endpoint_auth_methods_supported": STANDARD_METHODS if "introspection" in paths else None,
        "introspection_signing_alg_values_supported": [tenant.rules.token.alg] if "introspection" in paths else None,
        "revocation_endpoint": _url(issuer, paths.get("revocation")),
        "revocation_endpoint_auth_methods_supported": STANDARD_METHODS if "revocation" in paths else None,
        "registration_endpoint": _url(issuer, paths.get("registration")) if tenant.record.allows_registration else None,
        "jwks_uri": _url(issuer, paths.get("jwks")),
        "scopes_supported": tenant.rules.token.scope,
        "response_types_supported": [],
        "grant_types_supported": tenant.rules.grant_types,
        "token_endpoint_auth_methods_supported": tenant.dialect.authentication_methods,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [tenant.rules.token.alg],
    }
    return {name: value for name, value in document.items() if value is not None}


def _url(issuer: str, path: str | None) -> str | None:
    return None if path is None else issuer.rstrip("/") + path
