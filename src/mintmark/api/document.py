"""The OpenAPI 3.1 document, made from the table and the types in it, so that it cannot say what is not so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from mintmark import __version__
from mintmark.admin.permissions import MANAGEMENT_AUDIENCE, PERMISSIONS
from mintmark.api.operation import PREFIX, Operation, Table
from mintmark.api.problems import EVERYWHERE, MEDIA_TYPE, PROBLEMS, TYPE_PREFIX, Problem
from mintmark.protocol.secret import Secret

Json = dict[str, Any]

SCHEMAS: Final = "#/components/schemas/{name}"
SECURITY: Final = "clientCredentials"
ABOUT: Final = (
    "Tenants, clients, secrets, keys, tokens and the audit log of a Mintmark server. Called with an access token of"
    f" this server whose audience holds `{MANAGEMENT_AUDIENCE}` and whose scope holds the operation's permission. A"
    " client reaches its own tenant; a client of an msp tenant, its customers too; a client of the administrative"
    " tenant, all. What is out of reach is not found. Times are seconds since 1970-01-01T00:00:00Z."
)
ENTITY_TAG: Final = {"type": "string", "pattern": r'^"[0-9]+"$'}
PATH_SCHEMAS: Final[Mapping[str, Json]] = {
    "tenant_id": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$", "example": "acme"},
    "client_id": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$", "example": "billing"},
    "secret_id": {"type": "string", "pattern": "^[0-9a-f]{16}$", "example": "9f86d081884c7d65"},
    "kid": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "token_name": {"type": "string", "pattern": "^[0-9a-f-]{16,64}$"},
    "token_id": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
}
CORRELATION: Final = {
    "X-Correlation-Id": {
        "description": "Names this request in the logs and in the audit log.",
        "schema": {"type": "string"},
    }
}


def write_document(table: Table) -> bytes:
    """Return the document as JSON. OpenAPI 3.1 section 4.8.1."""
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Mintmark management API",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": PREFIX}],
        "security": [{SECURITY: []}],
        "tags": [{"name": name} for name in dict.fromkeys(one.noun for one in table.operations)],
        "paths": write_paths(table),
        "components": {"schemas": write_schemas(table), "securitySchemes": {SECURITY: write_security()}},
    }
    return msgspec.json.encode(document)


def write_security() -> Json:
    """Return the security scheme. The token endpoint named is that of the administrative tenant."""
    scopes = {name: f"{name.partition(':')[2].capitalize()} {name.partition(':')[0]}." for name in sorted(PERMISSIONS)}
    return {
        "type": "oauth2",
        "description": f"An access token of any tenant here whose audience holds {MANAGEMENT_AUDIENCE}.",
        "flows": {"clientCredentials": {"tokenUrl": "/t/admin/oauth2/token", "scopes": scopes}},
    }


def write_schemas(table: Table) -> Json:
    """Return the JSON schemas of all types that go in or out."""
    types = [kind for one in table.operations for kind in (one.takes, one.gives) if kind is not None]
    _, schemas = msgspec.json.schema_components(
        [*dict.fromkeys(types), Problem], schema_hook=describe_secret, ref_template=SCHEMAS
    )
    return schemas


def describe_secret(kind: type) -> Json:
    """Return the schema of a `Secret`, for msgspec."""
    if kind is Secret:
        return {"type": "string", "format": "password"}
    raise NotImplementedError(kind)


def write_paths(table: Table) -> Json:
    """Return the operations by path and method."""
    paths: Json = {}
    for operation in table.operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = write_operation(operation)
    return paths


def write_operation(operation: Operation) -> Json:
    """Return one operation. OpenAPI 3.1 section 4.8.10."""
    written: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.noun],
        "security": [{SECURITY: [operation.permission] if operation.permission else []}],
        "parameters": [*path_parameters(operation), *query_parameters(operation), *header_parameters(operation)],
        "responses": write_responses(operation),
    }
    if operation.about:
        written["description"] = operation.about
    if operation.takes is not None:
        written["requestBody"] = write_request_body(operation)
    return written


def write_request_body(operation: Operation) -> Json:
    """Return what goes in. A change may say that it is a merge patch, as which it is read. RFC: 7396."""
    content: Json = {"schema": _reference(operation.takes)}
    if operation.example is not None:
        content["examples"] = {"example": {"value": operation.example}}
    types = ["application/json", *(["application/merge-patch+json"] if operation.method == "PATCH" else [])]
    return {"required": True, "content": dict.fromkeys(types, content)}


def path_parameters(operation: Operation) -> Iterable[Json]:
    """Return the parameters in the path."""
    for name in operation.parameters:
        yield {"name": name, "in": "path", "required": True, "schema": PATH_SCHEMAS[name]}


def query_parameters(operation: Operation) -> Iterable[Json]:
    """Return the parameters in the query, as their type describes them."""
    schema = msgspec.json.schema(operation.query)
    described = schema["$defs"][operation.query.__name__]
    for name, one in described.get("properties", {}).items():
        yield {
            "name": name,
            "in": "query",
            "required": name in described.get("required", ()),
            "schema": {key: value for key, value in one.items() if key != "description"},
            "description": one.get("description", ""),
        }


def header_parameters(operation: Operation) -> Iterable[Json]:
    """Return the headers that the operation minds."""
    reads = operation.method == "GET"
    if operation.is_versioned and not reads:
        yield _header("If-Match", "Change this version only; without it, whichever is there.", ENTITY_TAG)
    if operation.is_versioned and reads:
        yield _header("If-None-Match", "Answer 304 if this version is still the present one.", ENTITY_TAG)
    if operation.is_creation:
        about = "One key, one creation: asked again within a day, the same answer comes, with its secret."
        yield _header("Idempotency-Key", about, {"type": "string", "pattern": "^[!-~]{1,255}$"})


def _header(name: str, about: str, schema: Json) -> Json:
    return {"name": name, "in": "header", "required": False, "description": about, "schema": schema}


def write_responses(operation: Operation) -> Json:
    """Return the answers by status: the one of success, and the problems."""
    responses = {str(operation.success): write_success(operation)}
    if operation.is_versioned and operation.method == "GET":
        responses["304"] = {"description": "The version is still the present one.", "headers": CORRELATION}
    by_status: dict[int, list[str]] = {}
    for name in problems_of(operation):
        by_status.setdefault(PROBLEMS[name].status, []).append(name)
    for status, names in sorted(by_status.items()):
        responses[str(status)] = write_problem_response(status, names)
    return responses


def write_success(operation: Operation) -> Json:
    """Return the answer of success."""
    headers: Json = dict(CORRELATION)
    if operation.is_versioned and operation.gives is not None:
        headers["ETag"] = {"description": "The version.", "schema": ENTITY_TAG}
    if "limit" in operation.query.__struct_fields__:
        headers["Link"] = {"description": "The next page. RFC 8288.", "schema": {"type": "string"}}
    if operation.success == 201:
        headers["Location"] = {"description": "Where it is.", "schema": {"type": "string"}}
    written: Json = {"description": operation.summary + ".", "headers": headers}
    if operation.gives is not None:
        content: Json = {"schema": _reference(operation.gives)}
        if operation.example_answer is not None:
            content["examples"] = {"example": {"value": operation.example_answer}}
        written["content"] = {"application/json": content}
    return written


def write_problem_response(status: int, names: Iterable[str]) -> Json:
    """Return the answer of a problem. RFC: 9457."""
    rows = {name: PROBLEMS[name] for name in names}
    examples = {
        name: {"value": {"type": TYPE_PREFIX + name, "title": row.title, "status": status, "correlation_id": "..."}}
        for name, row in rows.items()
    }
    headers: Json = dict(CORRELATION)
    if status == 401:
        headers["WWW-Authenticate"] = {"description": "RFC 6750 section 3.", "schema": {"type": "string"}}
    return {
        "description": " Or: ".join(row.about for row in rows.values()),
        "headers": headers,
        "content": {MEDIA_TYPE: {"schema": _reference(Problem), "examples": examples}},
    }


def problems_of(operation: Operation) -> tuple[str, ...]:
    """Return the names of all problems that an operation may answer."""
    names = [*EVERYWHERE, *operation.problems]
    if operation.parameters:
        names.append("not-found")
    if operation.takes is not None:
        names += ["body-too-large", "unsupported-media-type", "invalid-values"]
    if operation.is_versioned:
        names.append("outdated")
    if operation.is_creation:
        names.append("key-reused")
    return tuple(dict.fromkeys(names))


def _reference(kind: type | None) -> Json:
    return {"$ref": SCHEMAS.format(name=kind.__name__ if kind else "")}
