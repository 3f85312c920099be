"""A tenant's keys: making them, opening the sealed half, signing, and the public half as JWKs.

RFC: 7517, 7518, 7638, 8037.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any, Final, Literal, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from mintmark.authentication.master_key import MasterKey
from mintmark.store.interface import KeyStore
from mintmark.store.records import KeyRecord

RSA_BITS: Final = 2048
P256_OCTETS: Final = 32
ENCRYPTION_ALG: Final = "A256GCM"
ENCRYPTION_OCTETS: Final = 32

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Sign = Callable[[bytes], bytes]
KeyState = Literal["announced", "active", "retired"]


class SigningKey(msgspec.Struct, frozen=True):
    """A key ready to sign: `sign(octets)` gives a JWS signature."""

    kid: str
    alg: str
    sign: Sign

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r}, alg={self.alg!r})"


class EncryptionKey(msgspec.Struct, frozen=True):
    """A tenant's symmetric key, for claims that its resource servers decrypt."""

    kid: str
    jwk: OctKey

    def __repr__(self) -> str:
        return f"EncryptionKey(kid={self.kid!r})"


class TenantKeys(msgspec.Struct, frozen=True):
    """What one tenant signs and encrypts with, and the JWKS that it publishes."""

    signing: dict[str, SigningKey]
    encryption: EncryptionKey | None
    jwks: bytes
    until: float = inf
    """When another key's turn comes: seconds since 1970-01-01T00:00:00Z."""


class AlgorithmRow(NamedTuple):
    """How one JWS algorithm makes its key, signs, and writes its JWK. RFC: 7518 section 3.1, RFC: 8037."""

    generate: Callable[[], PrivateKey]
    signer: Callable[[Any], Sign]
    export: Callable[[Any], RSAKey | ECKey | OKPKey]


def _rs256(key: rsa.RSAPrivateKey) -> Sign:
    scheme, digest = padding.PKCS1v15(), SHA256()
    return lambda octets: key.sign(octets, scheme, digest)


def _es256(key: ec.EllipticCurvePrivateKey) -> Sign:
    algorithm = ec.ECDSA(SHA256())

    def sign(octets: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(octets, algorithm))
        return r.to_bytes(P256_OCTETS, "big") + s.to_bytes(P256_OCTETS, "big")

    return sign


def _eddsa(key: ed25519.Ed25519PrivateKey) -> Sign:
    return key.sign


ALGORITHMS: Final[dict[str, AlgorithmRow]] = {
    "RS256": AlgorithmRow(lambda: rsa.generate_private_key(65537, RSA_BITS), _rs256, RSAKey.import_key),
    "ES256": AlgorithmRow(lambda: ec.generate_private_key(ec.SECP256R1()), _es256, ECKey.import_key),
    "EdDSA": AlgorithmRow(ed25519.Ed25519PrivateKey.generate, _eddsa, OKPKey.import_key),
}


def generate_signing_key(
    tenant_id: str, alg: str, *, kid: str, now: int, master_key: MasterKey, active_from: int | None = None
) -> KeyRecord:
    """Make a signing key, its private half sealed under the master key (PKCS#8 DER, bound to tenant and kid)."""
    private_key = ALGORITHMS[alg].generate()
    der = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = ALGORITHMS[alg].export(private_key.public_key()).as_dict(private=False)
    jwk = {"kid": kid, "use": "sig", "alg": alg} | {
        name: public[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in public
    }
    return KeyRecord(
        kid=kid,
        tenant_id=tenant_id,
        use="sig",
        alg=alg,
        active_from=now if active_from is None else active_from,
        public_jwk=jwk,
        sealed=master_key.seal(der, _purpose(tenant_id, kid)),
        created_at=now,
    )


def generate_encryption_key(tenant_id: str, *, kid: str, now: int, master_key: MasterKey) -> KeyRecord:
    """Make a symmetric key (256 bits), sealed under the master key."""
    return KeyRecord(
        kid=kid,
        tenant_id=tenant_id,
        use="enc",
        alg=ENCRYPTION_ALG,
        active_from=now,
        public_jwk={},
        sealed=master_key.seal(secrets.token_bytes(ENCRYPTION_OCTETS), _purpose(tenant_id, kid)),
        created_at=now,
    )


def open_encryption_key(record: KeyRecord, master_key: MasterKey) -> EncryptionKey:
    """Unseal a symmetric key. Raises: SealBroken."""
    octets = master_key.open(record.sealed, _purpose(record.tenant_id, record.kid))
    return EncryptionKey(record.kid, OctKey.import_key(octets, {"kid": record.kid}))


def open_signing_key(record: KeyRecord, master_key: MasterKey) -> SigningKey:
    """Unseal a signing key. Raises: SealBroken."""
    der = master_key.open(record.sealed, _purpose(record.tenant_id, record.kid))
    # The row was authenticated by its seal; checking RSA's numbers again would cost the start 50 ms a key.
    private_key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    return SigningKey(record.kid, record.alg, ALGORITHMS[record.alg].signer(private_key))


def _purpose(tenant_id: str, kid: str) -> bytes:
    return f"key {tenant_id} {kid}".encode()


class KeyRing:
    """The opened keys of each tenant, kept until `forget()` or until another key's turn comes."""

    def __init__(self, store: KeyStore, master_key: MasterKey, clock: Callable[[], float]) -> None:
        self._store = store
        self._master_key = master_key
        self._clock = clock
        self._opened: dict[str, TenantKeys] = {}
        self._era = 0

    def forget(self) -> None:
        """Drop every opened key, because the store changed."""
        self._era += 1
        self._opened.clear()

    async def of(self, tenant_id: str) -> TenantKeys:
        """Return the tenant's keys as they are at this moment. Raises: SealBroken."""
        now = self._clock()
        opened = self._opened.get(tenant_id)
        if opened is None or opened.until <= now:
            era = self._era
            opened = open_keys(await self._store.list(tenant_id), self._master_key, int(now))
            if era == self._era:
                self._opened[tenant_id] = opened
        return opened


def open_keys(records: Sequence[KeyRecord], master_key: MasterKey, now: int) -> TenantKeys:
    """Open, of each use and algorithm, the key whose turn it is. Raises: SealBroken."""
    active = [record for record in records if describe_key_state(record, records, now) == "active"]
    signing = {record.alg: open_signing_key(record, master_key) for record in active if record.use == "sig"}
    encryption = [open_encryption_key(record, master_key) for record in active if record.use == "enc"]
    turns = [record.active_from for record in records if record.active_from > now]
    return TenantKeys(signing, encryption[0] if encryption else None, encode_jwks(records), min(turns, default=inf))


def describe_key_state(record: KeyRecord, records: Iterable[KeyRecord], now: int) -> KeyState:
    """Tell whether a key is announced, active or retired, among its tenant's keys at a moment (seconds)."""
    if record.active_from > now:
        return "announced"
    began = [other for other in records if (other.use, other.alg) == (record.use, record.alg)]
    newest = max((other for other in began if other.active_from <= now), key=_seniority)
    return "active" if newest.kid == record.kid else "retired"


def _seniority(record: KeyRecord) -> tuple[int, int, str]:
    return record.active_from, record.created_at, record.kid


def encode_jwks(records: Iterable[KeyRecord]) -> bytes:
    """Write the public halves of all signing keys: those that verify, and those that soon will. RFC: 7517 section 5."""
    public = [record.public_jwk for record in records if record.use == "sig"]
    return json.dumps({"keys": public}, separators=(",", ":")).encode()
