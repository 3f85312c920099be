"""The one failure of a soak that is none of the deployment's."""

from __future__ import annotations


class LabError(Exception):
    """The soak cannot be run here, or the deployment did not start or recover; with a sentence that says why."""
