"""A brake on guessing: failures counted by caller and client, and by caller alone, never by client alone.

So a stranger cannot lock a client out from where that client really calls. RFC: 6749 sections 2.3.1, 10.10.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Network, ip_address
from typing import Final

from mintmark.authentication.clients import MAX_CLIENT_ID_LENGTH
from mintmark.protocol.errors import TemporarilyUnavailable

WINDOW_S: Final = 60
MAX_ENTRIES: Final = 20_000
ANY_CLIENT: Final = ""
IPV6: Final = 6


class FailureThrottle:
    """Fixed windows of one minute in bounded memory, for one process.

    Args:
        per_client: failures that one caller may make for one client in a window. Some clients send a wrong secret
            twice, in the header and in the body, so it counts requests, not mistakes.
        per_source: failures that one caller may make for all clients together.
    """

    def __init__(self, *, per_client: int, per_source: int) -> None:
        self._per_client = per_client
        self._per_source = per_source
        self._failures: OrderedDict[tuple[str, str, str], tuple[int, int]] = OrderedDict()

    def check(self, source: str, tenant_id: str, client_id: str, now: int) -> None:
        """Raises: TemporarilyUnavailable (`too_many_attempts`) while a limit is reached."""
        if not self._failures:
            return
        source, window = caller_of(source), now // WINDOW_S
        if (
            self._count(_attempt_key(source, tenant_id, client_id), window) >= self._per_client
            or self._count((source, "", ANY_CLIENT), window) >= self._per_source
        ):
            raise TemporarilyUnavailable("too_many_attempts")

    def record_failure(self, source: str, tenant_id: str, client_id: str, now: int) -> None:
        """Count one failed attempt."""
        source, window = caller_of(source), now // WINDOW_S
        for key in (_attempt_key(source, tenant_id, client_id), (source, "", ANY_CLIENT)):
            self._failures[key] = (window, self._count(key, window) + 1)
            self._failures.move_to_end(key)
        while len(self._failures) > MAX_ENTRIES:
            self._failures.popitem(last=False)

    def _count(self, key: tuple[str, str, str], window: int) -> int:
        counted_in, count = self._failures.get(key, (window, 0))
        return count if counted_in == window else 0


def caller_of(source: str) -> str:
    """Return what counts as one caller: an IPv4 address, or an IPv6 /64, for who has one address has them all."""
    try:
        address = ip_address(source)
    except ValueError:
        return source
    return str(IPv6Network((address, 64), strict=False)) if address.version == IPV6 else source


def _attempt_key(source: str, tenant_id: str, client_id: str) -> tuple[str, str, str]:
    """What is too long to be a client's id is cut, so that a stranger's megabytes are not kept."""
    return source, tenant_id, client_id[: MAX_CLIENT_ID_LENGTH + 1]
