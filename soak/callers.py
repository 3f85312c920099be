"""The callers: what programs do with a token server, each in a loop, all at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from soak.asking import Administrator, Asking, Client
from soak.laws import OVERLAP_S

PAUSE_S: Final = 0.1
SUSPENDED_S: Final = 2.0
BETWEEN_CHANGES_S: Final = 2.5
BRIEF_S: Final = 3
SWEEPERS: Final = 16
STEADY: Final = frozenset({"self-contained", "durable", "again", "spent"})
"""Who is granted tokens every second while all is well."""

Caller = Callable[[], Awaitable[None]]


class Cast(NamedTuple):
    """Who takes part."""

    asking: Asking
    administrator: Administrator
    judge: Client
    """Introspects the tokens of its tenant."""
    self_contained: Client
    durable: Client
    brief: Client
    again: Client
    spent: Client
    fleeting: Client
    rotating: Client

    def looker(self, client: Client) -> Client:
        """Return who may introspect a client's tokens."""
        return self.judge if client.tenant == self.judge.tenant else client


async def register(administrator: Administrator, asking: Asking, issuer: str) -> Cast:
    """Register the clients of the soak, in the tenants that `lab` has made."""

    async def one(client_id: str, tenant: str = "standard", dialect: str = "oauth2", **members: object) -> Client:
        return await administrator.register(tenant, dialect, client_id=client_id, **members)

    opaque = {"form": "opaque"}
    return Cast(
        asking,
        administrator,
        judge=await one("judge", resources=[issuer]),
        self_contained=await one("self-contained"),
        durable=await one("durable", token_rules=opaque),
        brief=await one("brief", token_rules={**opaque, "lifetime_s": BRIEF_S}),
        again=await one("again", "wso2", "wso2"),
        spent=await one("spent", "omada", "omada", grant_types=["client_credentials", "refresh_token"]),
        fleeting=await one("fleeting"),
        rotating=await one("rotating"),
    )


async def take_tokens(cast: Cast, client: Client) -> None:
    """A new token, looked at once, and one of those that were given lately."""
    found = await cast.asking.issue(client)
    if found is not None:
        await cast.asking.introspect(cast.looker(client), found.access)
    await look_back(cast)


async def look_back(cast: Cast) -> None:
    """Look at a token of a while ago, whosever it is."""
    if cast.asking.lately:
        client, token = cast.asking.given[random.choice(cast.asking.lately)]
        if client.tenant != "admin":
            await cast.asking.introspect(cast.looker(client), token)


async def outlive_tokens(cast: Cast) -> None:
    """A token of a short life, looked at before and after its end."""
    found = await cast.asking.issue(cast.brief)
    if found is not None:
        await cast.asking.introspect(cast.judge, found.access)
        await asyncio.sleep(BRIEF_S + 1.5)
        await cast.asking.introspect(cast.judge, found.access)


async def spend_refresh_tokens(cast: Cast) -> None:
    """A family of tokens, in which each refresh token is used by two parallel calls."""
    tokens = await cast.asking.issue(cast.spent)
    for _ in range(5):
        if tokens is None:
            return
        await cast.asking.introspect(cast.spent, tokens.access)
        first, second = await asyncio.gather(*[cast.asking.refresh(cast.spent, tokens) for _ in range(2)])
        tokens = first or second


async def take_the_same_again(cast: Cast) -> None:
    """A token that is handed out again to parallel calls, and ended at last."""
    for _ in range(5):
        found = await asyncio.gather(*[cast.asking.issue(cast.again) for _ in range(3)])
        for one in filter(None, found):
            await cast.asking.introspect(cast.again, one.access)
        await asyncio.sleep(PAUSE_S)
    for one in list(filter(None, found))[:1]:
        await cast.asking.revoke(cast.again, one.access)
        await cast.asking.introspect(cast.again, one.access)


async def revoke_tokens(cast: Cast, client: Client) -> None:
    """A token that is ended by its client, and looked at on two nodes."""
    found = await cast.asking.issue(client)
    if found is not None:
        await cast.asking.revoke(client, found.access)
        for _ in range(2):
            await cast.asking.introspect(cast.judge, found.access)


async def suspend_and_resume(cast: Cast) -> None:
    """A client is suspended, and enabled again a while later."""
    for is_disabled, pause_s in ((True, SUSPENDED_S), (False, BETWEEN_CHANGES_S)):
        await cast.administrator.set_disabled(cast.fleeting, is_disabled=is_disabled)
        await asyncio.sleep(pause_s)


class Rotation:
    """A client's secrets as they take turns. Those before the newest are shown longer than they may be."""

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._known = [cast.rotating]

    async def rotate(self) -> None:
        """Put a new secret in the place of the others, which go on for the overlap."""
        self._known.append(await self._cast.administrator.rotate(self._known[-1], OVERLAP_S))
        del self._known[:-4]
        await asyncio.sleep(BETWEEN_CHANGES_S)

    async def use(self) -> None:
        """Ask with one of the secrets."""
        await self._cast.asking.issue(random.choice(self._known))


def all_callers(cast: Cast, nodes: Mapping[str, str]) -> list[Caller]:
    """Return every caller of the soak. `nodes`: the URL of each, by its name."""
    rotation = Rotation(cast)
    return [
        *[partial(take_tokens, cast, client) for client in (cast.self_contained, cast.durable)] * 2,
        *[partial(outlive_tokens, cast)] * 4,
        *[partial(spend_refresh_tokens, cast)] * 2,
        partial(take_the_same_again, cast),
        *[partial(revoke_tokens, cast, client) for client in (cast.self_contained, cast.durable)],
        *[partial(take_tokens, cast, cast.fleeting)] * 2,
        *[partial(cast.asking.ask_node, cast.fleeting, name, url) for name, url in nodes.items()],
        partial(suspend_and_resume, cast),
        rotation.rotate,
        rotation.use,
    ]


async def keep(caller: Caller, is_over: asyncio.Event) -> None:
    """Call again and again until it is over."""
    while not is_over.is_set():
        await caller()
        await asyncio.sleep(PAUSE_S)


async def sweep(cast: Cast) -> None:
    """Look at every token that was ever given."""
    waiting = [found for found in cast.asking.given.values() if found[0].tenant != "admin"]

    async def look() -> None:
        while waiting:
            client, token = waiting.pop()
            await cast.asking.introspect(cast.looker(client), token)

    await asyncio.gather(*[look() for _ in range(SWEEPERS)])
