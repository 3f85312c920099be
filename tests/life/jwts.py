"""JWTs taken apart, changed and put together again by hand, and other people's verifiers over a published key set."""

from __future__ import annotations

import base64
import json
from typing import Any


def read_part(token: str, part: int) -> dict[str, Any]:
    """The header (0) or the claims (1), unverified."""
    text = token.split(".")[part]
    members: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return members


def write_part(members: object) -> str:
    return encode(json.dumps(members).encode())


def encode(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
