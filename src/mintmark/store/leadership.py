"""Which process does what must be done once a deployment: the one that holds the leader's lock file."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from mintmark.protocol.errors import StoreError, StoreUnavailable
from mintmark.store.sqlite import OPENED_ELSEWHERE, open_lock_file


class FileLeadership:
    """Implements `interface.Leadership` by a lock that the kernel lets go of when its holder dies."""

    def __init__(self, path: Path) -> None:
        """Prepare to lead for the database at `path`; no file is made before the first attempt."""
        self._path = path
        self._descriptor: int | None = None
        self._process = os.getpid()

    async def try_acquire(self) -> bool:
        """Return whether this store leads from now on, or did already. Raises: SettingsError, StoreUnavailable."""
        if self._process != os.getpid():
            raise StoreError(OPENED_ELSEWHERE)
        if self._descriptor is None:
            self._descriptor = take(open_lock_file(self._path, "leader"))
        return self._descriptor is not None

    @property
    def is_leading(self) -> bool:
        """Whether this store leads."""
        return self._descriptor is not None

    async def release(self) -> None:
        """Let another lead. Nothing happens where this store does not."""
        if self._descriptor is None:
            return
        # Said aloud, for a copy of the descriptor in a forked child would hold on to it; the child itself says nothing.
        if self._process == os.getpid():
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)
        self._descriptor = None


def take(descriptor: int) -> int | None:
    """Lock the file and return its descriptor; where another holds it, close it. Raises: StoreUnavailable."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise StoreUnavailable(f"the leader's lock file: {error.strerror}") from error
    return descriptor
