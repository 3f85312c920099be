"""Registered clients, looked up by id: bounded memory in front of the store, of which a change drops whom it concerns.

Those that asked last are at hand; many more are kept packed (`packing.py`), at some 0.3 KB each: a read of the store
costs more than all else that a request needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final, Generic, TypeVar

from mintmark.authentication.packing import Packing
from mintmark.store.interface import ClientStore
from mintmark.store.records import ClientRecord

MAX_CLIENT_ID_LENGTH: Final = 255
AT_HAND: Final = 4096

Value = TypeVar("Value")


class BoundedMemory(Generic[Value]):
    """Keeps up to `capacity` values; when it is full, a part of the oldest goes at once, which costs least."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._values: dict[str, Value] = {}
        self.get = self._values.get
        self.clear = self._values.clear
        self.pop = self._values.pop

    def put(self, key: str, value: Value) -> None:
        """Keep a value."""
        self._values[key] = value
        if len(self._values) > self._capacity:
            for oldest in list(islice(self._values, self._capacity // 16 + 1)):
                del self._values[oldest]


class ClientDirectory:
    """Finds clients, kept by tenant, a space and id.

    Answers read before `forget()` are not kept after it.
    """

    def __init__(self, store: ClientStore, *, capacity: int) -> None:
        self._store = store
        self._at_hand: BoundedMemory[ClientRecord] = BoundedMemory(min(AT_HAND, capacity))
        self._packed: BoundedMemory[bytes] = BoundedMemory(capacity)
        self._packing = Packing()
        self._era = 0
        self.hits = 0
        """Clients that came from memory."""
        self.misses = 0
        """Clients that the store was asked for."""

    def forget(self, changed: Iterable[tuple[str, str]] | None = None) -> None:
        """Drop these clients (tenant, client), because the store changed; None: all.

        Whichever they are: who is being read now is not kept, for the answer may be from before the change.
        """
        self._era += 1
        if changed is None:
            self._forget_all()
            return
        for tenant_id, client_id in changed:
            key = f"{tenant_id} {client_id}"
            self._at_hand.pop(key, None)
            self._packed.pop(key, None)

    def _forget_all(self) -> None:
        self._at_hand.clear()
        self._packed.clear()
        self._packing = Packing()

    async def read(self, tenant_id: str, client_id: str) -> None:
        """Do the work of finding a client that is not kept, for who must not tell the two apart."""
        await self._store.find(tenant_id, client_id)

    async def find(self, tenant_id: str, client_id: str) -> ClientRecord | None:
        """Return the client, or None. An id outside the grammar (RFC: 6749 appendix A.1) has no client."""
        key = f"{tenant_id} {client_id}"
        client = self._at_hand.get(key)
        if client is not None:
            self.hits += 1
            return client
        packed = self._packed.get(key)
        if packed is not None:
            self.hits += 1
            client = self._packing.unpack(packed, client_id)
            self._at_hand.put(key, client)
            return client
        if not is_client_id(client_id):
            return None
        self.misses += 1
        era = self._era
        client = await self._store.find(tenant_id, client_id)
        if client is not None and era == self._era:
            packed = self._packing.pack(client)
            self._packed.put(key, packed)
            # What was packed shares with others what it has in common with them; what was read does not.
            client = self._packing.unpack(packed, client_id)
            self._at_hand.put(key, client)
        return client


def is_client_id(text: str) -> bool:
    """Tell whether a text can be a client id: 1 to 255 visible ASCII characters or spaces. RFC: 6749 appendix A.1."""
    return 0 < len(text) <= MAX_CLIENT_ID_LENGTH and text.isascii() and text.isprintable()
