"""When each secret last authenticated: kept in memory, and written now and then for many at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mintmark.store.records import SecretRecord

MANY: Final = 20_000
"""Notes that are written without waiting for more: 4 MB."""

SecretName = tuple[str, str, str]
"""Tenant, client and secret id."""


class LastUsed:
    """Takes one note a request. Used from the thread of the event loop."""

    def __init__(self) -> None:
        self._noted: dict[str, int] = {}

    def note(self, secret: SecretRecord, now: int) -> None:
        """Note that a secret has authenticated at this second."""
        # No id holds the end of a line. A text takes half of the room of a tuple of three.
        self._noted[f"{secret.tenant_id}\n{secret.client_id}\n{secret.secret_id}"] = now

    def are_many(self) -> bool:
        """Tell whether the notes should not wait for more."""
        return len(self._noted) >= MANY

    def drain(self) -> Mapping[str, int]:
        """Return what was noted since the last call, by what `name_secret` reads."""
        noted, self._noted = self._noted, {}
        return noted

    def put_back(self, noted: Mapping[str, int]) -> None:
        """Take back what could not be written; what was noted since is newer."""
        self._noted = {**noted, **self._noted}


def name_secret(note: str) -> SecretName:
    """Return which secret a note is of."""
    tenant_id, client_id, secret_id = note.split("\n", 2)
    return tenant_id, client_id, secret_id
