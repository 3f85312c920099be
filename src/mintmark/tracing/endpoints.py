"""Endpoints that are traced: a second set of them, whose steps run in spans, is asked where a request is sampled.

So what is not sampled passes the plain endpoint, and where no traces are configured there is nothing here at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, cast

import msgspec
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from mintmark.endpoints.outcome import Outcomes
from mintmark.endpoints.parts import (
    Parts,
    make_introspection_endpoint,
    make_revocation_endpoint,
    make_token_endpoint,
)
from mintmark.endpoints.route import Endpoint, Route
from mintmark.endpoints.token import TokenEndpoint
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.tracing.spans import DIALECT, RESULT, TENANT, SpannedOutcomes, in_span, spanned

AUTHENTICATE: Final = {"authenticate_client": "authenticate"}
VERIFY: Final = {"find_live": "verify"}
STORE: Final = {"find_refresh": "find", "find_live": "find", "add": "store", "revoke": "store"}
SPELL: Final = {
    "decode_token_request": "decode",
    "encode_token_response": "encode",
    "encode_introspection": "encode",
    "encode_error": "encode",
}
PROPAGATOR: Final = TraceContextTextMapPropagator()


class TracedEndpoint:
    """An endpoint, and its like whose steps run in spans."""

    def __init__(self, plain: Endpoint, stepwise: Endpoint, tracer: Tracer) -> None:
        self._plain = plain
        self._stepwise = stepwise
        self._tracer = tracer

    async def handle(self, request: HttpRequest, route: Route) -> HttpResponse:
        """Answer; in a span where the request is sampled."""
        span = self._tracer.start_span(f"{route.endpoint} request", read_parent(request.headers), kind=SpanKind.SERVER)
        if not span.is_recording():
            return await self._plain.handle(request, route)
        # The current span stands in the context, and a request shares its context with others until it has a task.
        return await asyncio.create_task(self._handle_stepwise(request, route, span))

    async def _handle_stepwise(self, request: HttpRequest, route: Route, span: Span) -> HttpResponse:
        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            return await self._describe(request, route, span)

    async def _describe(self, request: HttpRequest, route: Route, span: Span) -> HttpResponse:
        span.set_attribute("http.request.method", request.method)
        span.set_attribute(DIALECT, route.dialect.name)
        span.set_attribute(RESULT, "answered")
        if route.tenant is not None:
            span.set_attribute(TENANT, route.tenant.record.tenant_id)
        speaking = msgspec.structs.replace(route, dialect=spanned(route.dialect, SPELL, self._tracer))
        try:
            answer = await self._stepwise.handle(request, speaking)
        except Exception as fault:
            span.set_attribute(RESULT, "server_error")
            span.set_attribute("error.type", type(fault).__name__)
            span.set_status(StatusCode.ERROR)
            raise
        span.set_attribute("http.response.status_code", answer.status)
        return answer


def trace_endpoints(plain: Mapping[str, Endpoint], parts: Parts, tracer: Tracer) -> dict[str, Endpoint]:
    """Return the endpoints, those for tokens' lives traced."""
    stepwise = msgspec.structs.replace(
        parts,
        authenticator=spanned(parts.authenticator, AUTHENTICATE, tracer),
        verifier=spanned(parts.verifier, VERIFY, tracer),
        ledger=spanned(parts.ledger, STORE, tracer),
        outcomes=cast(Outcomes, SpannedOutcomes(parts.outcomes)),
    )
    by_name: dict[str, Endpoint] = {
        "token": _make_stepwise_token_endpoint(stepwise, tracer),
        "introspection": make_introspection_endpoint(stepwise),
        "revocation": make_revocation_endpoint(stepwise),
    }
    return {**plain, **{name: TracedEndpoint(plain[name], other, tracer) for name, other in by_name.items()}}


def _make_stepwise_token_endpoint(parts: Parts, tracer: Tracer) -> TokenEndpoint:
    endpoint = make_token_endpoint(parts)
    endpoint.authorize_grant = in_span(tracer, "authorize", endpoint.authorize_grant)
    endpoint.mint_access_token = in_span(tracer, "mint", endpoint.mint_access_token)
    return endpoint


def read_parent(headers: Mapping[bytes, bytes]) -> Context:
    """Return the context that the caller's `traceparent` tells; an empty one where there is none, or no good one."""
    given = headers.get(b"traceparent")
    # `tracestate` would be sent on as it came, whatever it holds.
    return Context() if given is None else PROPAGATOR.extract({"traceparent": given.decode("latin-1")}, Context())
