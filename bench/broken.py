"""The one failure of the benchmark: a row that could not be measured, with a sentence that says why."""

from __future__ import annotations


class BrokenRowError(Exception):
    """A row that cannot be measured. A missed target is not one of these."""
