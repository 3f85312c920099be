"""Verbs on single tokens: look one up, revoke one. A token is shown to be judged, and never kept or written down."""

from __future__ import annotations

from mintmark.admin.administration import Administration
from mintmark.protocol.secret import Secret
from mintmark.tokens.ledger import end_token
from mintmark.tokens.verification import LiveToken, TokenVerifier


async def find_token(
    administration: Administration, verifier: TokenVerifier, tenant_id: str, token: Secret
) -> LiveToken | None:
    """Return what a token of a tenant stands for; None: it is not alive, or not the tenant's.

    Raises: AdministrationError.
    """
    administration.permit("tokens:read", tenant_id)
    await administration.require_tenant(tenant_id)
    return await verifier.find_live(tenant_id, token)


async def revoke_token(administration: Administration, verifier: TokenVerifier, tenant_id: str, token: Secret) -> bool:
    """End a token of a tenant, a refresh token with all of its family; return whether it was alive.

    Raises: AdministrationError.
    """
    administration.permit("tokens:revoke", tenant_id)
    await administration.require_tenant(tenant_id)
    live = await verifier.find_live(tenant_id, token)
    if live is None:
        return False
    await end_token(administration.acting("revoke_token").tokens, live)
    return True
