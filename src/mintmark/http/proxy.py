"""Who is asking, and over what: forwarding headers are believed only when a named proxy sent them.

RFC: 9700 section 4.13; `X-Forwarded-For`, `X-Forwarded-Proto`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import structlog

from mintmark.protocol.errors import InvalidRequest, SettingsError

log = structlog.get_logger()

Network = IPv4Network | IPv6Network


def parse_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Read addresses and networks (`10.0.0.5`, `10.0.0.0/8`, `fd00::/8`). Raises: SettingsError."""
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise SettingsError(f"trusted_proxies: {error}") from error


class ProxyTrust:
    """Tells the caller's address, and refuses plain HTTP where TLS must have ended in front.

    Args:
        proxies: the named proxies.
        needs_tls: the listener is plain and off loopback, so only a named proxy that speaks TLS may use it.
    """

    def __init__(self, proxies: tuple[Network, ...], *, needs_tls: bool) -> None:
        self._proxies = proxies
        self._needs_tls = needs_tls
        self._has_warned = False
        self._is_trusted = lru_cache(maxsize=4096)(self._lies_in_a_named_network)

    def source_of(self, peer: str, headers: Mapping[bytes, bytes]) -> str:
        """Return the caller's address; `peer` is the one at the other end of the connection.

        Raises:
            InvalidRequest: `tls_required`.
        """
        trusted = bool(self._proxies) and self._is_trusted(peer)
        if self._needs_tls and not (trusted and _last(headers.get(b"x-forwarded-proto")) == "https"):
            raise InvalidRequest("tls_required", f"from {peer}")
        forwarded = headers.get(b"x-forwarded-for")
        if trusted:
            return self._farthest_known(peer, forwarded)
        if forwarded is not None and not self._has_warned and _is_loopback(peer):
            self._warn_of_unnamed_proxy(peer)
        return peer

    def _warn_of_unnamed_proxy(self, peer: str) -> None:
        """Once: a proxy on this host makes all callers one, whose failures throttle everybody."""
        self._has_warned = True
        log.warning("forwarded_for_ignored", peer=peer, hint=f"if it is your proxy, name it: --trusted-proxy {peer}")

    def _farthest_known(self, peer: str, forwarded: bytes | None) -> str:
        """Walk back over the addresses that named proxies wrote, to the first that is none of theirs."""
        for text in reversed((forwarded or b"").decode("latin-1").split(",")):
            address = text.strip()
            if not _is_address(address):
                return peer
            peer = address
            if not self._is_trusted(address):
                return address
        return peer

    def _lies_in_a_named_network(self, address: str) -> bool:
        return _is_address(address) and any(ip_address(address) in network for network in self._proxies)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(text: str) -> bool:
    return _is_address(text) and ip_address(text).is_loopback


def _last(value: bytes | None) -> str:
    return (value or b"").decode("latin-1").rpartition(",")[2].strip().lower()
