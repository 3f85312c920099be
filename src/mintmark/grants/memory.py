"""Grants judged before: the same client under the same rules, asking for the same scope, is given the same grant."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from mintmark.authentication.authenticate import AuthenticatedClient
from mintmark.grants.policy import AccessGrant, authorize_grant
from mintmark.grants.refresh_token import PresentedGrant
from mintmark.grants.rules import Rules
from mintmark.protocol.messages import TokenRequest
from mintmark.store.records import ClientRecord, TenantRecord

MAX_GRANTS: Final = 4096
MAX_SCOPE_LENGTH: Final = 256
"""A longer text is judged each time: what a client may make us keep is bounded."""


class Judged(NamedTuple):
    """A grant, and all that it was judged from but the names in its key."""

    tenant: TenantRecord
    client: ClientRecord
    rules: Rules
    grant: AccessGrant


class GrantMemory:
    """Remembers grants of client credentials. A record or rule that was read anew makes the memory of it void."""

    def __init__(self) -> None:
        self._judged: OrderedDict[tuple[str, str, str | None], Judged] = OrderedDict()

    def authorize_grant(
        self, client: AuthenticatedClient, request: TokenRequest, rules: Rules, presented: PresentedGrant
    ) -> AccessGrant:
        """Judge a request as `policy.authorize_grant` does, or remember what that said. Raises: as that."""
        registered = client.client
        key = (registered.tenant_id, registered.client_id, request.scope)
        judged = self._judged.get(key)
        if (
            judged is not None
            and judged.client is registered
            and judged.tenant is client.tenant
            and judged.rules is rules
            and request.grant_type == "client_credentials"
        ):
            return judged.grant
        grant = authorize_grant(client, request, rules, presented)
        if request.grant_type == "client_credentials" and len(request.scope or "") <= MAX_SCOPE_LENGTH:
            self._keep(key, Judged(client.tenant, registered, rules, grant))
        return grant

    def _keep(self, key: tuple[str, str, str | None], judged: Judged) -> None:
        self._judged[key] = judged
        if len(self._judged) > MAX_GRANTS:
            self._judged.popitem(last=False)
