"""Records to test with, each of which differs from a plain one only in what its test is about."""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec

from mintmark.store.records import (
    ClientRecord,
    KeyRecord,
    ReuseSlot,
    SecretRecord,
    TenantRecord,
    TokenRecord,
)

Registered = TypeVar("Registered", TenantRecord, ClientRecord)

NOW = 1_800_000_000


def digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def token(name: str, expires_at: int = NOW + 3600) -> TokenRecord:
    return TokenRecord(digest(name), "acme", "meter", "access", "read", "https://api.example", NOW, expires_at, 1, 1)


def slot(scope: str = "read", tenant_generation: int = 1, client_generation: int = 1) -> ReuseSlot:
    return ReuseSlot("acme", "meter", scope, "https://api.example", tenant_generation, client_generation)


def refresh(name: str, family: str | None = None, **changes: object) -> TokenRecord:
    record = token(name)
    family_digest = None if family is None else digest(family)
    return msgspec.structs.replace(record, **{"kind": "refresh", "family": family_digest, **changes})


def tenant(tenant_id: str = "acme", **changes: object) -> TenantRecord:
    record = TenantRecord(tenant_id=tenant_id, dialect="oauth2", issuer=f"https://{tenant_id}.example")
    return msgspec.structs.replace(record, **changes)


def secret(secret_id: str, client_id: str = "meter", created_at: int = NOW) -> SecretRecord:
    return SecretRecord(
        secret_id=secret_id,
        tenant_id="acme",
        client_id=client_id,
        kind="hmac-sha256",
        hash="0" * 64,
        created_at=created_at,
    )


def client(client_id: str = "meter", **changes: object) -> ClientRecord:
    return msgspec.structs.replace(ClientRecord(tenant_id="acme", client_id=client_id), **changes)


def key(kid: str, **changes: object) -> KeyRecord:
    record = KeyRecord(
        kid=kid,
        tenant_id="acme",
        use="sig",
        alg="ES256",
        active_from=1,
        public_jwk={"kty": "EC", "crv": "P-256"},
        sealed=b"\x00sealed\xff",
        created_at=NOW,
    )
    return msgspec.structs.replace(record, **changes)


def first_generation(record: Registered | None) -> Registered:
    """Return the record as a test writes it: which generation and version it got is the store's affair."""
    assert record is not None
    return msgspec.structs.replace(record, generation=1, version=1)
