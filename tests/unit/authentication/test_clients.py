"""The memory in front of the store of clients."""

from __future__ import annotations

from mintmark.authentication.clients import BoundedMemory, ClientDirectory
from mintmark.store.records import ClientRecord


class Store:
    """Has every client, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def find(self, tenant_id: str, client_id: str) -> ClientRecord | None:
        self.asked += 1
        return ClientRecord(tenant_id=tenant_id, client_id=client_id, scope=("read",), token_rules={"lifetime_s": 60})


def test_a_full_memory_forgets_the_oldest_first():
    memory: BoundedMemory[int] = BoundedMemory(160)
    for number in range(200):
        memory.put(str(number), number)
    kept = [number for number in range(200) if memory.get(str(number)) is not None]
    assert kept == list(range(kept[0], 200))
    assert 140 <= len(kept) <= 160


async def test_a_client_that_is_kept_packed_is_the_same_client():
    store = Store()
    directory = ClientDirectory(store, capacity=10_000)  # type: ignore[arg-type]
    first = await directory.find("tenant", "client")
    for number in range(5_000):
        await directory.find("tenant", str(number))
    assert await directory.find("tenant", "client") == first
    assert store.asked == 5_001


async def test_nothing_is_kept_after_a_change():
    store = Store()
    directory = ClientDirectory(store, capacity=10)  # type: ignore[arg-type]
    await directory.find("tenant", "client")
    directory.forget()
    await directory.find("tenant", "client")
    assert (store.asked, directory.hits, directory.misses) == (2, 0, 2)


async def test_two_tenants_never_share_a_kept_client():
    directory = ClientDirectory(Store(), capacity=10)  # type: ignore[arg-type]
    await directory.find("one", "client")
    assert (await directory.find("two", "client")).tenant_id == "two"  # type: ignore[union-attr]
    assert directory.hits == 0
