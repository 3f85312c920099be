"""What every store does for the audit log, for versions and for views, as sentences."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from mintmark.protocol.errors import NotFound, StaleVersion
from mintmark.store.chain import GENESIS, hash_record
from mintmark.store.events import AuditBuffer, EventRecord, name_token, records_of
from mintmark.store.interface import Store
from mintmark.store.records import Act, AuditCheckpoint, AuditRecord, AuditSearch

from .samples import NOW, client, digest, first_generation, key, refresh, secret, tenant, token

ACT = Act(
    kind="test_it",
    at=NOW,
    actor="client:acme/meter",
    source="192.0.2.7",
    token="0123456789abcdef",
    correlation_id="c-1",
)


async def whole_log(store: Store) -> list[AuditRecord]:
    return await store.audit.after(0, 10_000)


async def bodies(store: Store) -> list[tuple[str, Any]]:
    return [(record.subject, msgspec.json.decode(record.body)) for record in await whole_log(store)]


async def found(store: Store, **wanted: Any) -> tuple[list[int], int | None]:
    page = await store.audit.search(AuditSearch(**wanted))
    return [one.seq for one in page.records], page.place


def checkpoint(seq: int, hashed: bytes, **changes: Any) -> AuditCheckpoint:
    record = AuditCheckpoint(seq=seq, at=NOW, hash=hashed, is_anchor=False, signature=b"signed")
    return msgspec.structs.replace(record, **changes)


class ActingConformance:
    async def test_a_change_is_recorded_with_its_actor_and_with_what_was_before_and_after(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.acting(ACT).clients.add([client(scope=("read",))])
        await store.acting(ACT).clients.change("acme", "meter", {"scope": ("write",)})
        added, changed = await whole_log(store)
        assert (added.seq, added.at, added.kind, added.actor) == (1, NOW, "test_it", "client:acme/meter")
        assert (added.tenant_id, added.subject) == ("acme", "client acme/meter")
        assert (added.source, added.token, added.correlation_id) == ("192.0.2.7", "0123456789abcdef", "c-1")
        assert msgspec.json.decode(added.body)["before"] is None
        body = msgspec.json.decode(changed.body)
        assert (body["before"]["scope"], body["after"]["scope"]) == (["read"], ["write"])
        assert (body["before"]["version"], body["after"]["version"]) == (1, 2)

    async def test_every_change_of_registered_things_is_recorded_once(self, store: Store) -> None:
        acting = store.acting(ACT)
        await acting.tenants.add(tenant(), [key("k")])
        await acting.tenants.change("acme", {"hosts": ("a.example",)})
        await acting.tenants.bump_generation("acme")
        await acting.clients.add([client(), client("other")])
        await acting.clients.add_secret(secret("s1"))
        await acting.clients.reset_secrets(secret("s2"))
        await acting.clients.remove_secret("acme", "meter", "s2")
        await acting.clients.bump_generation("acme", "meter")
        await acting.clients.remove("acme", "other")
        await acting.keys.add(key("k2"))
        await acting.keys.replace(key("k2", revoked_at=NOW), successor=key("k3"))
        await acting.keys.remove("acme", "k2")
        await acting.tenants.remove("acme")
        assert [record.subject for record in await whole_log(store)] == [
            *["tenant acme"] * 3,
            "client acme/meter",
            "client acme/other",
            *["client acme/meter"] * 4,
            "client acme/other",
            *["key acme/k2"] * 2,
            "key acme/k3",
            "key acme/k2",
            "tenant acme",
        ]

    async def test_a_removal_says_what_is_gone(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client(client_name="of old")])
        await store.acting(ACT).clients.remove("acme", "meter")
        [(_, body)] = await bodies(store)
        assert (body["before"]["client_name"], body["after"]) == ("of old", None)

    async def test_a_revocation_is_recorded_with_whose_the_token_was(self, store: Store) -> None:
        await store.tokens.add([token("a"), refresh("r", "f"), refresh("r2", "f")])
        acting = store.acting(ACT).tokens
        await acting.remove(digest("a"))
        await acting.remove_family(digest("f"))
        await acting.revoke_jti("acme", "j", NOW)
        log = await whole_log(store)
        assert [record.tenant_id for record in log] == ["acme"] * 3
        assert [subject for subject, _ in await bodies(store)] == [
            f"token {digest('a').hex()}",
            f"token family {digest('f').hex()}",
            "jwt acme/j",
        ]
        assert (await bodies(store))[1][1]["before"]["tokens"] == 2

    async def test_what_nobody_acts_for_is_not_recorded(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.unsynced().clients.add([client()])
        assert await whole_log(store) == []

    async def test_a_change_that_fails_leaves_no_record(self, store: Store) -> None:
        acting = store.acting(ACT)
        await store.tenants.add(tenant(), [])
        with pytest.raises(NotFound):
            await acting.clients.change("acme", "nobody", {"is_disabled": True})
        with pytest.raises(NotFound):
            await acting.clients.remove_secret("acme", "nobody", "s")
        assert await whole_log(store) == []

    async def test_a_failing_neighbour_leaves_the_chain_whole(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        acting = store.acting(ACT)
        calls = [acting.clients.add([client(name)]) for name in ("a", "b", "a", "c", "b", "d")]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(one, Exception) for one in ended) == 2
        log = await whole_log(store)
        assert [record.subject for record in log] == [f"client acme/{name}" for name in "abcd"]
        assert_chained(log)

    async def test_no_hash_seal_or_private_key_is_ever_recorded(self, store: Store) -> None:
        acting = store.acting(ACT)
        await acting.tenants.add(tenant(), [])
        await acting.keys.add(key("k", sealed=b"SEALED-OCTETS"))
        await acting.clients.add([client(secrets=(msgspec.structs.replace(secret("s1"), hash="HASH-OF-IT"),))])
        await acting.clients.add_secret(msgspec.structs.replace(secret("s2"), hash="HASH-OF-IT"))
        await acting.deployment.put_fact("sealed_root_key", "SEALED-ROOT-KEY")
        text = "".join(record.body for record in await whole_log(store))
        assert "s1" in text
        for hidden in ("HASH-OF-IT", "SEALED-OCTETS", "U0VBTEVELU9DVEVUUw", "SEALED-ROOT-KEY"):
            assert hidden not in text


def assert_chained(log: list[AuditRecord]) -> None:
    previous = GENESIS
    for seq, record in enumerate(log, 1):
        assert (record.seq, record.previous, record.hash) == (seq, previous, hash_record(record))
        previous = record.hash


class AuditConformance:
    async def test_the_log_of_nothing_begins_with_zeros(self, store: Store) -> None:
        assert await store.audit.head() == (0, GENESIS)
        assert await store.audit.checkpoints() == []
        assert await store.audit.last_checkpoint() is None

    async def test_stores_on_one_database_append_to_one_chain(self, store: Store, another_process: Store) -> None:
        await store.tenants.add(tenant(), [])
        calls = [
            each.acting(ACT).clients.add([client(f"c{number}")])
            for number, each in enumerate([store, another_process] * 20)
        ]
        await asyncio.gather(*calls)
        log = await whole_log(store)
        assert len(log) == 40
        assert_chained(log)
        assert await another_process.audit.head() == (40, log[-1].hash)

    async def test_events_become_records_of_one_kind_and_tenant_of_a_thousand_at_most(self, store: Store) -> None:
        buffer = AuditBuffer()
        for number in range(2_500):
            tenant_id = "acme" if number % 5 else "other"
            name = name_token(digest(str(number)))
            buffer.issued(tenant_id, (NOW, "meter", "read write", "access", name, NOW + 60))
        buffer.refused((NOW, "acme", "", "unknown_client", "192.0.2.7"))
        events = buffer.drain()
        assert events is not None
        await store.audit.add_events(list(records_of(events, NOW)))
        log = await whole_log(store)
        counts = [(one.kind, one.tenant_id, len(msgspec.json.decode(one.body)["entries"])) for one in log]
        assert counts == [
            ("tokens_issued", "other", 500),
            ("tokens_issued", "acme", 1000),
            ("tokens_issued", "acme", 1000),
            ("credentials_refused", "acme", 1),
        ]
        body = msgspec.json.decode(log[0].body)
        assert body["members"] == ["at", "client_id", "scope", "kind", "token", "expires_at"]
        assert body["entries"][0] == [NOW, "meter", "read write", "access", digest("0").hex()[:16], NOW + 60]
        assert_chained(log)

    async def test_pages_go_both_ways_and_show_the_named_tenants_alone(self, store: Store) -> None:
        for name in ("acme", "b", "c"):
            await store.acting(ACT).tenants.add(tenant(name), [])
        for number in range(6):
            await store.acting(ACT).clients.add([client(f"c{number}", tenant_id=("acme", "b", "c")[number % 3])])
        page = await store.audit.after(2, 3)
        assert [one.seq for one in page] == [3, 4, 5]
        assert await found(store, before=5, limit=2) == ([4, 3], 3)
        assert await found(store, after=0, limit=9, tenants=["b"]) == ([2, 5, 8], None)
        assert await found(store, after=2, limit=3, tenants=["b", "acme"]) == ([4, 5, 7], 7)
        assert await found(store, before=8, limit=3, tenants=["b", "acme"]) == ([7, 5, 4], 4)
        assert await found(store, before=8, limit=9, tenants=["b", "acme"]) == ([7, 5, 4, 2, 1], None)
        assert await found(store, after=0, limit=9, tenants=[]) == ([], None)
        assert await found(store, limit=2, kind="test_it") == ([9, 8], 8)
        assert await found(store, limit=2, kind="another", tenants=["b", "c"]) == ([], None)
        assert await found(store, limit=9, actor="client:acme/meter", tenants=["c"]) == ([9, 6, 3], None)

    async def test_a_page_ends_where_its_octets_do_and_holds_one_record_at_least(self, store: Store) -> None:
        for name in "abc":
            await store.acting(ACT).tenants.add(tenant(name), [])
        octets = sum(len(one.body) for one in (await whole_log(store))[:2])
        assert await found(store, after=0, limit=9, octets=1) == ([1], 1)
        assert await found(store, after=0, limit=9, octets=octets) == ([1, 2], 2)
        assert await found(store, before=3, limit=9, octets=octets) == ([2, 1], None)

    async def test_a_checkpoint_takes_the_place_of_one_for_the_same_record(self, store: Store) -> None:
        for one in (checkpoint(2, b"b"), checkpoint(1, b"a"), checkpoint(2, b"c", at=NOW + 1)):
            await store.audit.add_checkpoint(one)
        kept = [checkpoint(1, b"a"), checkpoint(2, b"c", at=NOW + 1)]
        assert await store.audit.checkpoints() == kept
        assert await store.audit.last_checkpoint() == kept[-1]

    async def test_a_purge_leaves_the_anchor_and_the_chain_goes_on_behind_it(self, store: Store) -> None:
        for name in "abcd":
            await store.acting(ACT).tenants.add(tenant(name), [])
        log = await whole_log(store)
        assert await store.audit.links(0, 2) == [(one.seq, NOW, one.previous, one.hash) for one in log[:2]]
        assert await store.audit.links(2, 9) == [(one.seq, NOW, one.previous, one.hash) for one in log[2:]]
        await store.audit.add_checkpoint(checkpoint(2, log[1].hash))
        anchor = checkpoint(3, log[2].hash, is_anchor=True)
        await store.audit.purge(anchor)
        assert await whole_log(store) == log[3:]
        assert await store.audit.checkpoints() == [anchor]
        last = checkpoint(4, log[3].hash, is_anchor=True)
        await store.audit.purge(last)
        assert await store.audit.head() == (4, log[3].hash)
        await store.acting(ACT).tenants.add(tenant("e"), [])
        [fifth] = await whole_log(store)
        assert (fifth.seq, fifth.previous) == (5, log[3].hash)

    async def test_bodies_of_events_are_removed_within_the_bounds_and_those_of_acts_stay(self, store: Store) -> None:
        events = [EventRecord("tokens_issued", "acme", NOW, f'{{"n":{number}}}') for number in range(4)]
        await store.audit.add_events(events)
        await store.acting(ACT).tenants.add(tenant(), [])
        await store.audit.add_events([EventRecord("credentials_refused", None, NOW, "{}"), *events[:1]])
        before = await whole_log(store)
        assert await store.audit.purge_bodies(1, 6, {"how far": "6"}) == 4
        assert await store.audit.purge_bodies(1, 6, {}) == 0
        after = await whole_log(store)
        assert [one.seq for one in after if not one.body] == [2, 3, 4, 6]
        assert [msgspec.structs.replace(one, body="") for one in after] == [
            msgspec.structs.replace(one, body="") for one in before
        ]
        assert await store.deployment.find_fact("how far") == "6"
        assert await found(store, after=1, limit=9, octets=1) == ([2, 3, 4], 4)
        assert_chained(after)


class VersionConformance:
    async def test_every_change_of_a_client_or_its_secrets_is_a_new_version(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client()])
        versions = []
        for change in (
            lambda: store.clients.change("acme", "meter", {"client_name": "n"}),
            lambda: store.clients.add_secret(secret("s1")),
            lambda: store.clients.reset_secrets(secret("s2")),
            lambda: store.clients.remove_secret("acme", "meter", "s2"),
            lambda: store.clients.bump_generation("acme", "meter"),
        ):
            await change()
            found = await store.clients.find("acme", "meter")
            assert found is not None
            versions.append(found.version)
        assert versions == [2, 3, 4, 5, 6]

    async def test_a_change_for_another_version_is_refused_and_nothing_is_written(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client(secrets=(secret("s1"),))])
        before = await store.clients.find("acme", "meter"), await store.tenants.find("acme")
        for change in (
            store.clients.change("acme", "meter", {"client_name": "n"}, if_version=2),
            store.clients.add_secret(secret("s2"), if_version=2),
            store.clients.reset_secrets(secret("s2"), if_version=2),
            store.clients.remove_secret("acme", "meter", "s1", if_version=2),
            store.clients.remove("acme", "meter", if_version=0),
            store.tenants.change("acme", {"title": "t"}, if_version=2),
            store.tenants.remove("acme", if_version=2),
        ):
            with pytest.raises(StaleVersion):
                await change
        assert (await store.clients.find("acme", "meter"), await store.tenants.find("acme")) == before

    async def test_of_parallel_changes_for_one_version_one_wins(self, store: Store, another_process: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client()])
        for version in range(1, 6):
            calls = [
                each.clients.change("acme", "meter", {"client_name": str(number)}, if_version=version)
                for number, each in enumerate([store, another_process] * 4)
            ]
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert sorted(type(one).__name__ for one in ended) == ["ClientRecord", *["StaleVersion"] * 7]

    async def test_a_tenant_has_versions_too(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        changed = await store.tenants.change("acme", {"title": "Acme"}, if_version=1)
        assert (changed.title, changed.version) == ("Acme", 2)
        await store.tenants.bump_generation("acme")
        await store.tenants.remove("acme", if_version=3)
        assert await store.tenants.find("acme") is None


class TenantTreeConformance:
    async def test_customers_name_their_msp(self, store: Store) -> None:
        await store.tenants.add(tenant("hub", is_msp=True), [])
        for name in ("z", "a"):
            await store.tenants.add(tenant(name, msp_id="hub"), [])
        assert await store.tenants.customers("hub") == ("a", "z")
        with pytest.raises(NotFound):
            await store.tenants.add(tenant("lost", msp_id="nobody"), [])

    async def test_tenants_come_in_pages_by_id(self, store: Store) -> None:
        for name in ("c", "a", "b"):
            await store.tenants.add(tenant(name, hosts=(f"1.{name}", f"2.{name}")), [])
        assert [one.tenant_id for one in await store.tenants.page("", 2)] == ["a", "b"]
        [last] = await store.tenants.page("b", 2)
        assert first_generation(last) == tenant("c", hosts=("1.c", "2.c"))

    async def test_a_removed_tenant_takes_all_that_is_its_own(self, store: Store) -> None:
        await store.tenants.add(tenant(hosts=("a.example",)), [key("k")])
        await store.tenants.add(tenant("other"), [])
        await store.clients.add([client(secrets=(secret("s1"),)), client("b"), client(tenant_id="other")])
        assert await store.clients.remove_some("acme", 1) == 1
        await store.tenants.remove("acme")
        with pytest.raises(NotFound):
            await store.tenants.remove("acme")
        assert await store.keys.list() == []
        await store.tenants.add(tenant(hosts=("a.example",)), [])
        assert await store.clients.page("acme", "", 9) == []
        assert len(await store.clients.page("other", "", 9)) == 1


class SyncConformance:
    async def test_what_is_not_synced_is_seen_by_all_at_once(self, store: Store, another_process: Store) -> None:
        await store.unsynced().tenants.add(tenant(), [])
        assert await another_process.tenants.find("acme") is not None

    async def test_views_may_be_combined(self, store: Store) -> None:
        await store.unsynced().acting(ACT).tenants.add(tenant(), [])
        await store.acting(ACT).unsynced().clients.add([client()])
        assert [record.seq for record in await whole_log(store)] == [1, 2]

    async def test_a_change_that_fails_unsynced_leaves_the_writer_as_it_was(self, store: Store) -> None:
        await store.unsynced().tenants.add(tenant(), [])
        with pytest.raises(NotFound):
            await store.unsynced().clients.change("acme", "nobody", {})
        await store.clients.add([client()])
        assert await store.clients.find("acme", "meter") is not None


class RecordingConformance(
    ActingConformance, AuditConformance, VersionConformance, TenantTreeConformance, SyncConformance
):
    """Records, versions, views, and the tree of tenants."""
