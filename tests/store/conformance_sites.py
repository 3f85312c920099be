"""What every store does for sites, as sentences."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from mintmark.protocol.errors import AlreadyExists, NotFound
from mintmark.store.interface import Store
from mintmark.store.records import Act, SiteRecord

from .samples import NOW, client, tenant

ACT = Act(kind="create_site", at=NOW, actor="local:tester")


def site(site_id: str = "a1", name: str = "", tenant_id: str = "acme", **changes: object) -> SiteRecord:
    record = SiteRecord(
        tenant_id=tenant_id,
        site_id=site_id,
        name=name or f"site {site_id}",
        region="Germany",
        time_zone="Europe/Berlin",
        scenario="Office",
        created_at=NOW,
    )
    return msgspec.structs.replace(record, **changes)


async def names(store: Store, *, only: list[str] | None = None, containing: str = "", offset: int = 0) -> list[str]:
    _, found = await store.sites.page("acme", only=only, containing=containing, offset=offset, limit=2)
    return [one.name for one in found]


class SiteConformance:
    async def test_a_site_is_found_as_it_was_added(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        depot = site(site_type=1, details={"tagIds": ["é"], "longitude": -1.5, "dst": {"enable": True}})
        await store.sites.add([depot])
        assert await store.sites.find("acme", "a1") == depot
        assert await store.sites.find("acme", "a2") is None
        assert await store.sites.find("other", "a1") is None

    async def test_a_site_needs_its_tenant(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.sites.add([site()])

    async def test_a_name_is_one_sites_of_its_tenant(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.tenants.add(tenant("other"), [])
        await store.sites.add([site("a1", "Depot"), site("a1", "Depot", "other")])
        with pytest.raises(AlreadyExists):
            await store.sites.add([site("a2", "Quay"), site("a3", "Depot")])
        assert await store.sites.find("acme", "a2") is None

    async def test_sites_are_paged_by_name_and_counted(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.sites.add([site(f"a{number}", name) for number, name in enumerate("dbca")])
        assert await names(store) == ["a", "b"]
        assert await names(store, offset=2) == ["c", "d"]
        assert await names(store, offset=9) == []
        assert (await store.sites.page("acme", only=None, containing="", offset=3, limit=9))[0] == 4
        assert (await store.sites.page("other", only=None, containing="", offset=0, limit=9)) == (0, [])

    async def test_a_page_holds_only_what_is_asked_for(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.sites.add([site("a1", "Depot 100%"), site("a2", "depot_1"), site("a3", "Quay")])
        assert await names(store, only=["a3", "zz"]) == ["Quay"]
        assert await names(store, only=[]) == []
        assert await names(store, containing="DEPOT") == ["Depot 100%", "depot_1"]
        assert await names(store, containing="%") == ["Depot 100%"]
        assert await names(store, containing="_") == ["depot_1"]

    async def test_a_change_writes_what_it_names_and_counts(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.sites.add([site(), site("a2", "Quay")])
        await store.sites.change("acme", {"a1": {"name": "Yard", "details": {"address": "1 Road"}}})
        assert await store.sites.find("acme", "a1") == site(name="Yard", details={"address": "1 Road"}, version=2)
        await store.sites.change("acme", {"a1": {"details": {"tagIds": []}}, "a2": {"region": "France"}})
        changed = site(name="Yard", details={"address": "1 Road", "tagIds": []}, version=3)
        assert await store.sites.find("acme", "a1") == changed
        assert await store.sites.find("acme", "a2") == site("a2", "Quay", region="France", version=2)
        with pytest.raises(AlreadyExists):
            await store.sites.change("acme", {"a2": {"region": "x"}, "a1": {"name": "Quay"}})
        with pytest.raises(NotFound):
            await store.sites.change("acme", {"a1": {"name": "x"}, "a9": {"name": "y"}})
        assert await store.sites.find("acme", "a1") == changed

    async def test_parallel_changes_of_details_are_all_kept(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.sites.add([site()])
        await asyncio.gather(*(store.sites.change("acme", {"a1": {"details": {name: 1}}}) for name in "abc"))
        found = await store.sites.find("acme", "a1")
        assert found is not None
        assert found.details == {"a": 1, "b": 1, "c": 1}

    async def test_a_removed_site_is_gone(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.sites.add([site(), site("a2"), site("a3")])
        await store.sites.remove("acme", ["a1", "a3"])
        assert await names(store) == ["site a2"]
        with pytest.raises(NotFound):
            await store.sites.remove("acme", ["a2", "a1"])
        assert await names(store) == ["site a2"]

    async def test_sites_go_with_their_tenant(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.sites.add([site()])
        await store.tenants.remove("acme")
        assert await store.sites.find("acme", "a1") is None

    async def test_a_change_of_a_site_alone_raises_no_revision(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        before = await store.deployment.revision()
        await store.sites.add([site()])
        await store.sites.change("acme", {"a1": {"name": "Yard"}})
        await store.sites.remove("acme", ["a1"])
        assert await store.deployment.revision() == before

    async def test_sites_that_end_tokens_come_with_new_generations_or_not_at_all(self, store: Store) -> None:
        for name in ("acme", "msp"):
            await store.tenants.add(tenant(name), [])
        await store.clients.add([client("one", tenant_id="msp"), client("two", tenant_id="msp")])
        before = await generations(store)
        with pytest.raises(NotFound):
            await store.sites.add_ending_tokens([site()], [("msp", "three")])
        assert await generations(store) == before
        assert await store.sites.find("acme", "a1") is None
        await store.sites.add_ending_tokens([site()], [("msp", "one")])
        after = await generations(store)
        assert [old == new for old, new in zip(before, after, strict=True)] == [False, True, False, True]

    async def test_what_is_done_to_a_site_is_recorded(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        acting = store.acting(ACT)
        await acting.sites.add([site()])
        await acting.sites.change("acme", {"a1": {"name": "Yard"}})
        await acting.sites.remove("acme", ["a1"])
        records = await store.audit.after(0, 10)
        assert [record.subject for record in records] == ["site acme/a1"] * 3
        bodies = [msgspec.json.decode(record.body) for record in records]
        shown = [
            (body["before"] and body["before"]["name"], body["after"] and body["after"]["name"]) for body in bodies
        ]
        assert shown == [(None, "site a1"), ("site a1", "Yard"), ("Yard", None)]


async def generations(store: Store) -> list[int]:
    """Return those of both tenants and both clients."""
    tenants = [await store.tenants.find(name) for name in ("acme", "msp")]
    clients = [await store.clients.find("msp", name) for name in ("one", "two")]
    return [one.generation for one in (*tenants, *clients) if one is not None]


class GridConformance:
    async def test_a_grid_counts_all_clients_and_shows_some_by_id(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.tenants.add(tenant("other"), [])
        await store.clients.add([client(name) for name in "cab"])
        await store.clients.add([client("z", tenant_id="other")])
        for offset, wanted in ((0, ["a", "b"]), (1, ["b", "c"]), (2, ["c"]), (3, [])):
            total, found = await store.clients.grid("acme", offset, 2)
            assert (total, [one.client_id for one in found]) == (3, wanted)

    async def test_an_msps_customers_are_listed_by_id(self, store: Store) -> None:
        await store.tenants.add(tenant("msp", is_msp=True), [])
        for name in ("b", "a"):
            await store.tenants.add(tenant(name, msp_id="msp", title=f"Customer {name}"), [])
        found = await store.tenants.list_customers("msp")
        assert [(one.tenant_id, one.title) for one in found] == [("a", "Customer a"), ("b", "Customer b")]

    async def test_a_customers_name_is_one_of_its_msps_customers(self, store: Store) -> None:
        for name in ("msp", "msp2"):
            await store.tenants.add(tenant(name, is_msp=True), [])
        await store.tenants.add(tenant("a", msp_id="msp", title="North"), [])
        await store.tenants.add(tenant("b", msp_id="msp2", title="North"), [])
        for nameless in ("c", "d"):
            await store.tenants.add(tenant(nameless, msp_id="msp"), [])
        with pytest.raises(AlreadyExists):
            await store.tenants.add(tenant("e", msp_id="msp", title="North"), [])


class OmadaConformance(SiteConformance, GridConformance):
    """What Omada tenants ask of a store."""
