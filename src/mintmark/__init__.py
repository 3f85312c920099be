"""Mintmark: a token server for machines. It speaks OAuth 2.0 client credentials in several systems' dialects."""

__version__ = "0.1.0"
