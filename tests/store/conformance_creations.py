"""What every store does for creations asked for twice and for clients that register themselves, as sentences."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from mintmark.protocol.errors import NotFound
from mintmark.store.interface import Store
from mintmark.store.records import Act, IdempotencyRecord, InitialAccessToken, RegistrationRecord

from .samples import NOW, client, digest, tenant


def kept(**changes: Any) -> IdempotencyRecord:
    record = IdempotencyRecord("client:acme/meter", "key", "digest", b"sealed", NOW + 60)
    return msgspec.structs.replace(record, **changes)


def initial(**changes: Any) -> InitialAccessToken:
    record = InitialAccessToken(
        tenant_id="acme",
        token_id="one",
        digest=digest("initial"),
        label="branches",
        scope=("read", "write"),
        uses_left=2,
        created_at=NOW,
        expires_at=NOW + 60,
    )
    return msgspec.structs.replace(record, **changes)


class IdempotencyConformance:
    async def test_an_answer_is_found_by_its_actor_and_key_until_it_expires(self, store: Store) -> None:
        await store.idempotency.keep(kept())
        assert await store.idempotency.find("client:acme/meter", "key", NOW + 59) == kept()
        assert await store.idempotency.find("client:acme/meter", "key", NOW + 60) is None
        assert await store.idempotency.find("client:acme/other", "key", NOW) is None
        assert await store.idempotency.find("client:acme/meter", "other", NOW) is None

    async def test_a_later_answer_takes_the_place_of_an_expired_one(self, store: Store) -> None:
        await store.idempotency.keep(kept())
        await store.idempotency.keep(kept(digest="later", expires_at=NOW + 200))
        assert await store.idempotency.find("client:acme/meter", "key", NOW + 100) == kept(
            digest="later", expires_at=NOW + 200
        )

    async def test_an_answer_stands_with_its_creation_or_not_at_all(self, store: Store) -> None:
        with pytest.raises(NotFound):
            async with store.together() as together:
                await together.idempotency.keep(kept())
                assert await together.idempotency.find("client:acme/meter", "key", NOW) == kept()
                await together.clients.add([client()])
        assert await store.idempotency.find("client:acme/meter", "key", NOW) is None

    async def test_a_kept_answer_is_purged_with_the_rest(self, store: Store) -> None:
        await store.idempotency.keep(kept())
        assert await store.upkeep.purge(NOW + 59, 10) == 0
        assert await store.upkeep.purge(NOW + 60, 10) == 1


class RegistrationConformance:
    async def test_a_token_gives_as_many_uses_as_it_has_however_many_ask_at_once(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.registrations.add_token(initial(uses_left=3))
        taken = await asyncio.gather(
            *[store.registrations.spend_token("acme", digest("initial"), NOW) for _ in range(8)]
        )
        assert taken.count(True) == 3
        found = await store.registrations.find_token("acme", digest("initial"))
        assert found == initial(uses_left=0)

    async def test_a_token_is_of_one_tenant_and_of_its_time(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.registrations.add_token(initial())
        assert not await store.registrations.spend_token("other", digest("initial"), NOW)
        assert not await store.registrations.spend_token("acme", digest("another"), NOW)
        assert not await store.registrations.spend_token("acme", digest("initial"), NOW + 60)
        assert await store.registrations.find_token("other", digest("initial")) is None
        assert await store.registrations.list_tokens("acme") == [initial()]

    async def test_tokens_go_when_removed_with_their_tenant_and_by_age(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.registrations.add_token(initial())
        await store.registrations.remove_token("acme", "one")
        with pytest.raises(NotFound):
            await store.registrations.remove_token("acme", "one")
        await store.registrations.add_token(initial())
        assert await store.upkeep.purge(NOW + 60, 10) == 1
        await store.registrations.add_token(initial())
        await store.tenants.remove("acme")
        assert await store.registrations.list_tokens("acme") == []
        with pytest.raises(NotFound):
            await store.registrations.add_token(initial())

    async def test_making_and_removing_a_token_is_recorded_without_its_digest(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        acting = store.acting(Act(kind="test_it", at=NOW, actor="client:acme/meter"))
        await acting.registrations.add_token(initial())
        await acting.registrations.remove_token("acme", "one")
        records = await store.audit.after(0, 10)
        assert [one.subject for one in records] == ["initial access token acme/one"] * 2
        assert all(digest("initial").hex() not in one.body for one in records)
        assert msgspec.json.decode(records[1].body)["before"]["scope"] == ["read", "write"]

    async def test_a_registration_is_its_clients_and_goes_with_it(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client()])
        first = RegistrationRecord(
            tenant_id="acme", client_id="meter", digest=digest("a"), previous=None, scope=("read",)
        )
        second = msgspec.structs.replace(first, digest=digest("b"), previous=digest("a"))
        await store.registrations.put(first)
        await store.registrations.put(second)
        assert await store.registrations.find("acme", "meter") == second
        await store.clients.remove("acme", "meter")
        assert await store.registrations.find("acme", "meter") is None
        with pytest.raises(NotFound):
            await store.registrations.put(first)
