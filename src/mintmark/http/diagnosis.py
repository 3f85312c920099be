"""Checks of a deployment that are about its listeners: addresses, certificate, open files. See `admin/diagnosis.py`."""

from __future__ import annotations

import resource
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509

from mintmark.admin.diagnosis import Case, Check, Finding
from mintmark.http.capacity import MAX_CONNECTIONS, RESERVED_FILES
from mintmark.http.listeners import Listener, bind_sockets, is_loopback, load_tls, parse_listener
from mintmark.http.probes import HEALTH, OK
from mintmark.http.proxy import parse_networks
from mintmark.protocol.errors import SettingsError
from mintmark.settings import Settings

PROBE_TIMEOUT_S: Final = 3.0
RENEW_WITHIN: Final = timedelta(days=30)
WILDCARD: Final = "*."


def check_listeners(case: Case) -> Iterator[Finding]:
    """Each address is free, or a server of ours has it."""
    settings = case.settings
    parse_networks(settings.trusted_proxies)
    for listener in _listeners(settings):
        is_exposed = not listener.is_tls and not is_loopback(listener.host) and listener.setting == "listen"
        if is_exposed and not settings.trusted_proxies:
            said = f"{listener.url}: plain HTTP off loopback"
            yield Finding("fail", "listener", said, "use https, or name the proxy that ends TLS: trusted_proxies")
        else:
            yield _judge_address(listener)


def _listeners(settings: Settings) -> list[Listener]:
    metrics = [parse_listener(settings.metrics_listen, "metrics_listen")] if settings.metrics_listen else []
    return [*(parse_listener(text) for text in settings.listen), *metrics]


def _judge_address(listener: Listener) -> Finding:
    try:
        for sockets in bind_sockets(listener, 1):
            for one in sockets:
                one.close()
    except SettingsError as error:
        if _is_ours(listener):
            return Finding("ok", "listener", f"{listener.url}: a server of ours answers")
        return Finding("fail", "listener", str(error), "end what holds it, or choose another address")
    return Finding("ok", "listener", f"{listener.url}: free")


def _is_ours(listener: Listener) -> bool:
    """Ask as a load balancer does. Whose certificate it shows is of no matter: nothing secret is sent."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    asking = (
        HTTPSConnection(listener.host, listener.port, timeout=PROBE_TIMEOUT_S, context=context)
        if listener.is_tls
        else HTTPConnection(listener.host, listener.port, timeout=PROBE_TIMEOUT_S)
    )
    try:
        asking.request("GET", HEALTH)
        return asking.getresponse().read(len(OK.body)) == OK.body
    except (OSError, HTTPException):
        return False
    finally:
        asking.close()


def check_certificate(case: Case) -> Iterator[Finding]:
    """The certificate can be read, belongs to its key, is valid for long enough, and for the name that callers use."""
    settings = case.settings
    if not any(listener.is_tls for listener in _listeners(settings)):
        return
    load_tls(settings.tls_certificate, settings.tls_private_key)
    if settings.tls_certificate is not None:
        certificate = x509.load_pem_x509_certificate(settings.tls_certificate.read_bytes())
        yield judge_validity(certificate, datetime.fromtimestamp(case.clock(), UTC))
        yield judge_names(certificate, urlsplit(settings.public_url).hostname)


def judge_validity(certificate: x509.Certificate, now: datetime) -> Finding:
    """Judge when a certificate is valid."""
    ends = certificate.not_valid_after_utc
    if now < certificate.not_valid_before_utc:
        return Finding(
            "fail", "certificate", f"not valid before {certificate.not_valid_before_utc}", "wait, or renew it"
        )
    if ends <= now:
        return Finding("fail", "certificate", f"expired at {ends}", "renew it and restart")
    if ends - now < RENEW_WITHIN:
        return Finding("warn", "certificate", f"expires at {ends}", "renew it and restart")
    return Finding("ok", "certificate", f"valid until {ends}")


def judge_names(certificate: x509.Certificate, host: str | None) -> Finding:
    """Judge whether a certificate is for the host of `public_url`; None: there is none to compare."""
    names = _names(certificate)
    said = f"for {', '.join(names) or 'no name'}"
    if not names or (host is not None and not _is_named(host, names)):
        wanted = f" and not for {host}" if names else ""
        return Finding("warn", "certificate", f"{said}{wanted}", "renew it with the names that callers use")
    return Finding("ok", "certificate", said)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]


def _is_named(host: str, names: list[str]) -> bool:
    """A wildcard stands for one label. RFC: 9525 section 6.3."""
    _, _, parent = host.partition(".")
    return host in names or WILDCARD + parent in names


def check_open_files(case: Case) -> Iterator[Finding]:
    """A worker may open a file for each connection that it may hold. `serve` raises its limit to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + RESERVED_FILES
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        yield Finding("ok", "open files", f"enough for {MAX_CONNECTIONS} connections a worker")
    else:
        mend = f"raise the hard limit to {wanted}: LimitNOFILE= in the unit, --ulimit nofile= for a container"
        yield Finding("warn", "open files", f"at most {hard}: enough for {hard - RESERVED_FILES} connections", mend)


CHECKS: Final[dict[str, Check]] = {
    "listener": check_listeners,
    "certificate": check_certificate,
    "open files": check_open_files,
}
