"""Golden transcripts of what is asked about tokens and done to them; golden/README.txt tells how to read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from tests.life.jwts import read_part
from tests.life.world import ISSUER, Sent, World

FOLDER = Path(__file__).parent / "golden"
TRANSCRIPTS = sorted(FOLDER.glob("*/*.http"))
SCOPE = "read write"
RULES: dict[str, dict[str, Any]] = {"wso2-jwt": {"form": "jwt"}, "wso2-renewed": {"renew_per_request": True}}
"""A folder of transcripts is a tenant, which begins with its dialect; these have rules of their own."""
LONG_S = 1_209_600
"""After so long everything has expired."""


class Told(NamedTuple):
    """A transcript with its places filled in."""

    request: Sent
    status: int
    headers: list[tuple[str, str]]
    body: str


def read_transcript(path: Path, places: dict[str, str]) -> Told:
    text = path.read_text("utf-8")
    while text.startswith("#") and not text.startswith("###"):
        text = text.partition("\n")[2]
    for name, value in places.items():
        text = text.replace(f"<{name}>", value)
    request, _, response = text.partition("\n### response\n")
    start, headers, body = split(request)
    method, target, _ = start.split(" ")
    got = [(name.lower(), value) for name, value in headers]
    first, expected, answer = split(response)
    sent = Sent(method, f"/t/{path.parent.name}{target}", dict(got), body.encode())
    return Told(sent, int(first.split(" ")[1]), expected, answer)


def split(text: str) -> tuple[str, list[tuple[str, str]], str]:
    head, _, body = text.strip().partition("\n\n")
    start, *lines = head.splitlines()
    pairs = [line.partition(":") for line in lines]
    return start, [(name, value.strip()) for name, _, value in pairs], body.strip()


async def fill_places(world: World, tenant: str) -> dict[str, str]:
    await world.add_tenant(tenant, tenant.partition("-")[0], **RULES.get(tenant, {}))
    caller, other = await world.add_client(tenant), await world.add_client(tenant)
    old = await world.issue(caller)
    world.clock.now += LONG_S
    earlier = await world.issue(caller, SCOPE)
    issued, others = await world.issue(caller, SCOPE), await world.issue(other)
    token = token_of(issued)
    active = await world.introspect(caller, token)
    places = {
        "basic": caller.basic.removeprefix("Basic "),
        "other basic": other.basic.removeprefix("Basic "),
        "wrong basic": caller._replace(client_secret="no").basic.removeprefix("Basic "),
        "client_id": caller.client_id,
        "client_secret": caller.client_secret,
        "wrong secret": "no",
        "token": token,
        "other's token": token_of(others),
        "earlier token": token_of(earlier),
        "expired token": token_of(old),
        "refresh token": str(issued.get("refreshToken")),
        "other's refresh token": str(others.get("refreshToken")),
        "expired refresh token": str(old.get("refreshToken")),
        "iat": str(active["iat"]),
        "exp": str(active["exp"]),
        "issuer": ISSUER + tenant,
        "jti": read_part(token, 1)["jti"] if token.count(".") == 2 else "",
    }
    assert all(quote(places[name], safe="~") == places[name] for name in ("client_id", "client_secret"))
    return places


def token_of(issued: dict[str, Any]) -> str:
    token: str = issued.get("access_token") or issued["accessToken"]
    return token


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=[f"{path.parent.name}/{path.stem}" for path in TRANSCRIPTS])
async def test_the_answer_is_as_the_page_says(world: World, path: Path):
    told = read_transcript(path, await fill_places(world, path.parent.name))
    assert "<" not in told.request.target + told.body + told.request.body.decode(), "a place was not filled in"
    answer = await world.send(told.request)

    assert answer.status == told.status, answer
    for name, value in told.headers:
        if name.startswith("!"):
            assert name.removeprefix("!").lower() not in answer.headers
        else:
            assert is_like(value, answer.headers.get(name.lower()))
    assert is_like(read_body(told.body), read_body(answer.body.decode())), answer.body


def read_body(text: str) -> Any:
    """JSON with the order of its members kept, or the text itself."""
    return json.loads(text, object_pairs_hook=list) if text.startswith("{") else text


def is_like(expected: Any, actual: Any) -> bool:
    if isinstance(expected, str) and "…" in expected:
        head, _, tail = expected.partition("…")
        return isinstance(actual, str) and actual.startswith(head) and actual.endswith(tail)
    if isinstance(expected, list | tuple):
        same_size = isinstance(actual, list | tuple) and len(expected) == len(actual)
        return same_size and all(is_like(one, other) for one, other in zip(expected, actual, strict=True))
    return type(expected) is type(actual) and bool(expected == actual)
