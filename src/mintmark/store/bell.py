"""A number that every process sees change at once when a registration changes, without asking the database.

It lies in the lock file, which every process maps into its memory. It only says that there is something to look for: a
process that dies between its commit and the ringing leaves the others to their next look at the revision.
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from mintmark.store.session import REVISED
from mintmark.store.sqlite import open_lock_file

OCTETS: Final = 8


class FileBell:
    """Implements `session.Bell`: the number of one database."""

    def __init__(self, path: Path) -> None:
        """Map the number that lies in the lock file of the database at `path`. Raises: SettingsError, OSError."""
        self._file = os.fdopen(open_lock_file(path, "lock"), "r+b", buffering=0)
        if os.fstat(self._file.fileno()).st_size < OCTETS:
            self._file.truncate(OCTETS)
        # Read through the map, and not written: there a full disk would be the end of the process.
        self._shared = mmap.mmap(self._file.fileno(), OCTETS, access=mmap.ACCESS_READ)

    def heard(self) -> bytes:
        """Return the number as it stands: only whether it is the same is of use."""
        return self._shared[:]

    def ring_if_revised(self, connection: Connection) -> None:
        """Raise the number if what was committed last is to be told of. Only the holder of the write lock may."""
        if connection.info.pop(REVISED, False):
            number = (int.from_bytes(self.heard(), "little") + 1) % (1 << 8 * OCTETS)
            with suppress(OSError, ValueError):
                os.pwrite(self._file.fileno(), number.to_bytes(OCTETS, "little"), 0)

    def close(self) -> None:
        """Ring no more. A second call does nothing. The map stays while there is somebody to look at it."""
        self._file.close()
