"""What a store promises of many changes in one transaction."""

from __future__ import annotations

import asyncio

import pytest

from mintmark.protocol.errors import AlreadyExists, NotFound, StaleVersion, StoreUnavailable
from mintmark.store.interface import Store
from mintmark.store.records import Act, Rewrite, TenantRecord

from .samples import NOW, client, key, tenant
from .test_sqlite_files import start_child


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

    async def test_a_part_of_a_block_that_raises_leaves_nothing_and_the_rest_stays(self, store: Store) -> None:
        act = Act(kind="probe", at=NOW, actor="local:me")
        async with store.together() as together:
            async with together.together() as part:
                await part.acting(act).tenants.add(tenant("acme"), [])
            with pytest.raises(RuntimeError):
                async with together.together() as part:
                    await part.acting(act).clients.add([client("a")])
                    await part.acting(act).tenants.change("acme", {"title": "Undone"})
                    raise RuntimeError
            async with together.together() as part:
                await part.acting(act).clients.add([client("b")])
        assert [one.client_id for one in await store.clients.page("acme", "", 9)] == ["b"]
        records = await store.audit.after(0, 9)
        assert [record.subject for record in records] == ["tenant acme", "client acme/b"]
        assert records[1].previous == records[0].hash

    async def test_a_block_reads_what_is_so_after_each_write_and_each_part_undone(self, store: Store) -> None:
        async with store.together() as together:
            await together.tenants.add(tenant("acme"), [])
            with pytest.raises(RuntimeError):
                async with together.together() as part:
                    assert await part.clients.find("acme", "a") is None
                    await part.clients.add([client("a")])
                    assert await part.clients.find_state("acme", "a") is not None
                    raise RuntimeError
            assert await together.clients.find("acme", "a") is None
            assert await together.clients.find_state("acme", "a") is None

    async def test_a_clients_state_is_another_after_every_change(self, store: Store) -> None:
        await store.tenants.add(tenant("acme"), [])
        states = []
        for changes in ({"client_name": "x"}, {"is_disabled": True}):
            await store.clients.add([client("a")])
            states.append(await store.clients.find_state("acme", "a"))
            await store.clients.change("acme", "a", changes)
            states.append(await store.clients.find_state("acme", "a"))
            await store.clients.remove("acme", "a")
        assert len(set(states)) == 4

    async def test_of_two_blocks_of_a_process_one_waits_for_the_other(self, store: Store) -> None:
        order: list[str] = []

        async def add(name: str) -> None:
            async with store.together() as together:
                order.append(name)
                await together.tenants.add(tenant(name, hosts=()), [])
                await asyncio.sleep(0)
                order.append(name)

        await asyncio.gather(add("a"), add("b"))
        assert order == ["a", "a", "b", "b"]

    async def test_a_block_that_is_cancelled_leaves_nothing_and_the_next_one_begins(self, store: Store) -> None:
        begun = asyncio.Event()

        async def begin() -> None:
            async with store.together() as together:
                await together.tenants.add(tenant("acme"), [])
                begun.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(begin())
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        async with store.together() as together:
            assert await together.tenants.find("acme") is None

    async def test_of_a_process_that_is_killed_in_a_block_nothing_stays(self, store: Store, url: str) -> None:
        with start_child("begin_block", url) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "begun\n"
            child.kill()
        async with store.together() as together:
            assert await together.tenants.find("acme") is None

    async def test_a_closed_store_begins_no_block(self, store: Store) -> None:
        await store.close()
        with pytest.raises(StoreUnavailable):
            async with store.together():
                pass

    async def test_a_part_within_a_part_is_undone_with_it_or_by_itself(self, store: Store) -> None:
        async with store.together() as together:
            await together.tenants.add(tenant("acme"), [])
            with pytest.raises(RuntimeError):
                async with together.together() as outer:
                    async with outer.together() as inner:
                        await inner.clients.add([client("a")])
                    raise RuntimeError
            async with together.together() as outer:
                with pytest.raises(RuntimeError):
                    async with outer.together() as inner:
                        await inner.clients.add([client("b")])
                        raise RuntimeError
                await outer.clients.add([client("c")])
                with pytest.raises(AlreadyExists):
                    await outer.clients.add([client("c")])
        assert [one.client_id for one in await store.clients.page("acme", "", 9)] == ["c"]

    async def test_a_first_work_of_a_part_that_fails_leaves_nothing_and_the_part_goes_on(self, store: Store) -> None:
        async with store.together() as together:
            await together.tenants.add(tenant("acme"), [])
            async with together.together() as part:
                with pytest.raises(AlreadyExists):
                    await part.clients.add([client("a"), client("a")])
                assert await part.clients.find("acme", "a") is None
                await part.clients.add([client("b")])
        assert [one.client_id for one in await store.clients.page("acme", "", 9)] == ["b"]

    async def test_a_block_raises_the_revision_as_often_as_its_works_that_stay(self, store: Store) -> None:
        await store.tenants.add(tenant("acme"), [])
        before, of_issuers = await store.deployment.revisions()
        async with store.together() as together:
            await together.clients.add([client("a")])
            assert await together.deployment.revisions() == (before + 1, of_issuers)
            with pytest.raises(RuntimeError):
                async with together.together() as part:
                    await part.tenants.change("acme", {"title": "Undone"})
                    assert await part.deployment.revisions() == (before + 2, before + 2)
                    raise RuntimeError
            assert await together.deployment.revisions() == (before + 1, of_issuers)
            await together.clients.change("acme", "a", {"client_name": "A"})
        assert await store.deployment.revisions() == (before + 2, of_issuers)

    async def test_a_block_reads_tenants_and_keys_as_they_are_after_a_part_undone(self, store: Store) -> None:
        await store.tenants.add(tenant("acme"), [])
        async with store.together() as together:
            with pytest.raises(RuntimeError):
                async with together.together() as part:
                    await part.keys.add(key("k"))
                    await part.tenants.change("acme", {"title": "Undone"})
                    assert [one.kid for one in await part.keys.list("acme")] == ["k"]
                    assert (await require(part, "acme")).title == "Undone"
                    raise RuntimeError
            await together.tenants.change("acme", {"description": "of two changes the second"})
            await together.tenants.change("acme", {"is_suspended": True})
            assert await together.keys.list("acme") == []
            assert (await require(together, "acme")).title == ""
            await together.tenants.change("acme", {"title": "Acme"})
            assert (await require(together, "acme")).title == "Acme"

    async def test_changes_and_removals_of_some_are_made_all_or_none(self, store: Store) -> None:
        for name in ("a", "b"):
            await store.tenants.add(tenant(name, hosts=()), [])
        await store.clients.add([client(name, tenant_id="a") for name in "xy"])
        with pytest.raises(NotFound):
            await store.tenants.change_some([Rewrite("a", {"title": "A"}), Rewrite("nobody")])
        with pytest.raises(NotFound):
            await store.tenants.remove_these({"a": None, "nobody": None})
        with pytest.raises(StaleVersion):
            await store.clients.change_some("a", [Rewrite("x", {"client_name": "X"}), Rewrite("y", if_version=7)])
        with pytest.raises(StaleVersion):
            await store.clients.remove_these("a", {"x": 1, "y": 7})
        assert [(one.tenant_id, one.version) for one in await store.tenants.list()] == [("a", 1), ("b", 1)]
        assert [(one.client_id, one.version) for one in await store.clients.page("a", "", 9)] == [("x", 1), ("y", 1)]
        await store.clients.remove_these("a", {"x": 1, "y": None})
        await store.tenants.remove_these({"a": 1, "b": None})
        assert await store.tenants.list() == []


async def require(store: Store, tenant_id: str) -> TenantRecord:
    found = await store.tenants.find(tenant_id)
    assert found is not None
    return found
