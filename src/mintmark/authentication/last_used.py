"""When each secret last authenticated: kept in memory, and written now and then for many at once."""

from __future__ import annotations

from collections.abc import Mapping

from mintmark.store.records import SecretRecord

SecretName = tuple[str, str, str]
"""Tenant, client and secret id."""


class LastUsed:
    """Takes one note a request. Used from the thread of the event loop."""

    def __init__(self) -> None:
        self._noted: dict[SecretName, int] = {}

    def note(self, secret: SecretRecord, now: int) -> None:
        """Note that a secret has authenticated at this second."""
        self._noted[secret.tenant_id, secret.client_id, secret.secret_id] = now

    def drain(self) -> Mapping[SecretName, int]:
        """Return what was noted since the last call."""
        noted, self._noted = self._noted, {}
        return noted

    def put_back(self, noted: Mapping[SecretName, int]) -> None:
        """Take back what could not be written; what was noted since is newer."""
        self._noted = {**noted, **self._noted}
