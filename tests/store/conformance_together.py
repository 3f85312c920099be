"""What a store promises of many changes in one transaction."""

from __future__ import annotations

import asyncio

import pytest

from mintmark.protocol.errors import AlreadyExists, NotFound
from mintmark.store.interface import Store
from mintmark.store.records import Act

from .samples import NOW, client, tenant


class TogetherConformance:
    async def test_changes_of_a_block_are_seen_by_others_at_its_end(self, store: Store, another_process: Store) -> None:
        async with store.together() as together:
            await together.tenants.add(tenant("acme"), [])
            await together.clients.add([client("meter")])
            assert await together.clients.find("acme", "meter") is not None
            assert await another_process.tenants.find("acme") is None
            assert await store.tenants.find("acme") is None
        assert await another_process.clients.find("acme", "meter") is not None
        assert await store.clients.find("acme", "meter") is not None

    async def test_of_a_block_that_raises_nothing_stays(self, store: Store) -> None:
        revision = await store.deployment.revision()
        with pytest.raises(RuntimeError):
            async with store.together() as together:
                await together.acting(Act(kind="probe", at=NOW, actor="local:me")).tenants.add(tenant("acme"), [])
                raise RuntimeError
        assert await store.tenants.find("acme") is None
        assert await store.audit.head() == (0, bytes(32))
        assert await store.deployment.revision() == revision

    async def test_in_a_block_what_fails_leaves_no_trace_and_the_rest_goes_on(self, store: Store) -> None:
        async with store.together() as together:
            await together.tenants.add(tenant("acme"), [])
            with pytest.raises(AlreadyExists):
                await together.clients.add([client("a"), client("a")])
            with pytest.raises(NotFound):
                await together.clients.remove("acme", "nobody")
            await together.clients.add([client("b")])
        assert [one.client_id for one in await store.clients.page("acme", "", 9)] == ["b"]

    async def test_records_of_a_block_are_one_chain_with_the_others(self, store: Store) -> None:
        act = Act(kind="probe", at=NOW, actor="local:me")
        await store.acting(act).tenants.add(tenant("first"), [])
        async with store.together() as together:
            await together.acting(act).tenants.add(tenant("second"), [])
            await together.acting(act).tenants.change("second", {"title": "Two"})
        records = await store.audit.after(0, 9)
        assert [record.subject for record in records] == ["tenant first", "tenant second", "tenant second"]
        assert [record.previous for record in records[1:]] == [record.hash for record in records[:-1]]

    async def test_others_write_when_a_block_has_ended(self, store: Store, another_process: Store) -> None:
        async with store.together() as together:
            await together.tenants.add(tenant("acme"), [])
            waiting = asyncio.create_task(another_process.clients.add([client("meter")]))
            await asyncio.sleep(0.05)
            assert not waiting.done()
        await waiting
        assert await store.clients.find("acme", "meter") is not None

    async def test_of_two_blocks_one_waits_for_the_other(self, store: Store, another_process: Store) -> None:
        order: list[str] = []

        async def add(one: Store, name: str) -> None:
            async with one.together() as together:
                order.append(name)
                await together.tenants.add(tenant(name, hosts=()), [])
                await asyncio.sleep(0.02)
                order.append(name)

        await asyncio.gather(add(store, "a"), add(another_process, "b"))
        assert order in (["a", "a", "b", "b"], ["b", "b", "a", "a"])
