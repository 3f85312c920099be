"""Registered clients in few octets: what many have in common is kept once, and whoever keeps one knows its id."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from mintmark.store.records import ClientRecord, SecretRecord

MAX_KINDS: Final = 4096
"""A client of a further kind is packed whole, so that what differs in each client costs no more than its room."""

_Secret = tuple[str, bool, bytes, str, int, int | None, int | None]
_Client = tuple[int | bytes, str, int, int, int, tuple[_Secret, ...]]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Client).decode
_decode_kind = msgspec.msgpack.Decoder(ClientRecord).decode


class Packing:
    """Packs clients and unpacks them again. A kind: all of a client but its names, its secrets and its ages."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._kinds: list[ClientRecord] = []

    def pack(self, client: ClientRecord) -> bytes:
        """Return all of a client but its id."""
        secrets = [_pack_secret(secret) for secret in client.secrets]
        own = (client.client_name, client.created_at, client.generation, client.version, secrets)
        return _encode((self._kind_of(client), *own))

    def unpack(self, packed: bytes, client_id: str) -> ClientRecord:
        """Return the client that was packed."""
        number, name, created_at, generation, version, secrets = _decode(packed)
        kind = self._kinds[number] if isinstance(number, int) else _decode_kind(number)
        return replace(
            kind,
            client_id=client_id,
            client_name=name,
            created_at=created_at,
            generation=generation,
            version=version,
            secrets=tuple([_unpack_secret(secret, kind.tenant_id, client_id) for secret in secrets]),
        )

    def _kind_of(self, client: ClientRecord) -> int | bytes:
        """Return the number of the client's kind, or, where there are too many, the kind itself."""
        kind = replace(client, client_id="", client_name="", created_at=0, generation=0, version=0, secrets=())
        packed = _encode(kind)
        number = self._numbers.get(packed)
        if number is None:
            if len(self._kinds) >= MAX_KINDS:
                return packed
            number = self._numbers[packed] = len(self._kinds)
            self._kinds.append(kind)
        return number


def _pack_secret(secret: SecretRecord) -> _Secret:
    is_chosen = secret.kind == "argon2id"
    octets = secret.hash.encode() if is_chosen else bytes.fromhex(secret.hash)
    return (
        secret.secret_id,
        is_chosen,
        octets,
        secret.label,
        secret.created_at,
        secret.expires_at,
        secret.last_used_at,
    )


def _unpack_secret(packed: _Secret, tenant_id: str, client_id: str) -> SecretRecord:
    secret_id, is_chosen, octets, label, created_at, expires_at, last_used_at = packed
    return SecretRecord(
        secret_id=secret_id,
        tenant_id=tenant_id,
        client_id=client_id,
        kind="argon2id" if is_chosen else "hmac-sha256",
        hash=octets.decode() if is_chosen else octets.hex(),
        label=label,
        created_at=created_at,
        expires_at=expires_at,
        last_used_at=last_used_at,
    )
