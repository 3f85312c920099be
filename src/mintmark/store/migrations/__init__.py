"""The history of the schema: one list of Alembic scripts in `versions/`, and their numbers here.

The numbers are repeated so that a start need not import Alembic; a test compares them with the scripts.
"""

from __future__ import annotations

from typing import Final

REVISIONS: Final = ("0001",)
"""Every revision there has been, oldest first."""

HEAD: Final = REVISIONS[-1]
"""The revision that this program works with."""
