"""Registered clients, looked up by id: bounded memory in front of the store, dropped when anything changed.

Those that asked last are at hand; many more are kept packed, at some 0.6 KB each: a read of the store costs more than
all else that a request needs.
"""

from __future__ import annotations

from itertools import islice
from typing import Final, Generic, TypeVar

import msgspec

from mintmark.store.interface import ClientStore
from mintmark.store.records import ClientRecord

MAX_CLIENT_ID_LENGTH: Final = 255
AT_HAND: Final = 4096

Value = TypeVar("Value")

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(ClientRecord).decode


class BoundedMemory(Generic[Value]):
    """Keeps up to `capacity` values; when it is full, a part of the oldest goes at once, which costs least."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._values: dict[str, Value] = {}
        self.get = self._values.get
        self.clear = self._values.clear

    def put(self, key: str, value: Value) -> None:
        """Keep a value."""
        self._values[key] = value
        if len(self._values) > self._capacity:
            for oldest in list(islice(self._values, self._capacity // 16 + 1)):
                del self._values[oldest]


class ClientDirectory:
    """Finds clients. `forget()` empties the memory; answers read before it are not kept after it."""

    def __init__(self, store: ClientStore, *, capacity: int) -> None:
        self._store = store
        self._at_hand: BoundedMemory[ClientRecord] = BoundedMemory(min(AT_HAND, capacity))
        self._packed: BoundedMemory[bytes] = BoundedMemory(capacity)
        self._era = 0
        self.hits = 0
        """Clients that came from memory."""
        self.misses = 0
        """Clients that the store was asked for."""

    def forget(self) -> None:
        """Drop everything kept, because the store changed."""
        self._era += 1
        self._at_hand.clear()
        self._packed.clear()

    async def read(self, tenant_id: str, client_id: str) -> None:
        """Do the work of finding a client that is not kept, for who must not tell the two apart."""
        await self._store.find(tenant_id, client_id)

    async def find(self, tenant_id: str, client_id: str) -> ClientRecord | None:
        """Return the client, or None. An id outside the grammar (RFC: 6749 appendix A.1) has no client."""
        key = _key_of(tenant_id, client_id)
        client = self._at_hand.get(key)
        if client is not None:
            self.hits += 1
            return client
        packed = self._packed.get(key)
        if packed is not None:
            self.hits += 1
            client = _unpack(packed)
            self._at_hand.put(key, client)
            return client
        if not is_client_id(client_id):
            return None
        self.misses += 1
        era = self._era
        client = await self._store.find(tenant_id, client_id)
        if client is not None and era == self._era:
            self._packed.put(key, _pack(client))
            self._at_hand.put(key, client)
        return client


def _key_of(tenant_id: str, client_id: str) -> str:
    """A tenant's id holds no space."""
    return f"{tenant_id} {client_id}"


def is_client_id(text: str) -> bool:
    """Tell whether a text can be a client id: 1 to 255 visible ASCII characters or spaces. RFC: 6749 appendix A.1."""
    return 0 < len(text) <= MAX_CLIENT_ID_LENGTH and text.isascii() and text.isprintable()
