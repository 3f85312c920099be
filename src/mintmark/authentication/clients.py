"""Registered clients, looked up by id: bounded memory in front of the store, dropped when anything changed."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from mintmark.store.interface import ClientStore
from mintmark.store.records import ClientRecord

MAX_CLIENT_ID_LENGTH: Final = 255


class ClientDirectory:
    """Finds clients. `forget()` empties the memory; answers read before it are not kept after it."""

    def __init__(self, store: ClientStore, *, capacity: int) -> None:
        self._store = store
        self._capacity = capacity
        self._kept: OrderedDict[tuple[str, str], ClientRecord] = OrderedDict()
        self._era = 0
        self.hits = 0
        """Clients that came from memory."""
        self.misses = 0
        """Clients that the store was asked for."""

    def forget(self) -> None:
        """Drop everything kept, because the store changed."""
        self._era += 1
        self._kept.clear()

    def is_kept(self, tenant_id: str, client_id: str) -> bool:
        """Tell whether the client would come from memory."""
        return (tenant_id, client_id) in self._kept

    async def read(self, tenant_id: str, client_id: str) -> None:
        """Do the work of finding a client that is not kept, for who must not tell the two apart."""
        await self._store.find(tenant_id, client_id)

    async def find(self, tenant_id: str, client_id: str) -> ClientRecord | None:
        """Return the client, or None. An id outside the grammar (RFC: 6749 appendix A.1) has no client."""
        key = (tenant_id, client_id)
        kept = self._kept.get(key)
        if kept is not None:
            self.hits += 1
            return kept
        if not is_client_id(client_id):
            return None
        self.misses += 1
        era = self._era
        client = await self._store.find(tenant_id, client_id)
        if client is not None and era == self._era:
            self._keep(key, client)
        return client

    def _keep(self, key: tuple[str, str], client: ClientRecord) -> None:
        self._kept[key] = client
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)


def is_client_id(text: str) -> bool:
    """Tell whether a text can be a client id: 1 to 255 visible ASCII characters or spaces. RFC: 6749 appendix A.1."""
    return 0 < len(text) <= MAX_CLIENT_ID_LENGTH and text.isascii() and text.isprintable()
