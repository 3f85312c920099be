"""Asks for tokens and looks at them: a row counts only if its server gives the tokens that it claims."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from dataclasses import dataclass

from bench.broken import BrokenRowError

ASKING_S = 10


@dataclass(frozen=True)
class Expected:
    """What two tokens in a row must look like."""

    alg: str | None = None
    """The JWT's algorithm; None for an opaque token."""
    is_constant: bool = False
    """The same token twice: re-used, or the bare server's."""


def ask_for_token(url: str, body: str) -> str:
    """Send one token request, return the access token. Raises: BrokenRowError; OSError if nobody listens."""
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/x-www-form-urlencoded"})
    try:
        with urllib.request.urlopen(request, timeout=ASKING_S) as response:
            status, answer = response.status, response.read()
    except urllib.error.HTTPError as error:
        raise BrokenRowError(f"the server answered {error.code}: {error.read(300)!r}") from error
    try:
        token = json.loads(answer)["access_token"]
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenRowError(f"no access_token in the answer: {answer[:300]!r}") from error
    if status != 200 or not isinstance(token, str):
        raise BrokenRowError(f"the server answered {status}, access_token {token!r}")
    return token


def check_tokens(url: str, body: str, expected: Expected) -> None:
    """Ask twice and compare with what is expected. Raises: BrokenRowError."""
    first, second = ask_for_token(url, body), ask_for_token(url, body)
    if (first == second) is not expected.is_constant:
        raise BrokenRowError(f"two requests gave {'the same token' if first == second else 'two tokens'}")
    if read_alg(first) != expected.alg:
        raise BrokenRowError(f"the token's alg is {read_alg(first)}, and {expected.alg} was expected")


def read_alg(token: str) -> str | None:
    """Return the algorithm in a JWT's header, or None for an opaque token."""
    header, dots, _ = token.partition(".")
    if not dots or token.count(".") != 2:
        return None
    return str(json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["alg"])
