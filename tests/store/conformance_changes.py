"""The part of the store's contract by which a process forgets the clients that changed, and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import func, select, update

from mintmark.authentication.clients import ClientDirectory
from mintmark.protocol.errors import NotFound
from mintmark.store import clients as client_rows
from mintmark.store.interface import ClientStore, Store
from mintmark.store.records import ClientRecord
from mintmark.store.revision import MAX_FOUND, MAX_LISTED, RAISE, REVISIONS_LISTED
from mintmark.store.tables import CLIENT_CHANGE, REVISION

from .samples import client, key, secret, tenant

METER = ("acme", "meter")


async def add_clients(store: Store, *names: str) -> int:
    """Add a tenant with these clients, and return the revision."""
    await store.tenants.add(tenant(), [])
    await store.clients.add([client(name) for name in names])
    return await store.deployment.revision()


class Process:
    """What a process remembers, and how it follows changes: as `app.py` does, where nothing fails."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clients = ClientDirectory(store.clients, capacity=100)
        self._known = -1

    async def follow(self) -> None:
        """Take in what has changed."""
        revision = await self.store.deployment.revision()
        if revision != self._known:
            self.clients.forget(await self.store.deployment.changed_clients(self._known))
            self._known = revision

    async def name(self, client_id: str) -> str | None:
        """Return the client's name as this process has it."""
        found = await self.clients.find("acme", client_id)
        return None if found is None else found.client_name


class Held:
    """The same store's clients, each of which is read at once and handed out when the test lets it."""

    def __init__(self, clients: ClientStore) -> None:
        self._clients = clients
        self.is_read = asyncio.Event()
        self.may_go = asyncio.Event()

    async def find(self, tenant_id: str, client_id: str) -> ClientRecord | None:
        found = await self._clients.find(tenant_id, client_id)
        self.is_read.set()
        await self.may_go.wait()
        return found


class ChangeConformance:
    async def test_every_change_of_a_client_names_it_to_every_process(
        self, store: Store, another_process: Store
    ) -> None:
        known = await add_clients(store, "meter", "other")
        assert await store.deployment.changed_clients(known) == []
        changes: list[Callable[[], Awaitable[object]]] = [
            lambda: store.clients.change(*METER, {"is_disabled": True}),
            lambda: store.clients.bump_generation(*METER),
            lambda: store.clients.add_secret(secret("s")),
            lambda: store.clients.reset_secrets(secret("s2")),
            lambda: store.clients.remove_secret(*METER, "s2"),
            lambda: store.clients.remove(*METER),
        ]
        for change in changes:
            await change()
            for each in (store, another_process):
                assert await each.deployment.changed_clients(known) == [METER]
            known = await store.deployment.revision()

    async def test_a_client_that_is_only_added_concerns_nobody(self, store: Store) -> None:
        known = await add_clients(store, "meter")
        await store.clients.add([client("later")])
        assert await store.deployment.revision() > known
        assert await store.deployment.changed_clients(known) == []

    async def test_all_that_changed_since_is_named_and_nothing_before(self, store: Store) -> None:
        known = await add_clients(store, "a", "b", "c")
        for name in "ab":
            await store.clients.bump_generation("acme", name)
        assert sorted(await store.deployment.changed_clients(known) or ()) == [("acme", "a"), ("acme", "b")]
        assert await store.deployment.changed_clients(known + 1) == [("acme", "b")]

    async def test_a_change_of_a_tenant_or_key_may_concern_any_client(self, store: Store) -> None:
        known = await add_clients(store, "meter")
        for change in (store.keys.add(key("k")), store.tenants.change("acme", {"is_suspended": True})):
            await change
            assert await store.deployment.changed_clients(known) is None
            known = await store.deployment.revision()

    async def test_who_knows_a_revision_that_never_was_forgets_all(self, store: Store) -> None:
        known = await add_clients(store, "meter")
        assert await store.deployment.changed_clients(known + 1) is None
        assert await store.deployment.changed_clients(-1) is None

    async def test_a_block_names_at_its_end_what_was_not_undone(self, store: Store, another_process: Store) -> None:
        known = await add_clients(store, "a", "b", "c")
        async with store.together() as together:
            await together.clients.bump_generation("acme", "a")
            with pytest.raises(RuntimeError):
                async with together.together() as part:
                    await part.clients.bump_generation("acme", "b")
                    raise RuntimeError
            with pytest.raises(NotFound):
                await together.clients.bump_generation("acme", "nobody")
            await together.clients.remove("acme", "c")
            assert await another_process.deployment.changed_clients(known) == []
        for each in (store, another_process):
            assert sorted(await each.deployment.changed_clients(known) or ()) == [("acme", "a"), ("acme", "c")]

    async def test_the_list_of_changed_clients_stays_short(self, store: Store) -> None:
        await add_clients(store, "meter")
        await store.clients.bump_generation(*METER)
        later = update(REVISION).values(number=REVISION.c.number + REVISIONS_LISTED)
        await store.clients._writing.run(lambda connection: connection.execute(later))  # type: ignore[attr-defined]
        known = await store.deployment.revision()
        await store.clients.bump_generation(*METER)
        count = select(func.count()).select_from(CLIENT_CHANGE)
        kept = await store.clients._writing.run(  # type: ignore[attr-defined]
            lambda connection: connection.execute(count).scalar_one()
        )
        assert kept == 1
        assert await store.deployment.changed_clients(known) == [METER]

    async def test_a_change_of_very_many_clients_may_concern_any(self, store: Store) -> None:
        known = await add_clients(store, "meter")
        about = [client_rows.about("acme", str(number)) for number in range(MAX_LISTED + 1)]
        await store.clients._writing.change(lambda _: None, *about)  # type: ignore[attr-defined]
        assert await store.deployment.changed_clients(known) is None

    async def test_more_changes_than_are_read_at_once_may_concern_any_client(self, store: Store) -> None:
        known = await add_clients(store, "meter")
        about = [client_rows.about("acme", str(number)) for number in range(MAX_LISTED)]
        for expected in [*(MAX_LISTED * times for times in range(1, MAX_FOUND // MAX_LISTED + 1)), None]:
            await store.clients._writing.change(lambda _: None, *about)  # type: ignore[attr-defined]
            changed = await store.deployment.changed_clients(known)
            assert (None if changed is None else len(changed)) == expected

    async def test_a_process_reads_again_whom_another_changed_and_no_other(
        self, store: Store, another_process: Store
    ) -> None:
        await add_clients(store, "a", "b")
        process = Process(another_process)
        await process.follow()
        assert [await process.name(name) for name in "ab"] == ["", ""]
        await store.clients.change("acme", "a", {"client_name": "changed"})
        await process.follow()
        assert [await process.name(name) for name in "ab"] == ["changed", ""]
        await store.clients.remove("acme", "a")
        await store.clients.add([client("c")])
        await process.follow()
        assert [await process.name(name) for name in "abc"] == [None, "", ""]
        assert (process.clients.hits, process.clients.misses) == (2, 5)

    async def test_a_client_that_went_and_came_again_is_never_the_old_one(
        self, store: Store, another_process: Store
    ) -> None:
        await add_clients(store, "a")
        process = Process(another_process)
        await process.follow()
        old = await process.clients.find("acme", "a")
        await store.clients.remove("acme", "a")
        await store.clients.add([client("a")])
        await process.follow()
        new = await process.clients.find("acme", "a")
        assert old and new and old.generation != new.generation

    async def test_what_was_read_before_a_change_is_not_remembered_after_it(
        self, store: Store, another_process: Store
    ) -> None:
        await add_clients(store, "a", "b")
        process = Process(another_process)
        await process.follow()
        held = Held(another_process.clients)
        process.clients = ClientDirectory(held, capacity=100)  # type: ignore[arg-type]
        reading = asyncio.create_task(process.name("a"))
        await held.is_read.wait()
        await store.clients.change("acme", "a", {"client_name": "changed"})
        await process.follow()
        held.may_go.set()
        assert await reading == ""
        assert await process.name("a") == "changed"

    async def test_a_revision_that_does_not_say_whom_it_changed_may_have_changed_any(self, store: Store) -> None:
        known = await add_clients(store, "meter")
        await store.clients.bump_generation(*METER)
        # As an administrator of the database raises it.
        await store.clients._writing.run(lambda connection: connection.execute(RAISE))  # type: ignore[attr-defined]
        assert await store.deployment.changed_clients(known) is None
        await store.clients.bump_generation(*METER)
        assert await store.deployment.changed_clients(known) is None
        assert await store.deployment.changed_clients(known + 2) == [METER]
