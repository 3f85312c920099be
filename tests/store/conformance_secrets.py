"""What every store does for secrets that take turns: expiry, last use, the end of the expired."""

from __future__ import annotations

import msgspec
import pytest

from mintmark.store.interface import Store
from mintmark.store.records import SecretPlace, SecretRecord

from .samples import NOW, client, secret, tenant

HOUR = 3600


def expiring(secret_id: str, expires_at: int | None, client_id: str = "meter", tenant_id: str = "acme") -> SecretRecord:
    return msgspec.structs.replace(secret(secret_id, client_id), expires_at=expires_at, tenant_id=tenant_id)


async def expiries(store: Store) -> dict[str, int | None]:
    found = await store.clients.find("acme", "meter")
    assert found is not None
    return {one.secret_id: one.expires_at for one in found.secrets}


class SecretConformance:
    async def test_a_new_secret_lets_the_others_expire_but_prolongs_none(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        others = (expiring("s1", None), expiring("s2", NOW + 10), expiring("s3", NOW + 9 * HOUR))
        await store.clients.add([client(secrets=others), client("other", secrets=(secret("s1", "other"),))])
        await store.clients.add_secret(secret("s4"), others_expire_at=NOW + HOUR)
        wanted = {"s1": NOW + HOUR, "s2": NOW + 10, "s3": NOW + HOUR, "s4": None}
        assert await expiries(store) == wanted
        other = await store.clients.find("acme", "other")
        assert other is not None
        assert other.secrets[0].expires_at is None

    async def test_a_last_use_is_kept_and_changes_neither_revision_nor_version(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client(secrets=(secret("s1"), secret("s2")))])
        before = await store.deployment.revision()
        await store.clients.mark_used({("acme", "meter", "s1"): NOW, ("acme", "gone", "s1"): NOW})
        await store.clients.mark_used({})
        found = await store.clients.find("acme", "meter")
        assert found is not None
        assert {one.secret_id: one.last_used_at for one in found.secrets} == {"s1": NOW, "s2": None}
        assert (found.version, await store.deployment.revision()) == (1, before)

    async def test_the_later_use_stays_whichever_is_written_first(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        await store.clients.add([client(secrets=(secret("s1"),))])
        for at in (NOW, NOW + 5, NOW + 3):
            await store.clients.mark_used({("acme", "meter", "s1"): at})
        found = await store.clients.find("acme", "meter")
        assert found is not None
        assert found.secrets[0].last_used_at == NOW + 5

    @pytest.mark.parametrize("tenants", [None, ["acme", "b"], ["acme"], ["b"], []])
    @pytest.mark.parametrize("limit", [1, 2, 100])
    async def test_expiring_secrets_come_in_pages_the_soonest_first(
        self, store: Store, tenants: list[str] | None, limit: int
    ) -> None:
        rows = []
        for tenant_id in ("acme", "b"):
            await store.tenants.add(tenant(tenant_id), [])
            for client_id in ("x", "y"):
                times = (NOW + 1, NOW + 1, NOW + 5, NOW + HOUR, None)
                secrets = tuple(expiring(f"s{n}", at, client_id, tenant_id) for n, at in enumerate(times))
                await store.clients.add([client(client_id, tenant_id=tenant_id, secrets=secrets)])
                rows += [one for one in secrets if tenants is None or tenant_id in tenants]
        wanted = sorted(
            (one.expires_at, one.tenant_id, one.client_id, one.secret_id)
            for one in rows
            if one.expires_at is not None and one.expires_at <= NOW + 10
        )
        seen: list[tuple[int, str, str, str]] = []
        after = SecretPlace(NOW)
        while page := await store.clients.expiring(after, NOW + 10, limit, tenants):
            assert len(page) <= limit
            seen += [(one.expires_at or 0, one.tenant_id, one.client_id, one.secret_id) for one in page]
            after = SecretPlace(*seen[-1])
        assert seen == wanted

    async def test_what_has_expired_is_removed_in_steps_and_the_rest_stays(self, store: Store) -> None:
        await store.tenants.add(tenant(), [])
        secrets = tuple(expiring(f"s{n}", at) for n, at in enumerate((NOW - 1, NOW, NOW + 1, None)))
        await store.clients.add([client(secrets=secrets)])
        assert [await store.clients.remove_expired_secrets(NOW, 1) for _ in range(3)] == [1, 1, 0]
        assert set(await expiries(store)) == {"s2", "s3"}
