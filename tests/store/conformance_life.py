"""What every store does for the life of tokens, as sentences: generations, rotation, revocation, death by age."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from mintmark.protocol.errors import AlreadyExists, NotFound, StoreUnavailable
from mintmark.store.interface import Store
from mintmark.store.records import TokenRecord

from .samples import NOW, client, digest, first_generation, refresh, slot, tenant, token


async def tenant_generation(store: Store) -> int:
    found = await store.tenants.find("acme")
    assert found is not None
    return found.generation


async def client_generation(store: Store) -> int:
    found = await store.clients.find("acme", "meter")
    assert found is not None
    return found.generation


async def is_there(store: Store, *names: str) -> list[bool]:
    return [await store.tokens.find(digest(name)) is not None for name in names]


class GenerationConformance:
    async def test_a_bump_changes_a_tenants_generation_and_nothing_else(self, store: Store) -> None:
        acme = tenant(hosts=("a.example",), token_rules={"lifetime_s": 60})
        await store.tenants.add(acme, [])
        before = await tenant_generation(store)
        await store.tenants.bump_generation("acme")
        assert await tenant_generation(store) != before
        assert first_generation(await store.tenants.find("acme")) == acme

    async def test_a_bump_changes_one_clients_generation_and_nothing_else(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client(), client("other")])
        before = await client_generation(store), await tenant_generation(store)
        other = await store.clients.find("acme", "other")
        await store.clients.bump_generation("acme", "meter")
        assert await client_generation(store) != before[0]
        assert await tenant_generation(store) == before[1]
        assert await store.clients.find("acme", "other") == other
        assert first_generation(await store.clients.find("acme", "meter")) == client()

    async def test_a_generation_cannot_be_written(self, store: Store) -> None:
        await store.tenants.add(tenant(generation=7), [])
        await store.clients.add([client(generation=7)])
        before = await tenant_generation(store), await client_generation(store)
        assert 7 not in before
        with pytest.raises(KeyError):
            await store.tenants.change("acme", {"generation": 8})
        with pytest.raises(KeyError):
            await store.clients.change("acme", "meter", {"generation": 8})
        await store.tenants.change("acme", {"is_suspended": True})
        await store.clients.change("acme", "meter", {"is_disabled": True})
        assert (await tenant_generation(store), await client_generation(store)) == before

    async def test_the_clients_of_one_call_have_each_a_generation_of_its_own(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client(f"c{number}") for number in range(20)])
        assert len({each.generation for each in await store.clients.page("acme", "", 20)}) == 20

    async def test_a_new_form_and_a_bump_come_together(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client()])
        before = await tenant_generation(store), await client_generation(store)
        await store.tenants.change("acme", {"is_suspended": True}, bump=True)
        await store.clients.change("acme", "meter", {"is_disabled": True}, bump=True)
        assert await tenant_generation(store) != before[0]
        assert await client_generation(store) != before[1]
        assert first_generation(await store.tenants.find("acme")) == tenant(is_suspended=True)
        assert first_generation(await store.clients.find("acme", "meter")) == client(is_disabled=True)

    async def test_a_new_form_that_is_refused_bumps_nothing(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.tenants.add(tenant("other", hosts=("taken.example",)), [])
        before = await tenant_generation(store)
        with pytest.raises(AlreadyExists):
            await store.tenants.change("acme", {"hosts": ("taken.example",)}, bump=True)
        assert await tenant_generation(store) == before

    async def test_bumping_what_is_unknown_is_not_found(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        for call in (
            store.tenants.bump_generation("nobody"),
            store.tenants.change("nobody", {"is_suspended": True}, bump=True),
            store.clients.bump_generation("acme", "nobody"),
            store.clients.change("acme", "nobody", {"is_disabled": True}, bump=True),
        ):
            with pytest.raises(NotFound):
                await call

    async def test_a_client_registered_again_has_a_generation_that_it_never_had(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        seen = []
        for _ in range(3):
            await store.clients.add([client(generation=1)])
            seen.append(await client_generation(store))
            await store.clients.bump_generation("acme", "meter")
            seen.append(await client_generation(store))
            await store.clients.remove("acme", "meter")
        assert len(set(seen)) == 6

    async def test_parallel_bumps_end_in_one_new_generation(self, store: Store, another_process: Store) -> None:
        await store.tenants.add(tenant(), [])
        before = await tenant_generation(store)
        await asyncio.gather(*(each.tenants.bump_generation("acme") for each in [store, another_process] * 10))
        assert await tenant_generation(store) != before
        assert await another_process.tenants.find("acme") == await store.tenants.find("acme")


async def hear(store: Store, before: bytes, within_s: float) -> bytes:
    """Return the sign as soon as it is another than before, or when the time is up."""
    ends = time.monotonic() + within_s
    while store.deployment.sign_of_change() == before and time.monotonic() < ends:
        await asyncio.sleep(0.005)
    return store.deployment.sign_of_change()


class SignConformance:
    HEARD_WITHIN_S = 0.0
    """By other processes; the one that made a change hears of it at once."""

    async def test_every_process_sees_a_sign_of_a_change(self, store: Store, another_process: Store) -> None:
        signs = [another_process.deployment.sign_of_change()]
        await store.tenants.add(tenant(), [])
        assert store.deployment.sign_of_change() != signs[0]
        signs.append(await hear(another_process, signs[-1], self.HEARD_WITHIN_S))
        await another_process.clients.add([client()])
        signs.append(await hear(store, signs[-1], self.HEARD_WITHIN_S))
        await store.clients.bump_generation("acme", "meter")
        signs.append(await hear(another_process, signs[-1], self.HEARD_WITHIN_S))
        assert len(set(signs)) == 4
        assert store.deployment.sign_of_change() == another_process.deployment.sign_of_change()

    async def test_a_token_is_no_change(self, store: Store, another_process: Store) -> None:
        await store.tenants.add(tenant(), [])
        sign = await hear(another_process, another_process.deployment.sign_of_change(), self.HEARD_WITHIN_S / 5)
        await store.tokens.add([token("a")])
        await store.tokens.renew(token("b"), slot(), b"b")
        await store.tokens.revoke_jti("acme", "j", NOW)
        assert await hear(another_process, sign, self.HEARD_WITHIN_S / 5) == sign


class RevocationConformance:
    async def test_a_removed_token_is_gone_and_cannot_go_twice(self, store: Store) -> None:
        await store.tokens.add([token("a"), token("b")])
        assert await store.tokens.remove(digest("a"))
        assert not await store.tokens.remove(digest("a"))
        assert await is_there(store, "a", "b") == [False, True]

    async def test_a_removed_token_leaves_its_slot(self, store: Store) -> None:
        await store.tokens.add_reusable(token("a"), slot(), b"a", NOW)
        await store.tokens.remove(digest("a"))
        assert await store.tokens.find_reusable(slot(), NOW) is None
        assert (await store.tokens.add_reusable(token("b"), slot(), b"b", NOW)).digest == digest("b")

    async def test_a_family_goes_whole_and_alone(self, store: Store) -> None:
        access = msgspec.structs.replace(token("access"), family=digest("first"))
        await store.tokens.add([token("first"), access, refresh("r", "first"), refresh("s", "other"), token("plain")])
        assert await store.tokens.remove_family(digest("first")) == 3
        assert await store.tokens.remove_family(digest("first")) == 0
        assert await is_there(store, "first", "access", "r", "s", "plain") == [False, False, False, True, True]

    async def test_a_refresh_token_is_spent_once(self, store: Store) -> None:
        await store.tokens.add([refresh("old", "f")])
        new = [msgspec.structs.replace(token("access"), family=digest("f")), refresh("new", "f")]
        assert await store.tokens.rotate(digest("old"), new, NOW + 7, 10) == "rotated"
        assert await store.tokens.find(digest("old")) == refresh("old", "f", used_at=NOW + 7)
        assert [await store.tokens.find(each.digest) for each in new] == new
        assert await store.tokens.rotate(digest("new"), [], NOW + 8, 10) == "rotated"

    @pytest.mark.parametrize(
        ("record", "answer"),
        [
            (token("other"), "unknown"),
            (token("t"), "unknown"),
            (refresh("t", expires_at=NOW), "expired"),
            (refresh("t", expires_at=NOW, used_at=NOW - 99), "expired"),
            (refresh("t", used_at=NOW - 10), "spent"),
            (refresh("t", used_at=NOW + 1), "spent"),
        ],
        ids=["unknown", "access", "expired", "expired and used", "used just now", "used by a faster clock"],
    )
    async def test_what_cannot_be_spent_changes_nothing(self, store: Store, record: TokenRecord, answer: str) -> None:
        await store.tokens.add([record])
        assert await store.tokens.rotate(digest("t"), [token("new")], NOW, 10) == answer
        assert await store.tokens.find(record.digest) == record
        assert await is_there(store, "new") == [False]

    async def test_a_copied_refresh_token_ends_its_family(self, store: Store) -> None:
        await store.tokens.add([token("f"), refresh("old", "f", used_at=NOW - 11), refresh("now", "f"), token("else")])
        assert await store.tokens.rotate(digest("old"), [refresh("new", "f")], NOW, 10) == "reused"
        assert await is_there(store, "f", "old", "now", "new", "else") == [False] * 4 + [True]
        assert await store.tokens.rotate(digest("old"), [], NOW, 10) == "unknown"

    async def test_a_refresh_token_without_a_family_is_the_first_of_its_own(self, store: Store) -> None:
        await store.tokens.add([refresh("old", used_at=NOW - 11), refresh("now", "old"), refresh("else")])
        assert await store.tokens.rotate(digest("old"), [], NOW, 10) == "reused"
        assert await is_there(store, "old", "now", "else") == [False, False, True]

    async def test_a_replacement_that_is_refused_leaves_the_token_unused(self, store: Store) -> None:
        await store.tokens.add([refresh("old"), token("taken")])
        with pytest.raises(AlreadyExists):
            await store.tokens.rotate(digest("old"), [token("new"), token("taken")], NOW, 10)
        assert await store.tokens.find(digest("old")) == refresh("old")
        assert await is_there(store, "new") == [False]

    async def test_of_parallel_uses_of_a_refresh_token_one_wins(self, store: Store, another_process: Store) -> None:
        await store.tokens.add([refresh("old", "f")])
        uses = [
            each.tokens.rotate(digest("old"), [refresh(f"new{number}", "f")], NOW, 10)
            for number, each in enumerate([store, another_process] * 15)
        ]
        assert sorted(await asyncio.gather(*uses)) == ["rotated"] + ["spent"] * 29
        assert sum(await is_there(store, *(f"new{number}" for number in range(30)))) == 1

    async def test_a_family_revoked_while_it_rotates_is_gone(self, store: Store, another_process: Store) -> None:
        for number in range(10):
            await store.tokens.add([refresh(f"old{number}", "f")])
            rotating = store.tokens.rotate(digest(f"old{number}"), [refresh(f"new{number}", "f")], NOW, 10)
            await asyncio.gather(rotating, another_process.tokens.remove_family(digest("f")))
            assert await is_there(store, f"old{number}", f"new{number}") == [False, False]

    async def test_a_revoked_jwt_is_known_by_tenant_and_jti(self, store: Store) -> None:
        assert not await store.tokens.is_jti_revoked("acme", "j")
        await store.tokens.revoke_jti("acme", "j", NOW)
        assert await store.tokens.is_jti_revoked("acme", "j")
        assert not await store.tokens.is_jti_revoked("acme", "k")
        assert not await store.tokens.is_jti_revoked("other", "j")

    async def test_many_who_ask_at_once_are_each_told_of_what_they_asked_for(self, store: Store) -> None:
        names = [f"t{number}" for number in range(40)]
        there = names[::2]
        await store.tokens.add([token(name) for name in there])
        for tenant_id, jti in (("acme", "t0"), ("acme", "t1"), ("other", "t2")):
            await store.tokens.revoke_jti(tenant_id, jti, NOW + 60)
        found = await asyncio.gather(*(store.tokens.find(digest(name)) for name in names))
        assert [one and one.digest for one in found] == [digest(one) if one in there else None for one in names]
        revoked = await asyncio.gather(*(store.tokens.is_jti_revoked("acme", name) for name in names))
        assert [name for name, is_revoked in zip(names, revoked, strict=True) if is_revoked] == ["t0", "t1"]

    async def test_revoking_a_jwt_twice_is_revoking_it_once(self, store: Store, another_process: Store) -> None:
        both = [each.tokens.revoke_jti("acme", "j", NOW) for each in [store, another_process] * 5]
        await asyncio.gather(*both)
        assert await store.upkeep.purge(NOW, 100) == 1


class RenewalConformance:
    async def test_a_renewed_token_takes_the_place_of_the_one_before(self, store: Store) -> None:
        await store.tokens.renew(token("a"), slot(), b"a")
        await store.tokens.renew(token("b"), slot(), b"b")
        assert await is_there(store, "a", "b") == [False, True]
        found = await store.tokens.find_reusable(slot(), NOW)
        assert found is not None
        assert (found.digest, found.sealed) == (digest("b"), b"b")

    async def test_a_slot_of_reuse_is_renewed_too(self, store: Store) -> None:
        await store.tokens.add_reusable(token("a"), slot(), b"a", NOW)
        await store.tokens.renew(token("b"), slot(), b"b")
        assert await is_there(store, "a", "b") == [False, True]

    async def test_a_renewal_leaves_other_slots_and_tokens_alone(self, store: Store) -> None:
        await store.tokens.add([token("plain")])
        await store.tokens.renew(token("a"), slot("read"), b"a")
        await store.tokens.renew(token("b"), slot("read", client_generation=2), b"b")
        await store.tokens.renew(token("c"), slot("write"), b"c")
        assert await is_there(store, "plain", "a", "b", "c") == [True] * 4

    async def test_a_renewal_that_is_refused_leaves_the_token_before(self, store: Store) -> None:
        await store.tokens.add([token("taken")])
        await store.tokens.renew(token("a"), slot(), b"a")
        with pytest.raises(AlreadyExists):
            await store.tokens.renew(token("taken"), slot(), b"b")
        assert await is_there(store, "a") == [True]
        assert (await store.tokens.add_reusable(token("c"), slot(), b"c", NOW)).digest == digest("a")

    async def test_of_parallel_renewals_one_token_remains(self, store: Store, another_process: Store) -> None:
        names = [f"t{number}" for number in range(30)]
        stores = [store, another_process] * 15
        pairs = zip(stores, names, strict=True)
        await asyncio.gather(*(each.tokens.renew(token(name), slot(), name.encode()) for each, name in pairs))
        [last] = [name for name, there in zip(names, await is_there(store, *names), strict=True) if there]
        found = await another_process.tokens.find_reusable(slot(), NOW)
        assert found is not None
        assert found.sealed == last.encode()

    async def test_a_renewed_jwt_revokes_the_one_before(self, store: Store) -> None:
        for jti in ("a", "b", "c"):
            await store.tokens.renew_jwt(slot(), jti, NOW)
        await store.tokens.renew_jwt(slot("write"), "other", NOW)
        revoked = [await store.tokens.is_jti_revoked("acme", jti) for jti in ("a", "b", "c", "other")]
        assert revoked == [True, True, False, False]

    async def test_a_jwt_that_was_revoked_already_is_renewed_all_the_same(self, store: Store) -> None:
        await store.tokens.renew_jwt(slot(), "a", NOW)
        await store.tokens.revoke_jti("acme", "a", NOW)
        await store.tokens.renew_jwt(slot(), "b", NOW)
        assert [await store.tokens.is_jti_revoked("acme", jti) for jti in ("a", "b")] == [True, False]

    async def test_of_parallel_renewals_one_jwt_remains(self, store: Store, another_process: Store) -> None:
        names = [f"t{number}" for number in range(30)]
        stores = [store, another_process] * 15
        pairs = zip(stores, names, strict=True)
        await asyncio.gather(*(each.tokens.renew_jwt(slot(), name, NOW) for each, name in pairs))
        assert [await store.tokens.is_jti_revoked("acme", name) for name in names].count(False) == 1

    async def test_what_is_kept_of_a_renewed_jwt_expires_with_it(self, store: Store) -> None:
        await store.tokens.renew_jwt(slot(), "a", NOW)
        await store.tokens.renew_jwt(slot(), "b", NOW + 1)
        assert [await store.upkeep.purge(NOW + second, 100) for second in range(3)] == [1, 1, 0]


class UpkeepConformance:
    async def test_what_has_expired_goes_and_the_rest_stays(self, store: Store) -> None:
        await store.tokens.add([token("before", NOW - 1), token("now", NOW), token("after", NOW + 1)])
        await store.tokens.revoke_jti("acme", "now", NOW)
        await store.tokens.revoke_jti("acme", "after", NOW + 1)
        assert await store.upkeep.purge(NOW, 100) == 3
        assert await store.upkeep.purge(NOW, 100) == 0
        assert await is_there(store, "before", "now", "after") == [False, False, True]
        revoked = [await store.tokens.is_jti_revoked("acme", jti) for jti in ("now", "after")]
        assert revoked == [False, True]

    async def test_a_slot_dies_with_its_token(self, store: Store) -> None:
        await store.tokens.add_reusable(token("a", NOW), slot("read"), b"a", 0)
        await store.tokens.add_reusable(token("b", NOW + 1), slot("write"), b"b", 0)
        assert await store.upkeep.purge(NOW, 100) == 1
        assert await store.tokens.find_reusable(slot("read"), 0) is None
        assert await store.tokens.find_reusable(slot("write"), 0) is not None

    async def test_a_purge_removes_no_more_than_its_limit(self, store: Store) -> None:
        await store.tokens.add([token(f"t{number}", NOW - number) for number in range(7)])
        for number in range(3):
            await store.tokens.revoke_jti("acme", f"j{number}", NOW)
        assert [await store.upkeep.purge(NOW, 4) for _ in range(4)] == [4, 4, 2, 0]
        assert await store.upkeep.purge(NOW, 0) == 0

    async def test_parallel_purges_remove_each_row_once(self, store: Store, another_process: Store) -> None:
        await store.tokens.add([token(f"t{number}", NOW) for number in range(100)])
        gone = await asyncio.gather(*(each.upkeep.purge(NOW, 30) for each in [store, another_process] * 3))
        assert sum(gone) == 100


class ReclaimConformance:
    """For a database whose file does not shrink by itself."""

    async def test_free_pages_are_given_back_up_to_a_number(self, store: Store) -> None:
        assert await store.upkeep.reclaim(100) == 0
        await store.tokens.add([token(f"t{number}", NOW) for number in range(1000)])
        assert await store.upkeep.reclaim(100) == 0
        await store.upkeep.purge(NOW, 1000)
        assert await store.upkeep.reclaim(5) == 5
        assert await store.upkeep.reclaim(10_000) > 5
        assert await store.upkeep.reclaim(10_000) == 0

    async def test_free_pages_may_be_kept_for_what_is_written_next(self, store: Store) -> None:
        await store.tokens.add([token(f"t{number}", NOW) for number in range(1000)])
        await store.upkeep.purge(NOW, 1000)
        assert await store.upkeep.reclaim(10_000, keep=1_000_000) == 0
        assert await store.upkeep.reclaim(10_000, keep_share=1.0) == 0
        assert await store.upkeep.reclaim(10_000, keep=7) > 0
        assert await store.upkeep.reclaim(10_000, keep=6) == 1
        assert await store.upkeep.reclaim(10_000) == 6

    async def test_giving_pages_back_loses_nothing(self, store: Store) -> None:
        names = [f"t{number}" for number in range(1000)]
        await store.tokens.add([token(name, NOW + number % 2) for number, name in enumerate(names)])
        await store.upkeep.purge(NOW, 1000)
        await asyncio.gather(store.upkeep.reclaim(10_000), store.tokens.add([token("new")]))
        assert await is_there(store, *names, "new") == [False, True] * 500 + [True]


class LeadershipConformance:
    async def test_of_two_processes_one_leads(self, store: Store, another_process: Store) -> None:
        assert await store.leadership.try_acquire()
        assert not await another_process.leadership.try_acquire()
        assert not await another_process.leadership.try_acquire()

    async def test_who_leads_already_leads_on(self, store: Store, another_process: Store) -> None:
        assert await store.leadership.try_acquire()
        assert await store.leadership.try_acquire()
        await store.leadership.release()
        assert await another_process.leadership.try_acquire()

    async def test_who_does_not_lead_releases_nothing(self, store: Store, another_process: Store) -> None:
        assert await store.leadership.try_acquire()
        assert not await another_process.leadership.try_acquire()
        await another_process.leadership.release()
        assert not await another_process.leadership.try_acquire()


class CloseConformance:
    async def test_close_finishes_what_is_in_hand(self, store: Store, another_process: Store) -> None:
        calls = [asyncio.create_task(store.tokens.add([token(f"t{number}")])) for number in range(500)]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*calls)
        found = [await another_process.tokens.find(digest(f"t{number}")) for number in range(500)]
        assert None not in found

    async def test_a_closed_store_takes_nothing_more(self, store: Store) -> None:
        await store.close()
        with pytest.raises(StoreUnavailable):
            await store.tokens.add([token("a")])

    async def test_closing_twice_is_closing_once(self, store: Store) -> None:
        await store.close()
        await store.close()

    async def test_a_closed_store_no_longer_leads(self, store: Store, another_process: Store) -> None:
        assert await store.leadership.try_acquire()
        await store.close()
        assert await another_process.leadership.try_acquire()


class LifeConformance(
    GenerationConformance,
    RenewalConformance,
    SignConformance,
    RevocationConformance,
    UpkeepConformance,
    LeadershipConformance,
    CloseConformance,
):
    """All of these."""
