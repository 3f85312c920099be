"""Whether a token is alive at this moment, and what it stands for: opaque by its row, a JWT by its signature.

A token dies at once when its tenant or client is suspended, removed or moved to a new generation, when its key or it
itself is revoked, and by age. Nothing visits rows: the token carries its generation, or its row does.
RFC: 7662 section 2.2, RFC: 9068 section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from mintmark.authentication.keyed_hash import KeyedHash, name_generation
from mintmark.grants.rules import ClaimValue, Rules
from mintmark.protocol.secret import Secret
from mintmark.store.interface import TokenStore
from mintmark.store.records import ClientRecord, TenantRecord
from mintmark.tokens.jwt_reading import JwtUnreadable, read_jwt, read_unverified_issuer
from mintmark.tokens.keys import KeyRing
from mintmark.tokens.opaque import digest_token

CLOCK_SKEW_S: Final = 5
"""How far in the future another node may have dated a token."""


class LiveToken(msgspec.Struct, frozen=True):
    """What a live token stands for. Built by `TokenVerifier` alone."""

    tenant_id: str
    client_id: str
    scope: str
    audience: tuple[str, ...]
    issued_at: int
    expires_at: int
    jwt_id: str | None = None
    """None: opaque."""
    digest: bytes | None = None
    family: bytes | None = None
    kind: str = "access"


class Present(Protocol):
    """Tenants and clients as they are now, whichever process changed them."""

    async def refresh(self) -> None:
        """Take in what changed."""

    def find_tenant(self, tenant_id: str) -> tuple[TenantRecord, Rules] | None:
        """Return a tenant that is there and not suspended, with its rules."""

    def find_issuer(self, issuer: str) -> str | None:
        """Return the id of the tenant with this issuer identifier, or None."""

    async def find_client(self, tenant_id: str, client_id: str) -> ClientRecord | None:
        """Return a client, or None."""


class TokenVerifier:
    """Judges tokens."""

    def __init__(
        self,
        store: TokenStore,
        keys: KeyRing,
        keyed_hash: KeyedHash,
        *,
        present: Present,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._keys = keys
        self._keyed_hash = keyed_hash
        self._present = present
        self._clock = clock

    async def find_live(self, tenant_id: str, token: Secret, *, to_end: bool = False) -> LiveToken | None:
        """Return what a token stands for, or None if it is not alive, or not this tenant's.

        What changed before the call, in whichever process, counts.

        Args:
            to_end: a refresh token that was used counts as alive: its family may be, and can be revoked by it. So does
                a token dated in the future: another node's clock is ahead, and there it is alive already.
        """
        await self._present.refresh()
        found = self._present.find_tenant(tenant_id)
        if found is None:
            return None
        tenant, rules = found
        text = token.reveal()
        if text.count(".") == 2:
            live = await self._find_jwt(tenant, rules, text)
        else:
            live = await self._find_opaque(tenant, text, or_spent=to_end)
        now = self._clock()
        if live is None or now >= live.expires_at or (now < live.issued_at - CLOCK_SKEW_S and not to_end):
            return None
        return live

    async def find_live_anywhere(self, token: Secret) -> LiveToken | None:
        """Return what a token stands for, whichever tenant's it is, or None if it is not alive.

        What an unverified JWT says of its issuer only chooses the tenant whose keys then judge it.
        """
        await self._present.refresh()
        text = token.reveal()
        if text.count(".") == 2:
            tenant_id = self._present.find_issuer(read_unverified_issuer(text))
        else:
            record = await self._store.find(digest_token(text))
            tenant_id = None if record is None else record.tenant_id
        return None if tenant_id is None else await self.find_live(tenant_id, token)

    async def is_expired(self, tenant_id: str | None, token: Secret) -> bool:
        """Tell whether a token that is not alive died of age, as far as the store still knows it.

        `tenant_id` None: whichever tenant's.
        """
        record = await self._store.find(digest_token(token.reveal()))
        return record is not None and tenant_id in {None, record.tenant_id} and record.expires_at <= self._clock()

    async def _find_opaque(self, tenant: TenantRecord, text: str, *, or_spent: bool) -> LiveToken | None:
        record = await self._store.find(digest_token(text))
        if record is None or record.tenant_id != tenant.tenant_id:
            return None
        if record.used_at is not None and not or_spent:
            return None
        client = await self._live_client(tenant.tenant_id, record.client_id)
        if client is None:
            return None
        if (record.tenant_generation, record.client_generation) != (tenant.generation, client.generation):
            return None
        return LiveToken(
            record.tenant_id,
            record.client_id,
            record.scope,
            tuple(record.audience.split(" ")),
            record.issued_at,
            record.expires_at,
            digest=record.digest,
            family=record.family,
            kind=record.kind,
        )

    async def _find_jwt(self, tenant: TenantRecord, rules: Rules, text: str) -> LiveToken | None:
        keys = await self._keys.of(tenant.tenant_id)
        try:
            typ, jwt = read_jwt(text, keys.verifying)
        except JwtUnreadable:
            return None
        names = {row.value: row.claim for row in rules.jwt.claims if row.value is not None}
        live = _read_live(tenant, jwt, names)
        if live is None or jwt.get("iss") != tenant.issuer:
            return None
        client = await self._live_client(tenant.tenant_id, live.client_id)
        if client is None or not self._is_of_generation(live, tenant, client):
            return None
        # RFC 8725 section 3.11: what is no access token by its `typ` is none, whatever else it says.
        if typ not in {rules.token.typ, client.token_rules.get("typ")}:
            return None
        return None if await self._store.is_jti_revoked(tenant.tenant_id, str(live.jwt_id)) else live

    async def _live_client(self, tenant_id: str, client_id: str) -> ClientRecord | None:
        client = await self._present.find_client(tenant_id, client_id)
        return None if client is None or client.is_disabled else client

    def _is_of_generation(self, live: LiveToken, tenant: TenantRecord, client: ClientRecord) -> bool:
        try:
            octets = bytes.fromhex(str(live.jwt_id).replace("-", ""))
        except ValueError:
            return False
        bound_to = name_generation(live.tenant_id, live.client_id, tenant.generation, client.generation)
        return self._keyed_hash.is_stamped(octets, bound_to)


def _read_live(tenant: TenantRecord, jwt: dict[str, Any], names: dict[ClaimValue, str]) -> LiveToken | None:
    """Read the claims under the names that the tenant's system gives them; None if one is missing."""
    try:
        scope = jwt.get(names.get("scope") or names.get("scope_array") or "scope") or ""
        audience = jwt[names["audience"]]
        return LiveToken(
            tenant.tenant_id,
            jwt[names["client_id"]],
            scope if isinstance(scope, str) else " ".join(scope),
            (audience,) if isinstance(audience, str) else tuple(audience),
            jwt[names["issued_at"]],
            jwt[names["expires_at"]],
            jwt[names["jwt_id"]],
        )
    except KeyError:
        return None
