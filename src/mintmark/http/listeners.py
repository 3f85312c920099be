"""Where to listen: the address of each listener, what it may be, and sockets that several processes can share."""

from __future__ import annotations

import select
import socket
import ssl
import struct
from array import array
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple, NoReturn
from urllib.parse import urlsplit

from mintmark.protocol.errors import SettingsError

DEFAULT_PORTS = {"http": 80, "https": 443}

# Linux's; Python names neither.
SO_ATTACH_FILTER: Final = 26
SO_DETACH_FILTER: Final = 27
DROP_SYN: Final = (
    (0x30, 0, 0, 13),  # load the octet of TCP's flags
    (0x54, 0, 0, 0x12),  # leave SYN and ACK of it
    (0x15, 0, 1, 0x02),  # is it SYN alone, which opens a connection?
    (0x06, 0, 0, 0),  # then drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # else take it whole
)
"""A program for the kernel's packet filter: code, jump if true, jump if false, value."""


class Listener(NamedTuple):
    """One address to listen on."""

    scheme: str
    host: str
    port: int
    setting: str = "listen"
    """Where it was named."""

    @property
    def is_tls(self) -> bool:
        """TLS ends here."""
        return self.scheme == "https"

    @property
    def url(self) -> str:
        """The address as a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_listener(text: str, setting: str = "listen") -> Listener:
    """Read `http://127.0.0.1:8080`, `https://[::]:8443`. Raises: SettingsError, which names the setting."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"{setting}: {text!r}: {error}") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.path not in {"", "/"} or parts.query:
        raise SettingsError(f"{setting}: {text!r} is not of the form http://HOST:PORT or https://HOST:PORT")
    if port == 0:
        raise SettingsError(f"{setting}: {text!r}: port 0 is none; name the port")
    return Listener(parts.scheme, parts.hostname, DEFAULT_PORTS[parts.scheme] if port is None else port, setting)


def is_loopback(host: str) -> bool:
    """Tell whether a host can be reached from this machine alone. A name counts only if it is `localhost`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind_sockets(listener: Listener, count: int) -> list[list[socket.socket]]:
    """Bind a listener's addresses once for each of `count` processes (SO_REUSEPORT), not yet listening.

    The kernel spreads connections evenly over sockets of their own, and unevenly over one that processes share.

    Raises:
        SettingsError: the address is taken, not this machine's, or not allowed.
    """
    addresses = _resolve(listener)
    for family, address in addresses:
        _require_free(listener, family, address)
    return [[_bind(listener, family, address, shared=True) for family, address in addresses] for _ in range(count)]


def _resolve(listener: Listener) -> list[tuple[int, tuple[object, ...]]]:
    try:
        found = socket.getaddrinfo(listener.host, listener.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError(f"{listener.setting}: {listener.url}: {error.strerror}") from error
    wanted = dict.fromkeys((int(row[0]), tuple(row[4])) for row in found)
    # A machine may resolve localhost to ::1 and have no IPv6.
    return [row for row in wanted if row[0] == socket.AF_INET or (socket.has_ipv6 and _can_bind_ipv6())]


def _can_bind_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _require_free(listener: Listener, family: int, address: tuple[object, ...]) -> None:
    """Sockets that share a port would join another server of ours without a word: ask first, unshared."""
    with _bind(listener, family, address, shared=False):
        pass


def _bind(listener: Listener, family: int, address: tuple[object, ...], *, shared: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise SettingsError(f"{listener.setting}: {listener.url}: {error.strerror}") from error
    return bound


def refuse_newcomers(listening: socket.socket) -> None:
    """Let no new connection into the queue, while those that are being opened still get there.

    The kernel answers nothing meanwhile: a caller asks again after a second, and finds the socket closed.
    """
    program = array("B", b"".join(struct.pack("HBBI", *step) for step in DROP_SYN))
    described = struct.pack("HP", len(DROP_SYN), program.buffer_info()[0])
    # Where there is no such filter, connections that come between the last look and the close are reset.
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)


def take_newcomers(listening: socket.socket) -> None:
    """Undo `refuse_newcomers`: a worker that was stopped alone leaves its socket to the next one."""
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


def wait_in_queue(listening: Sequence[socket.socket]) -> bool:
    """Tell whether connections wait to be accepted."""
    queues = select.poll()
    for one in listening:
        queues.register(one, select.POLLIN)
    return bool(queues.poll(0))


def load_tls(certificate: Path | None, private_key: Path | None) -> ssl.SSLContext:
    """Make the TLS side of a listener: 1.2 and newer. Raises: SettingsError."""
    if certificate is None or private_key is None:
        raise SettingsError("listen: an https listener needs tls_certificate and tls_private_key")
    for key, path in (("tls_certificate", certificate), ("tls_private_key", private_key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise SettingsError(f"{key}: {path}: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, private_key, _refuse_passphrase)
    except ssl.SSLError as error:
        wrong = "this key is not the certificate's" if error.reason == "KEY_VALUES_MISMATCH" else "not PEM, or damaged"
        raise SettingsError(f"tls_certificate {certificate}, tls_private_key {private_key}: {wrong}") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def _refuse_passphrase() -> NoReturn:
    """A server that starts by itself has nobody to ask."""
    raise SettingsError("tls_private_key: is encrypted; decrypt it, and let its file's mode guard it")
