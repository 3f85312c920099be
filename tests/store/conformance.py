"""What every store does, as sentences. A database plugs in with the fixtures `store`, `another_process`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from mintmark.protocol.errors import AlreadyExists, NotFound, StoreError
from mintmark.store.interface import Store
from mintmark.store.records import ReusableToken, ReuseSlot, TenantRecord, TokenRecord

from .conformance_audit import RecordingConformance
from .conformance_changes import ChangeConformance
from .conformance_deployment import DeploymentConformance
from .conformance_life import LifeConformance
from .conformance_secrets import SecretConformance
from .conformance_sites import OmadaConformance
from .samples import NOW, client, digest, first_generation, key, secret, slot, tenant, token


@dataclass
class Ended:
    """How many of some parallel calls ended well, and what the others raised."""

    well: int
    errors: list[BaseException]


async def all_of(calls: Sequence[Awaitable[object]]) -> Ended:
    results = await asyncio.gather(*calls, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    return Ended(len(results) - len(errors), errors)


class TenantConformance:
    async def test_a_tenant_is_found_as_it_was_added(self, store: Store) -> None:
        acme = tenant(
            hosts=("b.example", "a.example:8443"),
            identifier="0a1b",
            is_default=True,
            is_suspended=True,
            token_rules={"lifetime_s": 60, "nested": {"a": [1, None, "é"]}},
            created_at=NOW,
        )
        await store.tenants.add(acme, [])
        assert first_generation(await store.tenants.find("acme")) == acme

    async def test_an_unknown_tenant_is_none(self, store: Store) -> None:
        assert await store.tenants.find("nobody") is None

    async def test_tenants_are_listed_by_id(self, store: Store) -> None:
        for name in ("zeta", "acme", "m-2"):
            await store.tenants.add(tenant(name, hosts=(f"{name}.example",)), [])
        assert [each.tenant_id for each in await store.tenants.list()] == ["acme", "m-2", "zeta"]

    async def test_a_tenant_comes_with_its_keys_or_not_at_all(self, store: Store) -> None:
        with pytest.raises(AlreadyExists):
            await store.tenants.add(tenant(), [key("k"), key("k")])
        assert await store.tenants.find("acme") is None
        await store.tenants.add(tenant(), [key("k")])
        assert await store.keys.list("acme") == [key("k")]

    @pytest.mark.parametrize(
        "other",
        [
            tenant("acme"),
            tenant("other", hosts=("a.example",)),
            tenant("other", identifier="0a1b"),
            tenant("other", is_default=True),
        ],
        ids=["id", "host", "identifier", "default"],
    )
    async def test_what_names_a_tenant_names_one_only(self, store: Store, other: TenantRecord) -> None:
        await store.tenants.add(tenant(hosts=("a.example",), identifier="0a1b", is_default=True), [])
        with pytest.raises(AlreadyExists):
            await store.tenants.add(other, [])
        await store.tenants.add(tenant("third"), [])
        if other.tenant_id != "acme":
            with pytest.raises(AlreadyExists):
                await store.tenants.change(
                    "third", {name: getattr(other, name) for name in ("hosts", "identifier", "is_default")}
                )

    @pytest.mark.parametrize(
        "other",
        [
            tenant("acme"),
            tenant("other", issuer="https://acme.example"),
            tenant("other", hosts=("free.example", "a.example")),
            tenant("other", identifier="0a1b"),
            tenant("other", is_default=True),
            tenant("other", is_administrative=True),
        ],
        ids=["id", "issuer", "host", "identifier", "default", "administrative"],
    )
    async def test_who_has_a_name_or_place_of_a_tenant_is_its_rival(self, store: Store, other: TenantRecord) -> None:
        held: dict[str, Any] = {"hosts": ("b.example", "a.example"), "identifier": "0a1b", "is_default": True}
        await store.tenants.add(tenant(**held, is_administrative=True), [])
        await store.tenants.add(tenant("third"), [])
        (rival,) = await store.tenants.rivals(other)
        assert (rival.tenant_id, rival.hosts) == ("acme", ("b.example", "a.example"))
        assert await store.tenants.rivals(tenant("free", hosts=("free.example",), identifier="2")) == []

    async def test_any_number_of_tenants_are_not_the_default(self, store: Store) -> None:
        for name in ("a", "b", "c"):
            await store.tenants.add(tenant(name), [])
        assert len(await store.tenants.list()) == 3

    async def test_a_change_of_a_tenant_writes_what_it_names_and_answers_the_whole(self, store: Store) -> None:
        await store.tenants.add(tenant(hosts=("a.example", "b.example"), token_rules={"lifetime_s": 60}), [])
        await store.tenants.change("acme", {"is_suspended": True})
        answered = await store.tenants.change("acme", {"hosts": ("b.example", "c.example"), "identifier": "x"})
        wanted: dict[str, Any] = {"hosts": ("b.example", "c.example"), "is_suspended": True, "identifier": "x"}
        assert first_generation(answered) == tenant(token_rules={"lifetime_s": 60}, **wanted)
        assert await store.tenants.find("acme") == answered

    async def test_a_host_given_up_is_free_for_another(self, store: Store) -> None:
        await store.tenants.add(tenant(hosts=("a.example",)), [])
        await store.tenants.change("acme", {"hosts": ()})
        await store.tenants.add(tenant("other", hosts=("a.example",)), [])

    async def test_changing_an_unknown_tenant_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.tenants.change("nobody", {"is_suspended": True})


class ClientConformance:
    async def test_a_client_is_found_as_it_was_added(self, store: Store) -> None:
        meter = client(
            client_name="Zähler 7",
            is_disabled=True,
            grant_types=("client_credentials", "refresh_token"),
            authentication_methods=("private_key_jwt",),
            scope=("read", "write"),
            audience=("https://api.example",),
            token_rules={"lifetime_s": 60},
            secrets=(secret("s1"),),
            created_at=NOW,
            resources=("https://api.example", "https://b.example"),
        )
        await store.tenants.add(tenant(), [])
        await store.clients.add([meter])
        assert first_generation(await store.clients.find("acme", "meter")) == meter

    async def test_an_unknown_client_is_none(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        assert await store.clients.find("acme", "nobody") is None

    async def test_a_client_belongs_to_its_tenant_alone(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.tenants.add(tenant("other"), [])
        await store.clients.add([client()])
        assert await store.clients.find("other", "meter") is None
        await store.clients.add([client(tenant_id="other", client_name="the other's")])
        assert first_generation(await store.clients.find("acme", "meter")) == client()

    async def test_a_client_without_its_tenant_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.clients.add([client()])

    async def test_clients_are_added_all_or_none(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        with pytest.raises(AlreadyExists):
            await store.clients.add([client("a"), client("b", secrets=(secret("s", "b"),)), client("a")])
        assert await store.clients.page("acme", "", 10) == []

    async def test_no_clients_are_added_without_a_word(self, store: Store) -> None:
        await store.clients.add([])
        assert await store.deployment.revision() == 0

    async def test_pages_follow_one_another_by_id(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        names = [f"c{number:02}" for number in range(7)]
        await store.clients.add([client(name, secrets=(secret("s", name),)) for name in reversed(names)])
        first = await store.clients.page("acme", "", 3)
        second = await store.clients.page("acme", first[-1].client_id, 10)
        assert [each.client_id for each in first + second] == names
        assert all(len(each.secrets) == 1 for each in first + second)

    async def test_a_page_counts_clients_and_not_secrets(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        two = (secret("s2", "a"), secret("s1", "a"))
        await store.clients.add([client("a", secrets=two), client("b"), client("c")])
        page = await store.clients.page("acme", "", 2)
        assert [first_generation(each) for each in page] == [client("a", secrets=two), client("b")]

    async def test_ids_sort_by_octets(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client(name) for name in ("a", "B", "é", "_", "Z")])
        page = await store.clients.page("acme", "", 9)
        assert [each.client_id for each in page] == ["B", "Z", "_", "a", "é"]

    async def test_secrets_come_newest_first(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client(secrets=(secret("old", created_at=NOW - 5),))])
        await store.clients.add_secret(secret("new", created_at=NOW + 5))
        await store.clients.add_secret(secret("middle", created_at=NOW))
        found = await store.clients.find("acme", "meter")
        assert found is not None
        assert [each.secret_id for each in found.secrets] == ["new", "middle", "old"]

    async def test_a_change_of_a_client_writes_what_it_names_and_answers_the_whole(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client(secrets=(secret("s1"),), scope=("read",))])
        await store.clients.change("acme", "meter", {"is_disabled": True})
        answered = await store.clients.change("acme", "meter", {"resources": ("https://api.example",)})
        wanted: dict[str, Any] = {"scope": ("read",), "is_disabled": True, "resources": ("https://api.example",)}
        assert first_generation(answered) == client(secrets=(secret("s1"),), **wanted)
        assert await store.clients.find("acme", "meter") == answered

    async def test_changing_an_unknown_client_is_not_found(self, store: Store) -> None:
        for changes in ({}, {"is_disabled": True}):
            with pytest.raises(NotFound):
                await store.clients.change("acme", "nobody", changes)

    @pytest.mark.parametrize("bump", [False, True])
    async def test_a_reset_leaves_one_secret_and_bumps_when_told(self, store: Store, bump: bool) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client(secrets=(secret("s2"), secret("s1")))])
        before = await store.clients.find("acme", "meter")
        await store.clients.reset_secrets(secret("s3"), bump=bump)
        after = await store.clients.find("acme", "meter")
        assert before is not None
        assert first_generation(after) == client(secrets=(secret("s3"),))
        assert after is not None
        assert (after.generation != before.generation) is bump

    async def test_a_reset_that_fails_leaves_the_old_secrets(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client(secrets=(secret("s1"),))])
        with pytest.raises(NotFound):
            await store.clients.reset_secrets(secret("s2", "nobody"))
        before = await store.clients.find("acme", "meter")
        broken = msgspec.structs.replace(secret("s2"), hash=None)
        with pytest.raises(StoreError):
            await store.clients.reset_secrets(broken, bump=True)
        assert await store.clients.find("acme", "meter") == before

    async def test_a_removed_client_is_gone_with_its_secrets(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client(secrets=(secret("s1"),))])
        await store.clients.remove("acme", "meter")
        assert await store.clients.find("acme", "meter") is None
        await store.clients.add([client()])
        assert first_generation(await store.clients.find("acme", "meter")) == client()

    async def test_a_later_client_of_the_same_id_does_not_inherit_a_token(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client()])
        await store.tokens.add_reusable(token("t"), slot(), b"sealed", NOW)
        await store.clients.remove("acme", "meter")
        await store.clients.add([client()])
        assert await store.tokens.find_reusable(slot(), NOW) is None

    async def test_removing_an_unknown_client_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.clients.remove("acme", "nobody")

    async def test_a_secret_needs_its_client(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        with pytest.raises(NotFound):
            await store.clients.add_secret(secret("s1", "nobody"))

    async def test_a_secret_id_is_used_once_a_client(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client(secrets=(secret("s1"),)), client("other")])
        with pytest.raises(AlreadyExists):
            await store.clients.add_secret(secret("s1"))
        await store.clients.add_secret(secret("s1", "other"))

    async def test_a_removed_secret_is_gone_and_cannot_go_twice(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client(secrets=(secret("s2"), secret("s1")))])
        await store.clients.remove_secret("acme", "meter", "s2")
        assert first_generation(await store.clients.find("acme", "meter")) == client(secrets=(secret("s1"),))
        with pytest.raises(NotFound):
            await store.clients.remove_secret("acme", "meter", "s2")


class KeyConformance:
    async def test_keys_are_listed_oldest_first_of_one_tenant_or_of_all(self, store: Store) -> None:
        await store.tenants.add(tenant(), [key("young", created_at=NOW + 1)])
        await store.tenants.add(tenant("other"), [key("theirs", tenant_id="other", created_at=NOW - 1)])
        await store.keys.add(key("old", public_jwk={}))
        assert [each.kid for each in await store.keys.list("acme")] == ["old", "young"]
        assert [each.kid for each in await store.keys.list()] == ["theirs", "old", "young"]

    async def test_a_key_needs_its_tenant(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.keys.add(key("k"))

    async def test_a_kid_is_used_once_a_tenant(self, store: Store) -> None:
        await store.tenants.add(tenant(), [key("k")])
        with pytest.raises(AlreadyExists):
            await store.keys.add(key("k"))

    async def test_a_replaced_key_is_found_in_its_new_form(self, store: Store) -> None:
        await store.tenants.add(tenant(), [key("k")])
        changed = key("k", active_from=2, sealed=b"", revoked_at=NOW)
        await store.keys.replace(changed)
        assert await store.keys.list("acme") == [changed]

    async def test_replacing_an_unknown_key_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.keys.replace(key("k"))

    async def test_a_removed_key_is_gone_and_cannot_go_twice(self, store: Store) -> None:
        await store.tenants.add(tenant(), [key("k"), key("other")])
        await store.tenants.add(tenant("another"), [key("k", tenant_id="another")])
        await store.keys.remove("acme", "k")
        assert [(each.tenant_id, each.kid) for each in await store.keys.list()] == [("acme", "other"), ("another", "k")]
        with pytest.raises(NotFound):
            await store.keys.remove("acme", "k")


class TokenConformance:
    async def test_a_token_is_found_by_its_digest_after_add(self, store: Store) -> None:
        refresh = TokenRecord(digest("r"), "t", "c", "refresh", "", "", 1, 2, 3, 4, digest("family"), 5)
        await store.tokens.add([token("a"), refresh])
        assert await store.tokens.find(digest("a")) == token("a")
        assert await store.tokens.find(digest("r")) == refresh

    async def test_an_unknown_digest_is_none(self, store: Store) -> None:
        assert await store.tokens.find(digest("a")) is None

    async def test_an_expired_token_is_still_found(self, store: Store) -> None:
        await store.tokens.add([token("a", expires_at=1)])
        assert await store.tokens.find(digest("a")) == token("a", expires_at=1)

    async def test_no_tokens_are_added_without_a_word(self, store: Store) -> None:
        await store.tokens.add([])

    async def test_a_digest_is_used_once(self, store: Store) -> None:
        await store.tokens.add([token("a")])
        with pytest.raises(AlreadyExists):
            await store.tokens.add([token("a", expires_at=NOW + 60)])
        assert await store.tokens.find(digest("a")) == token("a")

    async def test_tokens_are_added_all_or_none(self, store: Store) -> None:
        with pytest.raises(AlreadyExists):
            await store.tokens.add([token("a"), token("b"), token("a")])
        assert await store.tokens.find(digest("b")) is None

    async def test_more_tokens_than_one_statement_takes_are_added_all_or_none(self, store: Store) -> None:
        many = [token(f"t{number}") for number in range(1000)]
        with pytest.raises(AlreadyExists):
            await store.tokens.add([*many, many[0]])
        assert await store.tokens.find(many[0].digest) is None
        await store.tokens.add(many)
        assert await store.tokens.find(many[-1].digest) == many[-1]

    async def test_a_failing_neighbour_fails_alone(self, store: Store) -> None:
        await store.tokens.add([token("taken")])
        good = [[token(f"a{number}"), token(f"b{number}")] for number in range(50)]
        bad = [[token("taken")], [token("c"), token("c")]]
        calls = [store.tokens.add(each) for each in good[:20] + bad + good[20:]]
        ended = await all_of(calls)
        assert (ended.well, [type(error) for error in ended.errors]) == (50, [AlreadyExists] * 2)
        found = [await store.tokens.find(record.digest) for each in good for record in each]
        assert None not in found
        assert await store.tokens.find(digest("c")) is None

    async def test_every_kind_of_write_shares_a_batch(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        ended = await all_of(
            [
                store.tokens.add([token("a")]),
                store.clients.add([client()]),
                store.tokens.add_reusable(token("b"), slot(), b"b", NOW),
                store.clients.change("acme", "nobody", {"is_disabled": True}),
                store.tokens.add([token("c")]),
            ]
        )
        assert (ended.well, [type(error) for error in ended.errors]) == (4, [NotFound])
        assert first_generation(await store.clients.find("acme", "meter")) == client()
        assert [await store.tokens.find(digest(name)) is not None for name in "abc"] == [True] * 3

    async def test_a_caller_that_went_away_harms_nobody(self, store: Store) -> None:
        calls = [asyncio.create_task(store.tokens.add([token(f"t{number}")])) for number in range(40)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        found = [await store.tokens.find(digest(f"t{number}")) for number in range(1, 40, 2)]
        assert None not in found

    async def test_an_empty_slot_has_no_token(self, store: Store) -> None:
        assert await store.tokens.find_reusable(slot(), 0) is None

    async def test_a_token_put_into_a_slot_is_found_there_and_by_its_digest(self, store: Store) -> None:
        put = await store.tokens.add_reusable(token("a"), slot(), b"sealed", NOW)
        assert put == ReusableToken(digest("a"), b"sealed", NOW + 3600)
        assert await store.tokens.find_reusable(slot(), NOW) == put
        assert await store.tokens.find(digest("a")) == token("a")

    async def test_a_live_token_keeps_its_slot(self, store: Store) -> None:
        first = await store.tokens.add_reusable(token("a"), slot(), b"a", NOW)
        assert await store.tokens.add_reusable(token("b"), slot(), b"b", NOW) == first
        assert await store.tokens.find(digest("b")) is None

    async def test_a_token_is_live_only_above_the_given_second(self, store: Store) -> None:
        await store.tokens.add_reusable(token("a", expires_at=NOW), slot(), b"a", NOW - 1)
        assert await store.tokens.find_reusable(slot(), NOW - 1) is not None
        assert await store.tokens.find_reusable(slot(), NOW) is None
        second = await store.tokens.add_reusable(token("b"), slot(), b"b", NOW)
        assert second.digest == digest("b")
        assert await store.tokens.find_reusable(slot(), NOW) == second
        assert await store.tokens.find(digest("a")) is not None

    @pytest.mark.parametrize("later", [slot("read", 2, 1), slot("read", 1, 2)], ids=["tenant", "client"])
    async def test_a_live_token_of_another_generation_is_not_handed_out(self, store: Store, later: ReuseSlot) -> None:
        first = await store.tokens.add_reusable(token("a"), slot(), b"a", NOW)
        assert await store.tokens.find_reusable(later, NOW) is None
        second = await store.tokens.add_reusable(token("b"), later, b"b", NOW)
        assert second.digest == digest("b")
        assert [await store.tokens.find_reusable(each, NOW) for each in (slot(), later)] == [first, second]

    async def test_slots_of_other_scopes_are_other_slots(self, store: Store) -> None:
        await store.tokens.add_reusable(token("a"), slot("read"), b"a", NOW)
        other = await store.tokens.add_reusable(token("b"), slot("write"), b"b", NOW)
        assert other.digest == digest("b")

    async def test_of_parallel_calls_for_a_slot_one_wins(self, store: Store) -> None:
        names = [f"t{number}" for number in range(30)]
        put = [store.tokens.add_reusable(token(name), slot(), name.encode(), NOW) for name in names]
        winners = set(await asyncio.gather(*put))
        assert len(winners) == 1
        assert len([name for name in names if await store.tokens.find(digest(name))]) == 1

    async def test_a_taken_digest_is_not_put_into_a_slot(self, store: Store) -> None:
        await store.tokens.add([token("a")])
        with pytest.raises(AlreadyExists):
            await store.tokens.add_reusable(token("a"), slot(), b"a", NOW)
        assert await store.tokens.find_reusable(slot(), NOW) is None


@pytest.mark.asyncio
class StoreConformance(
    TenantConformance,
    ClientConformance,
    KeyConformance,
    TokenConformance,
    DeploymentConformance,
    ChangeConformance,
    LifeConformance,
    OmadaConformance,
    RecordingConformance,
    SecretConformance,
):
    """The whole contract of `interface.Store`."""
