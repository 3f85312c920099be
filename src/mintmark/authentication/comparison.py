"""The one place where secrets are compared: in constant time, every candidate looked at."""

from __future__ import annotations

import hmac
from collections.abc import Iterable


def is_same(left: bytes, right: bytes) -> bool:
    """Tell whether two octet strings are the same, taking as long for any that are of one length."""
    return hmac.compare_digest(left, right)


def find_match(presented: str, stored: Iterable[str]) -> int | None:
    """Return which of those stored a hash is, or None, without leaving early. Both sides are ASCII text."""
    found = None
    for index, candidate in enumerate(stored):
        found = index if hmac.compare_digest(presented, candidate) else found
    return found
