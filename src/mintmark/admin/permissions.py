"""What an administrator may be permitted, as scope-tokens of a token for the management audience."""

from __future__ import annotations

from typing import Final, Literal, get_args

MANAGEMENT_AUDIENCE: Final = "urn:mintmark:management"
"""The audience of the management API. RFC: 9068 section 2.2."""

Permission = Literal[
    "tenants:read",
    "tenants:write",
    "clients:read",
    "clients:write",
    "keys:read",
    "keys:rotate",
    "tokens:read",
    "tokens:revoke",
    "audit:read",
    "sites:read",
    "sites:write",
]

PERMISSIONS: Final[frozenset[str]] = frozenset(get_args(Permission))
