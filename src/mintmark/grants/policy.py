"""Step 3 of the straight line: the checks that every grant shares, and the proof that they were made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from mintmark.authentication.authenticate import AuthenticatedClient
from mintmark.grants.client_credentials import grant_client_credentials
from mintmark.grants.refresh_token import PresentedGrant, grant_refresh_token
from mintmark.grants.rules import CLIENT_ID, ISSUER, Rules, TokenRules, client_rules
from mintmark.protocol.errors import InvalidRequest, UnauthorizedClient, UnsupportedGrantType
from mintmark.protocol.messages import TokenRequest
from mintmark.store.records import ClientRecord, TokenRecord

ScopeDecision = Callable[[AuthenticatedClient, TokenRequest, Rules, TokenRules, PresentedGrant], tuple[str, ...]]

GRANTS: Mapping[str, ScopeDecision] = {
    "client_credentials": grant_client_credentials,
    "refresh_token": grant_refresh_token,
}
"""Each grant type that this program knows: who may have which scope is its file's to say."""


IMPLIED: Final = ("refresh_token",)
"""Grants that no client is registered for: a system that hands out refresh tokens takes them back."""


class AccessGrant(msgspec.Struct, frozen=True, eq=False):
    """Proof that a client may have a token, and what is to be in it. Built by `authorize_grant` alone.

    Equal only to itself, so that it is a cheap key of a cache.
    """

    tenant_id: str
    issuer: str
    client_id: str
    tenant_generation: int
    client_generation: int
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    rules: Rules
    token: TokenRules
    refresh: TokenRecord | None = None
    """The refresh token that this grant spends."""


def authorize_grant(
    client: AuthenticatedClient, request: TokenRequest, rules: Rules, presented: PresentedGrant
) -> AccessGrant:
    """Judge a request of a proven client, by its tenant's rules.

    Args:
        presented: the refresh token that the request shows, as the store has it, and the moment.

    Raises:
        InvalidRequest: `missing_grant_type`.
        UnsupportedGrantType: the system has no such grant.
        UnauthorizedClient: the client is not registered for it.
        InvalidGrant: the refresh token will not do.
        InvalidScope: malformed, unknown, or more than the client may have.
    RFC: 6749 sections 3.3, 4.4.2, 5.2.
    """
    grant_type = request.grant_type
    if grant_type is None:
        raise InvalidRequest("missing_grant_type")
    if grant_type not in rules.grant_types or grant_type not in GRANTS:
        raise UnsupportedGrantType("unsupported_grant_type")
    registered, tenant = client.client, client.tenant
    # Who is given refresh tokens may use them.
    if grant_type not in (*registered.grant_types, *IMPLIED):
        raise UnauthorizedClient("unauthorized_client", f"client_id {registered.client_id!r}")
    token = client_rules(rules, registered.token_rules, registered.client_id).token
    scope = GRANTS[grant_type](client, request, rules, token, presented)
    return AccessGrant(
        tenant.tenant_id,
        tenant.issuer,
        registered.client_id,
        tenant.generation,
        registered.generation,
        scope,
        token_audience(registered, tenant.issuer, token),
        rules,
        token,
        presented.refresh if grant_type == "refresh_token" else None,
    )


def token_audience(client: ClientRecord, issuer: str, token: TokenRules) -> tuple[str, ...]:
    """The client's registered audience, else the rule's; never empty. RFC: 9068 section 2.2."""
    if client.audience:
        return client.audience
    stands_for = {ISSUER: issuer, CLIENT_ID: client.client_id}
    return tuple(stands_for.get(name, name) for name in token.audience)
