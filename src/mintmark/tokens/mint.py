"""Step 4 of the straight line: from a grant to token values. Pure: clock, randomness and keys are arguments."""

from __future__ import annotations

from typing import Literal

import msgspec

from mintmark.grants.policy import AccessGrant
from mintmark.protocol.messages import TokenResponse
from mintmark.protocol.scope import format_scope
from mintmark.protocol.secret import Secret
from mintmark.store.records import ReuseSlot, TokenRecord
from mintmark.tokens.id_token import mint_id_token
from mintmark.tokens.jwt_profile import JTI_OCTETS, Moment, mint_jwt
from mintmark.tokens.keys import SigningKey, TenantKeys
from mintmark.tokens.opaque import Randomness, digest_token, mint_opaque


class KeyMissing(Exception):
    """The tenant has no active key for what its rules ask: a fault of ours, never the caller's."""


class MintedToken(msgspec.Struct, frozen=True, gc=False):
    """Token values and what the store must keep of them. Built by `mint_access_token` alone."""

    grant: AccessGrant
    response: TokenResponse
    records: tuple[TokenRecord, ...] = ()
    """Nothing for a JWT: it needs no row."""


def mint_access_token(grant: AccessGrant, keys: TenantKeys, *, now: int, randomness: Randomness) -> MintedToken:
    """Make the access token that a grant asks for, with its refresh token and id_token where the system has them.

    Args:
        now: the moment of issue, whole seconds since 1970-01-01T00:00:00Z.
        randomness: gives that many random octets (`os.urandom`).

    Raises:
        KeyMissing: the tenant has no active key of the algorithm.
    """
    moment = Moment(now, grant.token.lifetime_s, randomness(JTI_OCTETS))
    if grant.token.form == "jwt":
        access_token = mint_jwt(grant, moment, _signing_key(keys, grant))
        records: tuple[TokenRecord, ...] = ()
    else:
        access_token = mint_opaque(grant.rules.opaque, randomness)
        records = (_record(grant, access_token, "access", now, grant.token.lifetime_s),)
    refresh_token, refresh_records = _mint_refresh_token(grant, now, randomness, records)
    response = TokenResponse(
        Secret(access_token),
        grant.rules.token_type,
        max(grant.token.lifetime_s - grant.rules.expires_in_less_s, 0),
        format_scope(grant.scope) or None,
        refresh_token,
        _mint_id_token(grant, moment, keys),
    )
    return MintedToken(grant, response, records + refresh_records)


def reuse_slot(grant: AccessGrant) -> ReuseSlot:
    """Return the slot in which the live token of a grant like this one stands: scope in any order is one scope."""
    return ReuseSlot(
        grant.tenant_id,
        grant.client_id,
        format_scope(tuple(sorted(grant.scope))),
        format_scope(grant.audience),
    )


def _mint_refresh_token(
    grant: AccessGrant, now: int, randomness: Randomness, access: tuple[TokenRecord, ...]
) -> tuple[Secret | None, tuple[TokenRecord, ...]]:
    form = grant.rules.refresh_token
    if form is None:
        return None, ()
    refresh_token = mint_opaque(form, randomness)
    family = access[0].digest if access else None
    record = _record(grant, refresh_token, "refresh", now, form.lifetime_s, family)
    return Secret(refresh_token), (record,)


def _mint_id_token(grant: AccessGrant, moment: Moment, keys: TenantKeys) -> Secret | None:
    form = grant.rules.id_token
    if form is None:
        return None
    if keys.encryption is None:
        raise KeyMissing(f"tenant {grant.tenant_id} has no active encryption key")
    signing = _signing_key(keys, grant)
    return Secret(mint_id_token(form, grant, moment, signing=signing, encryption=keys.encryption))


def _signing_key(keys: TenantKeys, grant: AccessGrant) -> SigningKey:
    key = keys.signing.get(grant.token.alg)
    if key is None:
        raise KeyMissing(f"tenant {grant.tenant_id} has no active {grant.token.alg} key")
    return key


def _record(
    grant: AccessGrant,
    token: str,
    kind: Literal["access", "refresh"],
    now: int,
    lifetime_s: int,
    family: bytes | None = None,
) -> TokenRecord:
    return TokenRecord(
        digest_token(token),
        grant.tenant_id,
        grant.client_id,
        kind,
        format_scope(grant.scope),
        format_scope(grant.audience),
        now,
        now + lifetime_s,
        family,
    )
