"""The part of the store's contract that is about the deployment: its facts, and the number that every change raises."""

from __future__ import annotations

import asyncio

import pytest

from mintmark.protocol.errors import NotFound
from mintmark.store.interface import Store

from .samples import NOW, client, digest, key, secret, slot, tenant, token


class DeploymentConformance:
    async def test_a_fact_is_found_as_it_was_last_put(self, store: Store) -> None:
        assert await store.deployment.find_fact("check") is None
        await store.deployment.put_fact("check", "one")
        await store.deployment.put_fact("check", "two")
        assert await store.deployment.find_fact("check") == "two"

    async def test_of_parallel_first_facts_one_stands(self, store: Store, another_process: Store) -> None:
        puts = [
            each.deployment.put_fact_if_absent("root", str(n)) for n, each in enumerate([store, another_process] * 5)
        ]
        standing = set(await asyncio.gather(*puts))
        assert standing == {await store.deployment.find_fact("root")}
        assert standing == {await store.deployment.put_fact_if_absent("root", "later")}

    async def test_every_registered_change_raises_the_revision(self, store: Store) -> None:
        seen = [await store.deployment.revision()]
        for change in (
            store.tenants.add(tenant(), []),
            store.tenants.change("acme", {"is_suspended": True}),
            store.tenants.bump_generation("acme"),
            store.clients.add([client()]),
            store.clients.change("acme", "meter", {"is_disabled": True}),
            store.clients.change("acme", "meter", {"is_disabled": False}, bump=True),
            store.clients.bump_generation("acme", "meter"),
            store.clients.add_secret(secret("s")),
            store.clients.reset_secrets(secret("s2")),
            store.clients.remove_secret("acme", "meter", "s2"),
            store.clients.remove("acme", "meter"),
            store.keys.add(key("k")),
            store.keys.replace(key("k", active_from=3)),
            store.keys.remove("acme", "k"),
        ):
            await change
            seen.append(await store.deployment.revision())
        assert seen == sorted(set(seen))

    async def test_a_change_of_a_tenant_or_key_alone_raises_the_revision_of_issuers(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        added = await store.deployment.revisions()
        await store.clients.add([client()])
        await store.clients.add_secret(secret("s"))
        await store.clients.change("acme", "meter", {"is_disabled": True}, bump=True)
        later = await store.deployment.revisions()
        assert (added[0], later[1]) == (added[1], added[1]) != later
        for change in (store.keys.add(key("k")), store.tenants.bump_generation("acme")):
            await change
            number, of_issuers = await store.deployment.revisions()
            assert number == of_issuers > later[0]

    async def test_tokens_and_facts_leave_the_revision(self, store: Store) -> None:
        await store.tokens.add([token("a")])
        await store.tokens.add_reusable(token("b"), slot(), b"b", NOW)
        await store.tokens.rotate(digest("a"), [token("c")], NOW, 0)
        await store.tokens.revoke_jti("acme", "j", NOW)
        await store.tokens.remove(digest("a"))
        await store.upkeep.purge(NOW, 10)
        await store.deployment.put_fact("check", "one")
        assert await store.deployment.revision() == 0

    async def test_a_change_that_failed_leaves_the_revision(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.clients.change("acme", "nobody", {"is_disabled": True})
        with pytest.raises(NotFound):
            await store.clients.bump_generation("acme", "nobody")
        assert await store.deployment.revision() == 0

    async def test_another_process_sees_a_change_at_once(self, store: Store, another_process: Store) -> None:
        before = await another_process.deployment.revision()
        await store.tenants.add(tenant(), [])
        assert await another_process.deployment.revision() > before
        assert await another_process.tenants.find("acme") == await store.tenants.find("acme")
