"""What one process does for all, by itself: keys on their schedule, and the removal of what died of age.

Both are plain functions of what is stored and of the moment; they may run twice, or be cut off, without harm.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

import structlog

from mintmark.admin.administration import Administration
from mintmark.admin.client_secrets import SECRETS_A_PAGE, list_expiring_secrets, place_of_secret
from mintmark.admin.keys import add_scheduled_key
from mintmark.grants.rules import TokenRules, override_token_rules, tenant_rules
from mintmark.protocol.errors import StoreUnavailable
from mintmark.store.records import KeyRecord, TenantRecord
from mintmark.tokens.keys import CACHE_S, describe_key_state

PURGE_ROWS: Final = 250
"""Rows removed by one transaction, so that it holds the write lock for a few milliseconds."""
PURGE_PAUSE_S: Final = 0.02
KEEP_EXPIRED_S: Final = 3600
"""How long what has expired is kept, so that an API that is shown it can tell it from what never was."""
KEEP_EXPIRED_SECRETS_S: Final = 7 * 86_400
"""How long an expired secret is still listed, so that its owner sees what has happened to it."""
ANNOUNCED_FACT: Final = "secrets_announced_on"
DAY_S: Final = 86_400
RECLAIM_PAGES: Final = 32
KEEP_FREE_PAGES: Final = 1000
KEEP_FREE_SHARE: Final = 0.1
"""Free pages that stay, 4 MB or a tenth of the file: else a steady load would shrink and grow it for ever."""
CLIENTS_A_PAGE: Final = 1000

log = structlog.get_logger()


class KeySchedule(NamedTuple):
    """How long a key signs, and how long before that it is published, in seconds."""

    lifetime_s: int
    announce_s: int


async def purge_expired(administration: Administration) -> int:
    """Remove what expired KEEP_EXPIRED_S ago in short steps with pauses between, and return how many rows went.

    Raises: StoreUnavailable.
    """
    removed = 0
    store = administration.store
    while step := await store.upkeep.purge(administration.now() - KEEP_EXPIRED_S, PURGE_ROWS):
        removed += step
        await asyncio.sleep(PURGE_PAUSE_S)
    while step := await store.clients.remove_expired_secrets(administration.now() - KEEP_EXPIRED_SECRETS_S, PURGE_ROWS):
        removed += step
        await asyncio.sleep(PURGE_PAUSE_S)
    while await administration.store.upkeep.reclaim(RECLAIM_PAGES, keep=KEEP_FREE_PAGES, keep_share=KEEP_FREE_SHARE):
        await asyncio.sleep(PURGE_PAUSE_S)
    return removed


async def announce_expiring_secrets(administration: Administration, notice_s: int) -> int:
    """Log the secrets that expire within `notice_s` seconds, at the first call of a day (UTC); return how many.

    Raises: StoreUnavailable.
    """
    today = str(administration.now() // DAY_S)
    facts = administration.store.deployment
    if await facts.find_fact(ANNOUNCED_FACT) == today:
        return 0
    count, after = 0, None
    while page := await list_expiring_secrets(administration, within_s=notice_s, after=after, limit=SECRETS_A_PAGE):
        for secret in page:
            log.warning(
                "secret_expires",
                tenant_id=secret.tenant_id,
                client_id=secret.client_id,
                secret_id=secret.secret_id,
                expires_at=secret.expires_at,
                last_used_at=secret.last_used_at,
            )
        count, after = count + len(page), place_of_secret(page[-1])
        await asyncio.sleep(0)
    await facts.put_fact(ANNOUNCED_FACT, today)
    return count


async def tend_keys(administration: Administration, schedule: KeySchedule) -> None:
    """Announce successors of keys that grow old, and destroy keys whose last token has died.

    A tenant for which that fails, as one whose dialect is not there, is logged and left; the others are tended.

    Raises: StoreUnavailable.
    """
    keys = defaultdict(list)
    for key in await administration.store.keys.list():
        if key.use == "sig":
            keys[key.tenant_id].append(key)
    for tenant in await administration.store.tenants.list():
        await _tend_tenant(administration, tenant, keys[tenant.tenant_id], schedule)
        # There may be thousands, and requests wait meanwhile.
        await asyncio.sleep(0)


async def _tend_tenant(
    administration: Administration, tenant: TenantRecord, keys: list[KeyRecord], schedule: KeySchedule
) -> None:
    try:
        await _announce_successors(administration, keys, schedule)
        await _destroy_outlived(administration, tenant, keys)
    except StoreUnavailable:
        raise
    except Exception as error:  # whatever it was, it is this tenant's alone
        log.error("tenant_upkeep_failed", tenant_id=tenant.tenant_id, error=repr(error))


async def _announce_successors(administration: Administration, keys: list[KeyRecord], schedule: KeySchedule) -> None:
    now = administration.now()
    announced = [key for key in keys if describe_key_state(key, keys, now) == "announced"]
    for key in keys:
        ends = key.active_from + schedule.lifetime_s
        is_due = describe_key_state(key, keys, now) == "active" and ends - schedule.announce_s <= now
        # One that begins later than any made now would is from a clock that was far ahead: it succeeds nobody.
        latest = max(ends, now) + schedule.announce_s
        if is_due and not any(one.alg == key.alg and one.active_from <= latest for one in announced):
            active_from = max(ends, now + schedule.announce_s)
            successor = await add_scheduled_key(administration, key.tenant_id, key.alg, active_from=active_from)
            log.info("key_announced", tenant_id=key.tenant_id, kid=successor.kid, alg=key.alg, active_from=active_from)


async def _destroy_outlived(administration: Administration, tenant: TenantRecord, keys: list[KeyRecord]) -> None:
    now = administration.now()
    rules = tenant_rules(administration.rules[tenant.dialect], tenant.token_rules, tenant.tenant_id)
    ended = {key.kid: end for key in keys if (end := _signed_until(key, keys, now)) is not None}
    # Most clients have the tenant's own lifetime; they are looked through only when that has passed.
    if not any(end + rules.token.lifetime_s + CACHE_S < now for end in ended.values()):
        return
    margin_s = await longest_lifetime_s(administration, tenant.tenant_id, rules.token) + CACHE_S
    for kid, end in ended.items():
        if end + margin_s < now:
            await administration.acting("destroy_key").keys.remove(tenant.tenant_id, kid)
            log.info("key_destroyed", tenant_id=tenant.tenant_id, kid=kid)


def _signed_until(key: KeyRecord, keys: Iterable[KeyRecord], now: int) -> int | None:
    """Return when a retired or revoked key signed for the last time, or None for the others."""
    state = describe_key_state(key, keys, now)
    if state == "revoked":
        return key.revoked_at
    later = [one.active_from for one in keys if one.alg == key.alg and key.active_from < one.active_from <= now]
    return min(later, default=now) if state == "retired" else None


async def longest_lifetime_s(administration: Administration, tenant_id: str, rules: TokenRules) -> int:
    """Return the life of a tenant's longest token, in seconds: its own rule's, or that of one of its clients."""
    longest, after = rules.lifetime_s, ""
    while page := await administration.store.clients.page(tenant_id, after, CLIENTS_A_PAGE):
        own = [override_token_rules(rules, one.token_rules, one.client_id).lifetime_s for one in page]
        longest, after = max(longest, *own), page[-1].client_id
    return longest
