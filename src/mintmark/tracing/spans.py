"""A step of the straight line as a span: the step itself knows nothing of it.

What an attribute may hold: tenant, dialect, endpoint, grant type, result, correlation id. Never anything that a request
carried beside those, so no secret and no token.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, ParamSpec, TypeVar, cast

from opentelemetry.trace import Tracer, get_current_span

from mintmark.endpoints.outcome import Outcomes, name_grant
from mintmark.endpoints.route import Route, ServedTenant
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.http import HttpRequest

Given = ParamSpec("Given")
Result = TypeVar("Result")
Wrapped = TypeVar("Wrapped")

TENANT: Final = "mintmark.tenant"
DIALECT: Final = "mintmark.dialect"
GRANT_TYPE: Final = "mintmark.grant_type"
RESULT: Final = "mintmark.result"
CORRELATION: Final = "mintmark.correlation_id"


def in_span(tracer: Tracer, name: str, step: Callable[Given, Result]) -> Callable[Given, Result]:
    """Return a function, or coroutine function, that does a step in a span of that name."""

    def open_span() -> Any:
        # An exception's text is for the log, which knows what may be told.
        return tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False)

    async def do_async(*args: Given.args, **kwargs: Given.kwargs) -> Any:
        with open_span():
            return await cast(Any, step)(*args, **kwargs)

    def do(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        with open_span():
            return step(*args, **kwargs)

    return cast(Callable[Given, Result], do_async) if inspect.iscoroutinefunction(step) else do


class Spanned:
    """Stands for another object; of its methods those named run in a span."""

    def __init__(self, wrapped: object, names: Mapping[str, str], tracer: Tracer) -> None:
        self._wrapped = wrapped
        for method, name in names.items():
            setattr(self, method, in_span(tracer, name, getattr(wrapped, method)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


def spanned(wrapped: Wrapped, names: Mapping[str, str], tracer: Tracer) -> Wrapped:
    """Return what stands for an object, its methods in spans: by the method's name, the span's."""
    return cast(Wrapped, Spanned(wrapped, names, tracer))


class SpannedOutcomes:
    """Takes note of a request's end, as `Outcomes` does, and writes it into the request's span."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes

    def issued(self, tenant: ServedTenant, grant_type: str, client_id: str, request: HttpRequest) -> None:
        """Take note of a token."""
        span = get_current_span()
        span.set_attribute(TENANT, tenant.record.tenant_id)
        span.set_attribute(GRANT_TYPE, name_grant(grant_type))
        span.set_attribute(RESULT, "issued")
        self._outcomes.issued(tenant, grant_type, client_id, request)

    def refused(
        self,
        error: OAuthError,
        request: HttpRequest,
        *,
        route: Route,
        tenant: ServedTenant | None = None,
        grant_type: str = "",
    ) -> None:
        """Take note of a refusal."""
        self._outcomes.refused(error, request, route=route, tenant=tenant, grant_type=grant_type)
        span, owner = get_current_span(), tenant or route.tenant
        if owner is not None:
            span.set_attribute(TENANT, owner.record.tenant_id)
        if route.endpoint == "token":
            span.set_attribute(GRANT_TYPE, name_grant(grant_type))
        span.set_attribute(RESULT, error.reason)
        span.set_attribute(CORRELATION, error.correlation_id)
