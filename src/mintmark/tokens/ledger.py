"""Step 5 of the straight line: what must be kept of a token is committed before the token is shown.

A token that may be handed out again is sealed in its slot; of parallel requests, in any process, one mints.
"""

from __future__ import annotations

from mintmark.authentication.master_key import MasterKey
from mintmark.grants.policy import AccessGrant
from mintmark.protocol.messages import TokenResponse
from mintmark.protocol.scope import format_scope
from mintmark.protocol.secret import Secret
from mintmark.store.interface import TokenStore
from mintmark.store.records import ReusableToken
from mintmark.tokens.mint import MintedToken, reuse_slot


class TokenLedger:
    """Keeps minted tokens, and finds the live one of a slot."""

    def __init__(self, store: TokenStore, master_key: MasterKey) -> None:
        self._store = store
        self._master_key = master_key

    async def find_live(self, grant: AccessGrant, now: int) -> TokenResponse | None:
        """Return the answer with the live token of the grant's slot and its remaining seconds, or None."""
        if not grant.token.reuse:
            return None
        live = await self._store.find_reusable(reuse_slot(grant), now + grant.token.reuse_remainder_s)
        return None if live is None else self._reopen(live, grant, now)

    async def add(self, minted: MintedToken, now: int) -> TokenResponse:
        """Keep a minted token and return the answer to show: another's, if another took the slot first.

        Raises:
            StoreUnavailable: nothing was kept, so nothing may be shown.
        """
        if not minted.records:
            return minted.response
        if not minted.grant.token.reuse:
            await self._store.add(minted.records)
            return minted.response
        return await self._add_reusable(minted, now)

    async def _add_reusable(self, minted: MintedToken, now: int) -> TokenResponse:
        grant, record = minted.grant, minted.records[0]
        sealed = self._master_key.seal(minted.response.access_token.encoded(), _purpose(record.digest))
        live = await self._store.add_reusable(record, reuse_slot(grant), sealed, now + grant.token.reuse_remainder_s)
        return minted.response if live.digest == record.digest else self._reopen(live, grant, now)

    def _reopen(self, live: ReusableToken, grant: AccessGrant, now: int) -> TokenResponse:
        token = self._master_key.open(live.sealed, _purpose(live.digest)).decode()
        return TokenResponse(
            Secret(token),
            grant.rules.token_type,
            live.expires_at - now,
            format_scope(grant.scope) or None,
        )


def _purpose(digest: bytes) -> bytes:
    return b"token " + digest
