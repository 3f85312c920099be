"""The token cache: how long a token is kept, and that one fetch serves all who wait."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mintmark.protocol.errors import InvalidClient
from mintmark.sdk import AsyncTokenCache, Secret, TokenCache, TokenResponse


class Source:
    """Hands out numbered tokens, or raises; the clock stands still until it is set."""

    def __init__(self, lifetime_s: int = 3600) -> None:
        self.now = 1000.0
        self.count = 0
        self.lifetime_s = lifetime_s
        self.error: Exception | None = None

    def clock(self) -> float:
        return self.now

    def fetch(self) -> TokenResponse:
        self.count += 1
        if self.error is not None:
            raise self.error
        return TokenResponse(Secret(f"token-{self.count}"), "Bearer", self.lifetime_s)

    async def fetch_slowly(self) -> TokenResponse:
        await asyncio.sleep(0.01)
        return self.fetch()


def text_of(response: TokenResponse) -> str:
    return response.access_token.reveal()


@pytest.mark.parametrize(
    ("lifetime_s", "kept_s"),
    [(3600, 3569), (300, 269), (299, 268), (10, 8.9), (1, 0.8), (9_223_372_036_854_775, 300_000_000)],
)
def test_a_token_is_kept_until_shortly_before_it_expires(lifetime_s, kept_s):
    source = Source(lifetime_s)
    cache = TokenCache(source.fetch, clock=source.clock)
    cache.get()
    source.now += kept_s
    assert text_of(cache.get()) == "token-1"
    source.now += 0.15 if lifetime_s < 100 else 1.5
    source.now += 20_000_000 if lifetime_s > 3600 else 0
    assert text_of(cache.get()) == "token-2"


def test_a_token_without_a_lifetime_is_never_kept():
    source = Source(0)
    cache = TokenCache(source.fetch, clock=source.clock)
    assert [text_of(cache.get()) for _ in range(3)] == ["token-1", "token-2", "token-3"]


@pytest.mark.rfc("6749", "5.1")
def test_a_kept_token_says_how_long_it_still_lives():
    source = Source(3600)
    cache = TokenCache(source.fetch, clock=source.clock)
    assert cache.get().expires_in == 3600
    source.now += 1000.5
    assert cache.get().expires_in == 2599


def test_a_lifetime_counts_from_before_the_request_was_sent():
    source = Source(100)

    def fetch_in_a_minute() -> TokenResponse:
        source.now += 60
        return source.fetch()

    cache = TokenCache(fetch_in_a_minute, clock=source.clock)
    cache.get()
    assert cache.get().expires_in == 40


def test_a_forgotten_token_is_fetched_anew():
    source = Source()
    cache = TokenCache(source.fetch, clock=source.clock)
    cache.get()
    cache.forget()
    assert text_of(cache.get()) == "token-2"


def test_forgetting_an_older_token_keeps_the_newer_one():
    source = Source()
    cache = TokenCache(source.fetch, clock=source.clock)
    older = cache.get()
    cache.forget(older)
    cache.get()
    cache.forget(older)
    assert text_of(cache.get()) == "token-2"


def test_a_failure_is_not_kept():
    source = Source()
    cache = TokenCache(source.fetch, clock=source.clock)
    source.error = InvalidClient("wrong_secret")
    with pytest.raises(InvalidClient):
        cache.get()
    source.error = None
    assert text_of(cache.get()) == "token-2"


@pytest.mark.parametrize("error", [None, InvalidClient("wrong_secret")])
def test_parallel_threads_share_one_fetch_and_its_outcome(error):
    source = Source()
    source.error = error
    all_are_there = threading.Barrier(17)

    def fetch_while_the_others_wait() -> TokenResponse:
        all_are_there.wait(5)
        time.sleep(0.1)
        return source.fetch()

    cache = TokenCache(fetch_while_the_others_wait, clock=source.clock)

    def get_second() -> TokenResponse:
        all_are_there.wait(5)
        return cache.get()

    with ThreadPoolExecutor(17) as pool:
        calls = [pool.submit(cache.get), *(pool.submit(get_second) for _ in range(16))]
        outcomes = [call.exception() or text_of(call.result()) for call in calls]
    assert source.count == 1
    assert outcomes == [error or "token-1"] * 17


@pytest.mark.parametrize("error", [None, InvalidClient("wrong_secret")])
async def test_parallel_tasks_share_one_fetch_and_its_outcome(error):
    source = Source()
    source.error = error
    cache = AsyncTokenCache(source.fetch_slowly, clock=source.clock)
    outcomes = await asyncio.gather(*(cache.get() for _ in range(50)), return_exceptions=True)
    assert source.count == 1
    assert [one if isinstance(one, BaseException) else text_of(one) for one in outcomes] == [error or "token-1"] * 50


async def test_a_cancelled_task_leaves_the_fetch_to_the_others():
    source = Source()
    cache = AsyncTokenCache(source.fetch_slowly, clock=source.clock)
    first = asyncio.create_task(cache.get())
    second = asyncio.create_task(cache.get())
    await asyncio.sleep(0)
    first.cancel()
    assert text_of(await second) == "token-1"
    assert source.count == 1


async def test_a_failure_that_nobody_waits_for_is_silent(caplog):
    source = Source()
    source.error = InvalidClient("wrong_secret")
    cache = AsyncTokenCache(source.fetch_slowly, clock=source.clock)
    alone = asyncio.create_task(cache.get())
    await asyncio.sleep(0)
    alone.cancel()
    await asyncio.sleep(0.05)
    assert caplog.records == []


async def test_the_asynchronous_cache_keeps_and_forgets_as_the_other_does():
    source = Source()
    cache = AsyncTokenCache(source.fetch_slowly, clock=source.clock)
    first = await cache.get()
    assert text_of(await cache.get()) == "token-1"
    source.now += 3571
    assert text_of(await cache.get()) == "token-2"
    cache.forget(first)
    assert text_of(await cache.get()) == "token-2"
    cache.forget()
    assert text_of(await cache.get()) == "token-3"
