"""A tenant's keys: making them, opening the sealed half, whose turn it is to sign, and the public half as JWKs.

RFC: 7517, 7518, 7638.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from math import inf
from typing import Final, Literal

import msgspec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from joserfc.jwk import OctKey

from mintmark.authentication.master_key import SealingKey
from mintmark.protocol.errors import MintmarkError
from mintmark.store.interface import KeyStore
from mintmark.store.records import KeyRecord
from mintmark.tokens.algorithms import ALGORITHMS, Sign, Verify

CACHE_S: Final = 300
"""Seconds that a verifier may keep a key set; a new key is announced for longer before it signs."""

ENCRYPTION_ALG: Final = "A256GCM"
ENCRYPTION_OCTETS: Final = 32
JWK_MEMBERS: Final = ("kty", "crv", "n", "e", "x", "y", "pub")

KeyState = Literal["announced", "active", "retired", "revoked"]


class KeyMissing(MintmarkError):
    """A tenant has no active key for what its rules ask: a fault of ours, never the caller's."""


class SigningKey(msgspec.Struct, frozen=True):
    """A key ready to sign: `sign(octets)` gives a JWS signature."""

    kid: str
    alg: str
    sign: Sign

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r}, alg={self.alg!r})"


class VerifyingKey(msgspec.Struct, frozen=True):
    """The public half of a key, ready to verify: signature and signed octets in."""

    alg: str
    verify: Verify


class EncryptionKey(msgspec.Struct, frozen=True):
    """A tenant's symmetric key, for claims that its resource servers decrypt."""

    kid: str
    jwk: OctKey

    def __repr__(self) -> str:
        return f"EncryptionKey(kid={self.kid!r})"


class TenantKeys:
    """What one tenant signs and encrypts with, and the JWKS that it publishes, at a moment (seconds).

    A private half is opened when it is first asked for: one that does not open harms only what needs it.
    """

    def __init__(self, records: Sequence[KeyRecord], sealing_key: SealingKey, now: int) -> None:
        active = [record for record in records if describe_key_state(record, records, now) == "active"]
        self._sealing_key = sealing_key
        self._signing = {record.alg: record for record in active if record.use == "sig"}
        self._encryption = next((record for record in active if record.use == "enc"), None)
        self._opened: dict[str, SigningKey] = {}
        self._published = published_keys(records)
        self.jwks = encode_jwks(self._published)
        self.until: float = min((record.active_from for record in records if record.active_from > now), default=inf)
        """When another key's turn comes: seconds since 1970-01-01T00:00:00Z."""

    def signing_key(self, alg: str) -> SigningKey:
        """Return the key that signs with an algorithm. Raises: KeyMissing, SealBroken."""
        opened = self._opened.get(alg)
        if opened is None:
            if alg not in self._signing:
                raise KeyMissing(f"there is no active {alg} key")
            opened = self._opened[alg] = open_signing_key(self._signing[alg], self._sealing_key)
        return opened

    @cached_property
    def encryption_key(self) -> EncryptionKey:
        """The key for claims that the tenant's resource servers decrypt. Raises: KeyMissing, SealBroken."""
        if self._encryption is None:
            raise KeyMissing("there is no active encryption key")
        return open_encryption_key(self._encryption, self._sealing_key)

    @cached_property
    def verifying(self) -> dict[str, VerifyingKey]:
        """Every key that is published, by `kid`."""
        return {
            record.kid: VerifyingKey(record.alg, ALGORITHMS[record.alg].make_verify(record.public_jwk))
            for record in self._published
        }

    def __repr__(self) -> str:
        return f"TenantKeys({[record.kid for record in self._published]})"


def generate_signing_key(
    tenant_id: str, alg: str, *, kid: str, now: int, sealing_key: SealingKey, active_from: int | None = None
) -> KeyRecord:
    """Make a signing key, its private half sealed under the master key (PKCS#8 DER, bound to tenant and kid)."""
    private_key = ALGORITHMS[alg].generate()
    der = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = ALGORITHMS[alg].export(private_key.public_key())
    jwk = {"kid": kid, "use": "sig", "alg": alg} | {name: public[name] for name in JWK_MEMBERS if name in public}
    return KeyRecord(
        kid=kid,
        tenant_id=tenant_id,
        use="sig",
        alg=alg,
        active_from=now if active_from is None else active_from,
        public_jwk=jwk,
        sealed=sealing_key.seal(der, _purpose(tenant_id, kid)),
        created_at=now,
    )


def generate_encryption_key(tenant_id: str, *, kid: str, now: int, sealing_key: SealingKey) -> KeyRecord:
    """Make a symmetric key (256 bits), sealed under the master key."""
    return KeyRecord(
        kid=kid,
        tenant_id=tenant_id,
        use="enc",
        alg=ENCRYPTION_ALG,
        active_from=now,
        public_jwk={},
        sealed=sealing_key.seal(secrets.token_bytes(ENCRYPTION_OCTETS), _purpose(tenant_id, kid)),
        created_at=now,
    )


def open_encryption_key(record: KeyRecord, sealing_key: SealingKey) -> EncryptionKey:
    """Unseal a symmetric key. Raises: SealBroken."""
    octets = sealing_key.open(record.sealed, _purpose(record.tenant_id, record.kid))
    return EncryptionKey(record.kid, OctKey.import_key(octets, {"kid": record.kid, "use": "enc", "alg": "dir"}))


def open_signing_key(record: KeyRecord, sealing_key: SealingKey) -> SigningKey:
    """Unseal a signing key. Raises: SealBroken."""
    der = sealing_key.open(record.sealed, _purpose(record.tenant_id, record.kid))
    # The row was authenticated by its seal; checking RSA's numbers again would cost the start 50 ms a key.
    private_key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    return SigningKey(record.kid, record.alg, ALGORITHMS[record.alg].make_sign(private_key))


def _purpose(tenant_id: str, kid: str) -> bytes:
    return f"key {tenant_id} {kid}".encode()


class KeyRing:
    """The opened keys of each tenant, kept until `forget()` or until another key's turn comes."""

    def __init__(self, store: KeyStore, sealing_key: SealingKey, clock: Callable[[], float]) -> None:
        self._store = store
        self._sealing_key = sealing_key
        self._clock = clock
        self._opened: dict[str, TenantKeys] = {}
        self._era = 0

    def forget(self) -> None:
        """Drop every opened key, because the store changed."""
        self._era += 1
        self._opened.clear()

    async def of(self, tenant_id: str) -> TenantKeys:
        """Return the tenant's keys as they are at this moment."""
        now = self._clock()
        opened = self._opened.get(tenant_id)
        if opened is None or opened.until <= now:
            era = self._era
            opened = TenantKeys(await self._store.list(tenant_id), self._sealing_key, int(now))
            if era == self._era:
                self._opened[tenant_id] = opened
        return opened


def describe_key_state(record: KeyRecord, records: Iterable[KeyRecord], now: int) -> KeyState:
    """Tell whether a key is announced, active, retired or revoked, among its tenant's at a moment (seconds)."""
    if record.revoked_at is not None:
        return "revoked"
    if record.active_from > now:
        return "announced"
    alike = [other for other in records if (other.use, other.alg) == (record.use, record.alg)]
    began = [other for other in alike if other.active_from <= now and other.revoked_at is None]
    return "active" if max(began, key=_seniority).kid == record.kid else "retired"


def _seniority(record: KeyRecord) -> tuple[int, int, str]:
    return record.active_from, record.created_at, record.kid


def published_keys(records: Iterable[KeyRecord]) -> list[KeyRecord]:
    """Return the signing keys that verify, and those that soon will: all but the revoked."""
    return [record for record in records if record.use == "sig" and record.revoked_at is None]


def encode_jwks(records: Iterable[KeyRecord]) -> bytes:
    """Write the public halves of published keys. RFC: 7517 section 5."""
    keys = [record.public_jwk for record in records]
    return json.dumps({"keys": keys}, separators=(",", ":")).encode()
