"""What a caller's token stands on: while it is as it was, the token is as good as when it was judged.

For one who acts many times with one token. To judge it each time would cost more than what it asks for.
"""

from __future__ import annotations

import msgspec

from mintmark.store.interface import Store
from mintmark.store.records import TenantRecord
from mintmark.tokens.verification import LiveToken


class Standing(msgspec.Struct):
    """What was registered of a live token's client, at a look before the token was judged."""

    store: Store
    live: LiveToken
    client: tuple[int, int] | None
    tenant: TenantRecord | None
    kids: frozenset[str]
    """The keys whose signatures are believed; of an opaque token none."""
    revisions: tuple[int, int]

    @classmethod
    async def look(cls, store: Store, live: LiveToken) -> Standing:
        """Look through a view of the store, through which `holds` looks again. Raises: StoreUnavailable."""
        # Read first: what changes from here on is seen by the next look.
        revisions = await store.deployment.revisions()
        client = await store.clients.find_state(live.tenant_id, live.client_id)
        tenant = await store.tenants.find(live.tenant_id)
        keys = await store.keys.list(live.tenant_id) if live.jwt_id is not None else ()
        kids = frozenset(key.kid for key in keys if key.revoked_at is None)
        return cls(store, live, client, tenant, kids, revisions)

    async def holds(self, now: float) -> bool:
        """Tell whether it is as it was, and the token neither expired nor revoked. Raises: StoreUnavailable."""
        if now >= self.live.expires_at or await self._is_revoked():
            return False
        revision, of_issuers = await self.store.deployment.revisions()
        if revision == self.revisions[0]:
            return True
        if of_issuers == self.revisions[1]:
            client = await self.store.clients.find_state(self.live.tenant_id, self.live.client_id)
            is_same = client == self.client
        else:
            latest = await Standing.look(self.store, self.live)
            is_same = (latest.client, latest.tenant, latest.kids) == (self.client, self.tenant, self.kids)
        self.revisions = (revision, of_issuers)
        return is_same

    async def _is_revoked(self) -> bool:
        tokens, live = self.store.tokens, self.live
        if live.jwt_id is not None:
            return await tokens.is_jti_revoked(live.tenant_id, live.jwt_id)
        return await tokens.find(live.digest or b"") is None
