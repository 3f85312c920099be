"""An answer in one write: uvicorn writes head and body apart, which costs a system call and often a packet more."""

from __future__ import annotations

import asyncio
from typing import Final

HEAD_START: Final = b"HTTP/1.1 "
INTERIM: Final = b"HTTP/1.1 1"


class GatheringTransport:
    """Holds the head of an answer until its body, its end or the connection's end. As much of a transport as needed."""

    __slots__ = ("_head", "_transport", "abort", "get_extra_info", "is_closing")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self.abort = transport.abort
        self.is_closing = transport.is_closing
        self.get_extra_info = transport.get_extra_info

    def write(self, octets: bytes) -> None:
        """Write, or hold what begins a final answer (`100 Continue` is none)."""
        if self._head:
            octets, self._head = self._head + octets, b""
        elif octets.startswith(HEAD_START) and not octets.startswith(INTERIM):
            self._head = octets
            return
        self._transport.write(octets)

    def flush(self) -> None:
        """Write what is held: the answer had no body."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        """Write what is held, and close."""
        self.flush()
        self._transport.close()
