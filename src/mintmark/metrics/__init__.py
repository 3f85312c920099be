"""Figures of a running server: which there are, where each worker keeps its own, how they are summed and written."""
