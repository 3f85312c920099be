"""The client credentials grant: the client asks in its own name, so only its own registration limits the scope.

RFC: 6749 sections 3.3, 4.4.
"""

from __future__ import annotations

from mintmark.authentication.authenticate import AuthenticatedClient
from mintmark.grants.refresh_token import PresentedGrant
from mintmark.grants.rules import Rules, TokenRules
from mintmark.protocol.errors import InvalidScope
from mintmark.protocol.messages import TokenRequest
from mintmark.protocol.scope import parse_scope


def grant_client_credentials(
    client: AuthenticatedClient, request: TokenRequest, rules: Rules, token: TokenRules, presented: PresentedGrant
) -> tuple[str, ...]:
    """Return the scope that the client gets.

    Without a `scope` parameter: all that it is registered for, or none, as the system does.

    Raises:
        InvalidScope: `malformed_scope`; `scope_not_allowed` where the system refuses rather than drops.
    RFC: 6749 sections 3.3, 4.4.2.
    """
    allowed = allowed_scope(client.client.scope, rules, token)
    if request.scope is None:
        return allowed if rules.scope_absent == "registered" else ()
    wanted = parse_scope(request.scope)
    if wanted is None:
        raise InvalidScope("malformed_scope")
    granted = tuple(scope_token for scope_token in wanted if scope_token in allowed)
    if len(granted) != len(wanted) and rules.scope_not_allowed == "refuse":
        raise InvalidScope("scope_not_allowed")
    return granted


def allowed_scope(registered: tuple[str, ...], rules: Rules, token: TokenRules) -> tuple[str, ...]:
    """Return what a client is registered for, less what its tenant does not have and its system withholds."""
    if not rules.scope_withheld and token.scope is None:
        return registered
    in_tenant = registered if token.scope is None else token.scope
    return tuple(one for one in registered if one in in_tenant and one not in rules.scope_withheld)
