"""The one place where secrets are compared: in constant time, every candidate looked at."""

from __future__ import annotations

import hmac
from collections.abc import Iterable


def is_same(left: bytes, right: bytes) -> bool:
    """Tell whether two octet strings are the same, taking as long for any that are of one length."""
    return hmac.compare_digest(left, right)


def matches_any(presented: str, stored: Iterable[str]) -> bool:
    """Tell whether a hash is among those stored, without leaving early. Both sides are ASCII text."""
    found = False
    for candidate in stored:
        found |= hmac.compare_digest(presented, candidate)
    return found
