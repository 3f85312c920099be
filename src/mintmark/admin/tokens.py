"""Verbs on single tokens: look one up, revoke one, by what it is or by what the audit log calls it.

A token is shown to be judged, and never kept or written down.
"""

from __future__ import annotations

import re
from typing import Final

from mintmark.admin.administration import Administration, Malformed, Missing
from mintmark.admin.upkeep import longest_lifetime_s
from mintmark.protocol.secret import Secret
from mintmark.store.records import TokenRecord
from mintmark.tokens.ledger import end_token
from mintmark.tokens.verification import CLOCK_SKEW_S, LiveToken, TokenVerifier

JTI: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DIGEST: Final = re.compile(r"(?:[0-9a-f]{2}){8,32}")


async def find_token(
    administration: Administration, verifier: TokenVerifier, tenant_id: str, token: Secret
) -> LiveToken | None:
    """Return what a token of a tenant stands for; None: it is not alive, or not the tenant's.

    Raises: AdministrationError.
    """
    administration.permit("tokens:read", tenant_id)
    await administration.require_tenant(tenant_id)
    # The verifier knows what is committed.
    administration.require_alone()
    return await verifier.find_live(tenant_id, token)


async def revoke_token(administration: Administration, verifier: TokenVerifier, tenant_id: str, token: Secret) -> bool:
    """End a token of a tenant, a refresh token with all of its family; return whether it was alive.

    Raises: AdministrationError.
    """
    administration.permit("tokens:revoke", tenant_id)
    await administration.require_tenant(tenant_id)
    # The verifier knows what is committed.
    administration.require_alone()
    live = await verifier.find_live(tenant_id, token, to_end=True)
    if live is None:
        return False
    await end_token(administration.acting("revoke_token").tokens, live)
    return True


async def find_named_token(administration: Administration, tenant_id: str, name: str) -> TokenRecord:
    """Return what is kept of an opaque token, expired or not.

    Args:
        name: its digest in hex, or the first 16 digits or more, as in the audit log.

    Raises: AdministrationError.
    """
    administration.permit("tokens:read", tenant_id)
    return await _find_named(administration, tenant_id, name)


async def revoke_named_token(administration: Administration, tenant_id: str, name: str) -> None:
    """End a token that nobody can show any more, such as one that the audit log names.

    Args:
        name: the `jti` of a JWT, which need not have been issued; or as in `find_named_token`.

    Raises: AdministrationError.
    """
    administration.permit("tokens:revoke", tenant_id)
    tokens = administration.acting("revoke_token").tokens
    if JTI.fullmatch(name):
        rules = await administration.require_rules(tenant_id)
        # When it expires only the token says: no later than one that is issued at this moment to whoever has longest.
        longest_s = await longest_lifetime_s(administration, tenant_id, rules.token)
        await tokens.revoke_jti(tenant_id, name, administration.now() + longest_s + CLOCK_SKEW_S)
        return
    found = await _find_named(administration, tenant_id, name)
    if found.kind == "refresh" and found.family is not None:
        await tokens.remove_family(found.family)
    else:
        await tokens.remove(found.digest)


async def _find_named(administration: Administration, tenant_id: str, name: str) -> TokenRecord:
    await administration.require_tenant(tenant_id)
    if DIGEST.fullmatch(name) is None:
        raise Malformed("token: wanted are 16 to 64 hex digits of its digest, or a jti", "token")
    found = await administration.store.tokens.find_named(bytes.fromhex(name))
    if found is None or found.tenant_id != tenant_id:
        raise Missing(f"tenant {tenant_id!r} has no token {name}")
    return found
