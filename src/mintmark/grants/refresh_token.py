"""The refresh token grant: single use; what was granted before is granted again, and never more.

RFC: 6749 section 6, RFC: 9700 section 4.14.2.
"""

from __future__ import annotations

import msgspec

from mintmark.authentication.authenticate import AuthenticatedClient
from mintmark.grants.rules import Rules, TokenRules
from mintmark.protocol.errors import InvalidGrant, InvalidRequest, InvalidScope
from mintmark.protocol.messages import TokenRequest
from mintmark.protocol.scope import parse_scope
from mintmark.store.records import TokenRecord


class PresentedGrant(msgspec.Struct, frozen=True, gc=False):
    """What a request shows beside its client's credentials, as the store has it at this moment (seconds)."""

    now: int
    refresh: TokenRecord | None = None

    @property
    def owner(self) -> str | None:
        """The tenant of the refresh token."""
        return self.refresh.tenant_id if self.refresh else None


def grant_refresh_token(
    client: AuthenticatedClient, request: TokenRequest, rules: Rules, token: TokenRules, presented: PresentedGrant
) -> tuple[str, ...]:
    """Return the scope that the refresh token carries, or the part of it that is asked for.

    Whether the token has been used already is for the store to say, which spends it exactly once.

    Raises:
        InvalidRequest: `missing_parameter`.
        InvalidGrant: unknown, another client's, expired, or minted before all of the client's tokens had to die.
        InvalidScope: more than was granted.
    """
    if request.refresh_token is None:
        raise InvalidRequest("missing_parameter", "refresh_token")
    refresh = presented.refresh
    owner = (client.tenant.tenant_id, client.client.client_id)
    if refresh is None or refresh.kind != "refresh" or (refresh.tenant_id, refresh.client_id) != owner:
        raise InvalidGrant("unknown_refresh_token")
    generations = (client.tenant.generation, client.client.generation)
    if refresh.expires_at <= presented.now or (refresh.tenant_generation, refresh.client_generation) != generations:
        raise InvalidGrant("expired_refresh_token")
    return _narrow(refresh.scope, request.scope)


def _narrow(granted: str, asked: str | None) -> tuple[str, ...]:
    """RFC: 6749 section 6: the scope asked for must not exceed what was granted."""
    had = parse_scope(granted) or ()
    if asked is None:
        return had
    wanted = parse_scope(asked)
    if wanted is None:
        raise InvalidScope("malformed_scope")
    if not set(wanted) <= set(had):
        raise InvalidScope("scope_not_allowed")
    return wanted
