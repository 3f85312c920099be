"""Step 4 of the straight line: from a grant to token values. Pure: clock, randomness and keys are arguments."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import msgspec

from mintmark.authentication.keyed_hash import KeyedHash, name_generation
from mintmark.grants.memory import MAX_GRANTS
from mintmark.grants.policy import AccessGrant
from mintmark.protocol.messages import TokenResponse
from mintmark.protocol.scope import format_scope
from mintmark.protocol.secret import Secret
from mintmark.store.records import ReuseSlot, TokenRecord
from mintmark.tokens.id_token import mint_id_token
from mintmark.tokens.jwt_profile import JTI_OCTETS, Moment, mint_jwt
from mintmark.tokens.keys import TenantKeys
from mintmark.tokens.opaque import Randomness, digest_token, format_uuid, mint_opaque


class MintedToken(msgspec.Struct, frozen=True, gc=False):
    """Token values and what the store must keep of them. Built by `mint_access_token` alone."""

    grant: AccessGrant
    response: TokenResponse
    records: tuple[TokenRecord, ...] = ()
    """Nothing for a JWT: it needs no row."""
    moment: Moment | None = None
    """A JWT's times and its `jti`; None: opaque."""


def mint_access_token(
    grant: AccessGrant, keys: TenantKeys, keyed_hash: KeyedHash, *, now: int, randomness: Randomness
) -> MintedToken:
    """Make the access token that a grant asks for, with its refresh token and id_token where the system has them.

    Args:
        now: the moment of issue, whole seconds since 1970-01-01T00:00:00Z.
        randomness: gives that many random octets (`os.urandom`).

    Raises:
        KeyMissing: the tenant has no active key of the algorithm.
    """
    moment: Moment | None = None
    if grant.token.form == "jwt":
        moment = _new_moment(grant, keyed_hash, now, randomness)
        access_token = mint_jwt(grant, moment, keys.signing_key(grant.token.alg))
        records: tuple[TokenRecord, ...] = ()
    else:
        access_token = mint_opaque(grant.rules.opaque, randomness)
        records = (_record(grant, access_token, "access", now, grant.token.lifetime_s),)
    refresh_token, refresh_records = _mint_refresh_token(grant, now, randomness)
    if refresh_records:
        records = _join_family(grant, records + refresh_records)
    response = TokenResponse(
        Secret(access_token),
        grant.rules.token_type,
        max(grant.token.lifetime_s - grant.rules.expires_in_less_s, 0),
        format_scope(grant.scope) or None,
        refresh_token,
        _mint_id_token(grant, keys, keyed_hash, now=now, randomness=randomness),
    )
    return MintedToken(grant, response, records, moment)


def _new_moment(grant: AccessGrant, keyed_hash: KeyedHash, now: int, randomness: Randomness) -> Moment:
    jti = keyed_hash.stamp_jti(randomness(JTI_OCTETS), generation_of(grant))
    return Moment(now, now + grant.token.lifetime_s, format_uuid(jti))


@lru_cache(maxsize=MAX_GRANTS)
def generation_of(grant: AccessGrant) -> bytes:
    """Return what a token's mark binds it to."""
    return name_generation(grant.tenant_id, grant.client_id, grant.tenant_generation, grant.client_generation)


def reuse_slot(grant: AccessGrant) -> ReuseSlot:
    """Return the slot in which the live token of a grant like this one stands: scope in any order is one scope."""
    return ReuseSlot(
        grant.tenant_id,
        grant.client_id,
        format_scope(tuple(sorted(grant.scope))),
        format_scope(grant.audience),
        grant.tenant_generation,
        grant.client_generation,
    )


def _join_family(grant: AccessGrant, records: tuple[TokenRecord, ...]) -> tuple[TokenRecord, ...]:
    """A family is what descends from one grant; its name is the digest of its first record."""
    family = grant.refresh.family if grant.refresh else records[0].digest
    return tuple(msgspec.structs.replace(record, family=family) for record in records)


def _mint_refresh_token(
    grant: AccessGrant, now: int, randomness: Randomness
) -> tuple[Secret | None, tuple[TokenRecord, ...]]:
    form = grant.rules.refresh_token
    if form is None:
        return None, ()
    refresh_token = mint_opaque(form, randomness)
    record = _record(grant, refresh_token, "refresh", now, form.lifetime_s)
    return Secret(refresh_token), (record,)


def _mint_id_token(
    grant: AccessGrant, keys: TenantKeys, keyed_hash: KeyedHash, *, now: int, randomness: Randomness
) -> Secret | None:
    form = grant.rules.id_token
    if form is None:
        return None
    moment, signing = _new_moment(grant, keyed_hash, now, randomness), keys.signing_key(grant.token.alg)
    return Secret(mint_id_token(form, grant, moment, signing=signing, encryption=keys.encryption_key))


def _record(
    grant: AccessGrant, token: str, kind: Literal["access", "refresh"], now: int, lifetime_s: int
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
        grant.tenant_generation,
        grant.client_generation,
    )
