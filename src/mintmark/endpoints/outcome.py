"""How a request ended: counted, logged, and given an id by which the caller and the log can speak of it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from mintmark.endpoints.route import Route, ServedTenant
from mintmark.grants.policy import GRANTS
from mintmark.metrics.board import Sheet
from mintmark.metrics.catalogue import ISSUED, OTHERS_REFUSED, REFUSED
from mintmark.metrics.meters import make_counter
from mintmark.protocol.errors import OAuthError, ServerError, StoreUnavailable, TemporarilyUnavailable
from mintmark.protocol.http import CORRELATION_ID, HttpRequest

GIVEN_IDS: Final = (CORRELATION_ID, b"x-request-id")
WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
EVENTS: Final = {
    "token": "token_refused",
    "introspection": "introspection_refused",
    "revocation": "revocation_refused",
    "check": "token_not_accepted",
}
UNKNOWN: Final = ""
"""The tenant of a request that named none."""

log = structlog.get_logger()

Issued = Callable[[ServedTenant, str, str, HttpRequest], None]
"""Takes note of a token: tenant, grant type, client id, request."""


class Outcomes:
    """Takes note of each request's end. `issued` is on the path of every token; with `log_requests` it logs, too."""

    def __init__(self, sheet: Sheet, *, log_requests: bool) -> None:
        self._count_issued = make_counter(sheet, ISSUED)
        self._count_refused = make_counter(sheet, REFUSED)
        self._count_others = make_counter(sheet, OTHERS_REFUSED)
        self.issued: Issued = self._count_and_log if log_requests else self._count

    def _count(self, tenant: ServedTenant, grant_type: str, client_id: str, request: HttpRequest) -> None:
        self._count_issued(tenant.record.tenant_id, tenant.dialect.name, grant_type)

    def _count_and_log(self, tenant: ServedTenant, grant_type: str, client_id: str, request: HttpRequest) -> None:
        self._count(tenant, grant_type, client_id, request)
        log.info(
            "token_issued",
            tenant_id=tenant.record.tenant_id,
            client_id=client_id,
            grant_type=grant_type,
            source=request.source,
            correlation_id=find_correlation_id(request.headers),
        )

    def refused(
        self,
        error: OAuthError,
        request: HttpRequest,
        *,
        route: Route,
        tenant: ServedTenant | None = None,
        grant_type: str = "",
    ) -> None:
        """Log whose request was refused and why, and give the error its id.

        `detail` names the client where it is known, never a secret.
        """
        tenant = tenant or route.tenant
        self._count_end(error, route, tenant, grant_type)
        error.correlation_id = correlation_id_of(request.headers)
        log.info(
            EVENTS.get(route.endpoint, "request_refused"),
            tenant_id=tenant.record.tenant_id if tenant else None,
            reason=error.reason,
            detail=error.detail,
            source=request.source,
            correlation_id=error.correlation_id,
        )

    def shed(self, route: Route) -> OAuthError:
        """Count a request that came too late, and return what its caller is told.

        There are too many to log, so it gets no id either: one of its own would double what the answer costs.
        """
        error = TemporarilyUnavailable("overloaded")
        self._count_end(error, route, route.tenant, "")
        return error

    def failed(self, fault: Exception, path: str, headers: Mapping[bytes, bytes], route: Route) -> OAuthError:
        """Log a fault of ours with its traceback, and return what the caller is told: an id, and not the cause."""
        away = isinstance(fault, StoreUnavailable)
        error = TemporarilyUnavailable("temporarily_unavailable") if away else ServerError("server_error")
        error.correlation_id = correlation_id_of(headers)
        log.error("request_failed", correlation_id=error.correlation_id, path=path, exc_info=fault)
        self._count_end(error, route, route.tenant, "")
        return error

    def _count_end(self, error: OAuthError, route: Route, tenant: ServedTenant | None, grant_type: str) -> None:
        tenant_id = tenant.record.tenant_id if tenant else UNKNOWN
        if route.endpoint == "token":
            self._count_refused(tenant_id, route.dialect.name, name_grant(grant_type), error.reason)
        else:
            self._count_others(tenant_id, route.dialect.name, route.endpoint, error.reason)


def name_grant(grant_type: str) -> str:
    """Return a grant type as a label: one that this program knows, `other`, or `none` where none was read."""
    return grant_type if grant_type in GRANTS else "other" if grant_type else "none"


def find_correlation_id(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the id that a request brought, if it is well-formed: `[A-Za-z0-9._-]`, up to 64 characters."""
    given = (headers.get(name, b"") for name in GIVEN_IDS)
    return next((text.decode() for text in given if WELL_FORMED.fullmatch(text)), None)


def correlation_id_of(headers: Mapping[bytes, bytes]) -> str:
    """Return the id that a request brought, else a new one."""
    return find_correlation_id(headers) or str(uuid.uuid4())


def correlation_header(headers: Mapping[bytes, bytes]) -> tuple[bytes, bytes]:
    """Return the header that tells a request's id to its caller, for refusals that no dialect has a reason for.

    They are logged at debug: whoever tries paths could fill the log.
    """
    correlation_id = correlation_id_of(headers)
    log.debug("request_not_understood", correlation_id=correlation_id)
    return CORRELATION_ID, correlation_id.encode()
