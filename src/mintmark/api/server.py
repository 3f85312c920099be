"""The ASGI application of the management API: Litestar routes made from the table, callers admitted, ids given out."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Protocol
from urllib.parse import quote, unquote

import msgspec
from litestar import Litestar, Request, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from mintmark.admin.administration import Administration
from mintmark.admin.permissions import MANAGEMENT_AUDIENCE, PERMISSIONS
from mintmark.api.callers import Callers, read_token
from mintmark.api.document import write_document
from mintmark.api.figures import CallNote, TakeNote, outcome_of
from mintmark.api.operation import PREFIX, Found, Operation, Table
from mintmark.api.page import PAGE_HEADERS, STYLE, write_page
from mintmark.api.performing import perform, refuse
from mintmark.api.problems import RESOURCE_METADATA, Exchange, Refusal
from mintmark.api.reading import require_acceptable
from mintmark.endpoints.outcome import correlation_id_of
from mintmark.protocol.http import HttpRequest, HttpResponse, join_headers

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Asked = Request[Any, Any, Any]

MOUNTED_AT: Final = (PREFIX, RESOURCE_METADATA)
SAFE_IN_PATH: Final = "/:@!$&'()*+,;=-._~%"
EVERY_ANSWER: Final = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
STATUSES: Final = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large"}
"""What Litestar itself refuses, and our names for it."""


class Present(Protocol):
    """Tenants as they are now."""

    def find_tenant(self, tenant_id: str) -> object:
        """Return what is falsy for a tenant that is not there."""

    def knows_host(self, host: str) -> bool:
        """Tell whether a Host header names a tenant's host, or that of an issuer."""


class ManagementApi:
    """Answers below PREFIX, and with the metadata of the API as a protected resource."""

    def __init__(
        self, table: Table, callers: Callers, administration: Administration, *, present: Present, take_note: TakeNote
    ) -> None:
        self._callers = callers
        self._administration = administration
        self._present = present
        self._take_note = take_note
        self._document = write_document(table)
        self._page = write_page(table)
        self._app = Litestar(
            [*options_routes(table), *(self._route(one) for one in table.operations), *self._public_routes()],
            exception_handlers={Exception: _refuse_unserved},
            openapi_config=None,
            logging_config=None,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. The path stays percent-encoded, so that an id may hold a slash."""
        raw = scope.get("raw_path") or scope["path"].encode()
        exchange, note, status = read_exchange(scope, self._present), CallNote(), 500
        headers = (*EVERY_ANSWER, (b"x-correlation-id", exchange.correlation_id.encode()))

        async def send_marked(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        state = {"exchange": exchange, "note": note}
        inner = {**scope, "path": quote(raw.partition(b"?")[0], safe=SAFE_IN_PATH), "state": state}
        # Litestar would take such a path for another.
        answer = _refuse_path if b"//" in raw.partition(b"?")[0] else self._app
        try:
            await answer(inner, receive, send_marked)  # type: ignore[arg-type]
        finally:
            self._take_note(note, outcome_of(status))

    def _route(self, operation: Operation) -> HTTPRouteHandler:
        async def answer(request: Asked) -> Response[bytes]:
            return _as_litestar(await self._serve(operation, request))

        return make_route(operation.method, PREFIX + operation.path, answer, operation.max_body_octets)

    async def _serve(self, operation: Operation, request: Asked) -> HttpResponse:
        exchange, note = exchange_of(request), request.scope["state"]["note"]
        note.operation = operation.name
        headers = join_headers(list(request.scope["headers"]))
        source = request.scope["client"][0] if request.scope["client"] else ""
        try:
            desk = await self._callers.admit(read_token(headers.get(b"authorization", b"")), source, exchange)
            require_acceptable(headers)
        except Exception as error:
            return refuse(error, exchange)
        path = {name: unquote(text) for name, text in request.path_params.items()}
        if self._present.find_tenant(path.get("tenant_id", "")):
            note.tenant_id = path["tenant_id"]
        body = await request.body()
        asked = HttpRequest(request.method, request.scope["path"], request.scope["query_string"], headers, body, source)
        return await perform(Found(operation, path), asked, desk)

    def _public_routes(self) -> list[HTTPRouteHandler]:
        """What is shown to everybody: it tells nothing of what this deployment holds."""

        async def show_document(request: Asked) -> Response[bytes]:
            return Response(self._document, media_type="application/json", headers={"cache-control": "no-cache"})

        async def show_page(request: Asked) -> Response[bytes]:
            return Response(self._page, media_type=MediaType.HTML, headers=PAGE_HEADERS)

        async def show_style(request: Asked) -> Response[bytes]:
            return Response(STYLE, media_type=MediaType.CSS, headers=PAGE_HEADERS)

        async def show_resource(request: Asked) -> Response[bytes]:
            return await self._describe_resource(request)

        routes = {
            PREFIX + "/openapi.json": show_document,
            PREFIX + "/docs": show_page,
            PREFIX + "/docs.css": show_style,
            RESOURCE_METADATA: show_resource,
        }
        return [make_route("GET", path, show) for path, show in routes.items()]

    async def _describe_resource(self, request: Asked) -> Response[bytes]:
        """Answer with the API's metadata as a protected resource, at hosts that are ours. RFC: 9728 section 3.2.

        A caller of another tenant knows its issuer; only the administrative one is named to everybody.
        """
        origin = exchange_of(request).origin
        if not origin:
            return _refuse_unserved(request, Refusal("not-found"))
        tenants = await self._administration.store.tenants.list()
        document = {
            "resource": origin + PREFIX,
            "authorization_servers": [one.issuer for one in tenants if one.is_administrative],
            "scopes_supported": sorted(PERMISSIONS),
            "bearer_methods_supported": ["header"],
            "resource_name": "Mintmark management API",
            "resource_documentation": origin + PREFIX + "/docs",
            "mintmark_audience": MANAGEMENT_AUDIENCE,
        }
        octets = msgspec.json.encode({name: value for name, value in document.items() if value})
        return Response(octets, media_type="application/json")


def make_route(
    method: Any, path: str, answer: Callable[[Asked], Awaitable[Response[bytes]]], max_body_octets: int = 0
) -> HTTPRouteHandler:
    """Return a route; what may be read with GET may be asked for with HEAD."""
    methods: list[Any] = ["GET", "HEAD"] if method == "GET" else [method]
    template = re.sub(r"{(\w+)}", r"{\1:str}", path)
    # The answer says its own status; Litestar would take 204 from the method.
    return HTTPRouteHandler(template, http_method=methods, status_code=200, request_max_body_size=max_body_octets)(
        answer
    )


def options_routes(table: Table) -> list[HTTPRouteHandler]:
    """Return what tells the methods of each path, to be given to Litestar first: else it makes its own.

    Its own would name the methods of a path's first row alone.
    """

    def route(path: str, methods: Iterable[str]) -> HTTPRouteHandler:
        allow = ", ".join(sorted(methods))

        async def answer(request: Asked) -> Response[bytes]:
            return Response(b"", status_code=204, headers={"allow": allow})

        return make_route("OPTIONS", PREFIX + path, answer)

    by_path: dict[str, set[str]] = {}
    for one in table.operations:
        methods = by_path.setdefault(one.path, {"OPTIONS"})
        methods |= {"GET", "HEAD"} if one.method == "GET" else {one.method}
    return [route(path, methods) for path, methods in by_path.items()]


def read_exchange(scope: Scope, present: Present) -> Exchange:
    """Return the request's correlation id, the caller's own if it sent one, and the origin that it reached us by."""
    headers = join_headers(scope["headers"])
    forwarded = headers.get(b"x-forwarded-proto", b"").decode("latin-1").rpartition(",")[2].strip()
    scheme = "https" if "https" in {scope.get("scheme"), forwarded} else "http"
    host = headers.get(b"host", b"").decode("latin-1").lower()
    return Exchange(correlation_id_of(headers), f"{scheme}://{host}" if present.knows_host(host) else "")


def exchange_of(request: Asked) -> Exchange:
    """Return what `read_exchange` read."""
    exchange: Exchange = request.scope["state"]["exchange"]
    return exchange


async def _refuse_path(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a path that is nothing's."""
    response = refuse(Refusal("not-found"), scope["state"]["exchange"])
    headers = [*response.headers, (b"content-length", b"%d" % len(response.body))]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _as_litestar(response: HttpResponse) -> Response[bytes]:
    headers = {name.decode(): value.decode() for name, value in response.headers}
    return Response(
        response.body, status_code=response.status, media_type=headers.pop("content-type", None), headers=headers
    )


def _refuse_unserved(request: Asked, error: Exception) -> Response[bytes]:
    """Answer what found no operation, or was cut off before it."""
    if isinstance(error, HTTPException) and error.status_code < 500:
        headers = tuple((error.headers or {}).items())
        error = Refusal(STATUSES.get(error.status_code, "malformed-request"), headers=headers)
    return _as_litestar(refuse(error, exchange_of(request)))
