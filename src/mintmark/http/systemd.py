"""A word to systemd, where that started this process (`Type=notify`): the server is ready, or on its way down."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Final

NOTIFY_SOCKET: Final = "NOTIFY_SOCKET"


def tell_systemd(state: str) -> None:
    """Send `READY=1` or `STOPPING=1` to the socket that the environment names; where there is none, do nothing."""
    address = os.environ.get(NOTIFY_SOCKET, "")
    if not address:
        return
    # A leading @ stands for the zero octet of Linux's abstract names.
    address = address.replace("@", "\0", 1) if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
        telling.sendto(state.encode(), address)
