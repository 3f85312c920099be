"""How many connections a process holds at once: as many as it may open files for, up to a fixed number."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

MAX_CONNECTIONS: Final = 10_000
RESERVED_FILES: Final = 64
"""For the listeners, the database, the log, and connections whose TLS handshake is not finished."""


def raise_file_limit() -> None:
    """Let this process, and those that it forks, open as many files as the system allows it to."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Refused where the hard limit is more than the kernel's own, or a sandbox forbids it: then the soft one stays.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Capacity:
    """The bound of one process, and how many connections were refused since somebody last looked."""

    def __init__(self) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        is_bounded = files != resource.RLIM_INFINITY
        self.connections = max(1, min(MAX_CONNECTIONS, files - RESERVED_FILES)) if is_bounded else MAX_CONNECTIONS
        self._refused = 0

    def has_room(self, connections: int) -> bool:
        """Tell whether so many connections may be; if not, one is counted as refused."""
        is_free = connections <= self.connections
        self._refused += not is_free
        return is_free

    def take_refused(self) -> int:
        """Return how many connections were refused since the last call."""
        refused, self._refused = self._refused, 0
        return refused
