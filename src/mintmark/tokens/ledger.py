"""Step 5 of the straight line: what must be kept of a token is committed before the token is shown.

A token that may be handed out again is sealed in its slot; of parallel requests, in any process, one mints. Where
tokens are renewed, each request mints, and the one that is committed last is the slot's only live one.
"""

from __future__ import annotations

import structlog

from mintmark.authentication.master_key import SealingKey
from mintmark.grants.policy import AccessGrant
from mintmark.protocol.errors import InvalidGrant
from mintmark.protocol.messages import TokenResponse
from mintmark.protocol.scope import format_scope
from mintmark.protocol.secret import Secret
from mintmark.store.events import AuditBuffer, cut_scope, name_token
from mintmark.store.interface import TokenStore
from mintmark.store.records import ReusableToken, TokenRecord
from mintmark.tokens.mint import MintedToken, reuse_slot
from mintmark.tokens.opaque import digest_token
from mintmark.tokens.verification import LiveToken

log = structlog.get_logger()


class TokenLedger:
    """Keeps minted tokens, and finds the live one of a slot."""

    def __init__(self, store: TokenStore, sealing_key: SealingKey, audit: AuditBuffer) -> None:
        self._store = store
        self._sealing_key = sealing_key
        self._audit = audit
        self._issued = audit.issued

    async def find_live(self, grant: AccessGrant, now: int) -> TokenResponse | None:
        """Return the answer with the live token of the grant's slot and its remaining seconds, or None."""
        live = await self._store.find_reusable(reuse_slot(grant), now + grant.token.reuse_remainder_s)
        return None if live is None else self._reopen(live, grant, now)

    async def add(self, minted: MintedToken, now: int) -> TokenResponse:
        """Keep a minted token and return the answer to show: another's, if another took a slot of re-use first.

        Raises:
            InvalidGrant: the refresh token that it spends was spent before.
            StoreUnavailable: nothing was kept, so nothing may be shown.
        """
        if minted.grant.refresh is not None:
            return await self._rotate(minted, minted.grant.refresh, now)
        rules = minted.grant.token
        if rules.is_renewed:
            await self._renew(minted)
        elif rules.is_handed_out_again:
            return await self._add_reusable(minted, now)
        elif minted.records:
            await self._store.add(minted.records)
        self._tell_issued(minted, now)
        return minted.response

    def _tell_issued(self, minted: MintedToken, now: int) -> None:
        """Leave a line for the audit log. A token that is handed out again is told of once."""
        grant, jwt = minted.grant, minted.moment
        scope = cut_scope(minted.response.scope or "")
        if jwt is not None:
            self._issued(grant.tenant_id, (now, grant.client_id, scope, "access", jwt.jwt_id, jwt.expires_at))
        for one in minted.records:
            self._issued(one.tenant_id, (now, one.client_id, scope, one.kind, name_token(one.digest), one.expires_at))

    async def find_refresh(self, token: Secret | None) -> TokenRecord | None:
        """Return what the store has of a refresh token that a request shows."""
        return None if token is None else await self._store.find(digest_token(token.reveal()))

    async def revoke(self, live: LiveToken, now: int) -> None:
        """End a live token at the request of its client."""
        await end_token(self._store, live)
        name = live.jwt_id or name_token(live.digest or b"")
        self._audit.revoked(live.tenant_id, (now, live.client_id, live.kind, name))

    async def _rotate(self, minted: MintedToken, spent: TokenRecord, now: int) -> TokenResponse:
        """Spend the refresh token and keep its successors, in one transaction. RFC: 9700 section 4.14.2."""
        form = minted.grant.rules.refresh_token
        leeway_s = form.reuse_leeway_s if form else 0
        outcome = await self._store.rotate(spent.digest, minted.records, now, leeway_s)
        if outcome == "rotated":
            self._tell_issued(minted, now)
            return minted.response
        if outcome == "reused":
            self._audit.reused(spent.tenant_id, (now, spent.client_id, name_token(spent.digest)))
            log.warning("refresh_token_reused", tenant_id=spent.tenant_id, client_id=spent.client_id, family="removed")
        reasons = {"unknown": "unknown_refresh_token", "expired": "expired_refresh_token"}
        raise InvalidGrant(reasons.get(outcome, "used_refresh_token"), outcome)

    async def _renew(self, minted: MintedToken) -> None:
        """Put the token into its slot, and end the one that was there, in one transaction."""
        slot = reuse_slot(minted.grant)
        if minted.moment is not None:
            await self._store.renew_jwt(slot, minted.moment.jwt_id, minted.moment.expires_at)
        else:
            await self._store.renew(minted.records[0], slot, self._seal(minted))

    async def _add_reusable(self, minted: MintedToken, now: int) -> TokenResponse:
        grant, record = minted.grant, minted.records[0]
        expires_after = now + grant.token.reuse_remainder_s
        live = await self._store.add_reusable(record, reuse_slot(grant), self._seal(minted), expires_after)
        if live.digest != record.digest:
            return self._reopen(live, grant, now)
        self._tell_issued(minted, now)
        return minted.response

    def _seal(self, minted: MintedToken) -> bytes:
        token = minted.response.access_token.encoded()
        return self._sealing_key.seal(token, _purpose(minted.records[0].digest))

    def _reopen(self, live: ReusableToken, grant: AccessGrant, now: int) -> TokenResponse:
        token = self._sealing_key.open(live.sealed, _purpose(live.digest)).decode()
        return TokenResponse(
            Secret(token),
            grant.rules.token_type,
            max(live.expires_at - now - grant.rules.expires_in_less_s, 0),
            format_scope(grant.scope) or None,
        )


async def end_token(store: TokenStore, live: LiveToken) -> None:
    """End a live token: a refresh token with all of its family, a JWT by its `jti`. RFC: 7009 section 2.1."""
    if live.jwt_id is not None:
        await store.revoke_jti(live.tenant_id, live.jwt_id, live.expires_at)
    elif live.kind == "refresh" and live.family is not None:
        await store.remove_family(live.family)
    elif live.digest is not None:
        await store.remove(live.digest)


def _purpose(digest: bytes) -> bytes:
    return b"token " + digest
