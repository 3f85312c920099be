"""A network of its own for one process, joined to this machine's by a cable that can be cut: `ip netns`, as root."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

CLONE_NEWNET = 0x40000000
PATIENCE_S = 30.0


class Namespace:
    """The namespace. `here` and `there` are the addresses of the cable's two ends."""

    def __init__(self) -> None:
        number = os.getpid()
        self.name = f"mintmark{number}"
        self._ends = f"mh{number}", f"mt{number}"
        self.network = f"10.213.{number >> 6 & 255}.{(number & 63) << 2}/30"
        first = self.network.rpartition(".")
        self.here, self.there = (f"{first[0]}.{int(first[2].partition('/')[0]) + one}" for one in (1, 2))

    def lay(self) -> None:
        """Make the namespace and the cable. Raises: CalledProcessError (the system does not let us)."""
        here, there = self._ends
        run("netns", "add", self.name)
        run("link", "add", here, "type", "veth", "peer", "name", there, "netns", self.name)
        run("addr", "add", f"{self.here}/30", "dev", here)
        run("-n", self.name, "addr", "add", f"{self.there}/30", "dev", there)
        run("-n", self.name, "link", "set", "lo", "up")
        run("-n", self.name, "link", "set", there, "up")
        self.heal()
        # Who does not know where the other end is would say so at once; a network that swallows all says nothing.
        hardware = Path(f"/sys/class/net/{here}/address").read_text().strip()
        run("-n", self.name, "neigh", "replace", self.here, "lladdr", hardware, "dev", there, "nud", "permanent")

    def cut(self) -> None:
        run("link", "set", self._ends[0], "down")

    def heal(self) -> None:
        run("link", "set", self._ends[0], "up")

    def remove(self) -> None:
        subprocess.run(["ip", "link", "del", self._ends[0]], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)

    def connect(self, port: int) -> HTTPConnection:
        """Return a connection to a loopback port of the namespace, made by a thread that goes there for it."""
        with ThreadPoolExecutor(1) as pool:
            opened = pool.submit(self._connect_inside, port).result()
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        connection.sock = opened
        return connection

    def _connect_inside(self, port: int) -> socket.socket:
        with Path(f"/run/netns/{self.name}").open() as place:
            entered = ctypes.CDLL(None, use_errno=True).setns(place.fileno(), CLONE_NEWNET)
        assert entered == 0, os.strerror(ctypes.get_errno())
        return socket.create_connection(("127.0.0.1", port), PATIENCE_S)


def run(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def joined_namespace() -> Iterator[Namespace | None]:
    """Give a namespace; None where this machine does not let us have one."""
    namespace = Namespace()
    try:
        try:
            if not shutil.which("ip"):
                raise OSError("no ip here")
            namespace.lay()
        except (OSError, subprocess.CalledProcessError):
            yield None
        else:
            yield namespace
    finally:
        namespace.remove()
