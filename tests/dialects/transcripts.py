"""Reads a golden transcript: a request, `### response`, and `### meaning`, which says both in the RFC's terms.

Lines that start with # at the top tell what the transcript rests on: [S] stated on the vendor's page, [D] in other
documents of the vendor, [O] observed by others against the real product. In a body, … stands for any text.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.protocol.messages import ClientCredentials, TokenRequest, TokenResponse
from mintmark.protocol.secret import Secret

FOLDER = Path(__file__).parent
SECRETS = {"access_token", "refresh_token", "id_token"}


class Transcript(NamedTuple):
    path: Path
    request: HttpRequest
    response: HttpResponse
    meaning: dict[str, Any]

    @property
    def dialect(self) -> str:
        return self.path.parent.name

    @property
    def host(self) -> str:
        return self.request.headers[b"host"].decode()

    @property
    def token_request(self) -> TokenRequest:
        return make_token_request(self.meaning["request"])

    @property
    def token_response(self) -> TokenResponse:
        return TokenResponse(**hide_secrets(self.meaning["response"]))

    def tells(self, direction: str, *tables: str) -> bool:
        has_table = any(table in self.meaning for table in tables)
        return has_table and direction in self.meaning.get("only", [direction])


def read_transcripts() -> list[Transcript]:
    return [read_transcript(path) for path in sorted(FOLDER.glob("*/*.http"))]


def read_transcript(path: Path) -> Transcript:
    text = path.read_text("utf-8")
    while text.startswith("# "):
        text = text.partition("\n")[2]
    request, _, rest = text.partition("\n### response\n")
    response, _, meaning = rest.partition("\n### meaning\n")
    return Transcript(path, read_request(request), read_response(response), tomllib.loads(meaning))


def read_request(text: str) -> HttpRequest:
    start, headers, body = split_message(text)
    method, target, _ = start.split(" ")
    path, _, query = target.partition("?")
    return HttpRequest(method, path, query.encode(), dict(headers), body, "")


def read_response(text: str) -> HttpResponse:
    start, headers, body = split_message(text)
    return HttpResponse(int(start.split(" ")[1]), tuple(headers), body)


def split_message(text: str) -> tuple[str, list[tuple[bytes, bytes]], bytes]:
    head, _, body = text.partition("\n\n")
    start, *lines = head.strip().splitlines()
    pairs = [line.split(": ", 1) for line in lines]
    return start, [(name.lower().encode(), value.encode()) for name, value in pairs], body.strip().encode()


def make_token_request(table: dict[str, Any]) -> TokenRequest:
    credentials = tuple(
        ClientCredentials(method, client_id, Secret(secret[0]) if secret else None)
        for method, client_id, *secret in table.get("credentials", [])
    )
    return TokenRequest(**hide_secrets(table | {"credentials": credentials}))


def hide_secrets(table: dict[str, Any]) -> dict[str, Any]:
    return {name: Secret(value) if name in SECRETS else value for name, value in table.items()}


def reveal(value: Any) -> Any:
    """A message as plain values, for comparison; the second reading of a Basic header is left out."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, tuple):
        return [reveal(item) for item in value]
    if hasattr(value, "__struct_fields__"):
        names = [name for name in value.__struct_fields__ if name != "raw"]
        return {name: reveal(getattr(value, name)) for name in names}
    return value


def read_pairs(body: bytes) -> Any:
    """JSON with the order of its members kept and compared."""
    return json.loads(body, object_pairs_hook=list)


def is_like(expected: Any, actual: Any) -> bool:
    if isinstance(expected, str) and "…" in expected:
        head, _, tail = expected.partition("…")
        return isinstance(actual, str) and actual.startswith(head) and actual.endswith(tail)
    if isinstance(expected, list | tuple):
        same_size = isinstance(actual, list | tuple) and len(expected) == len(actual)
        return same_size and all(is_like(one, other) for one, other in zip(expected, actual, strict=True))
    return type(expected) is type(actual) and bool(expected == actual)


def spell(request: HttpRequest) -> dict[str, Any]:
    """What a request says on the wire, the order of its parameters aside."""
    content_type = request.headers.get(b"content-type")
    is_json = content_type == b"application/json"
    body = json.loads(request.body) if is_json else sorted(parse_qsl(request.body.decode(), strict_parsing=True))
    return {
        "line": (request.method, request.path, sorted(parse_qsl(request.query.decode()))),
        "authorization": request.headers.get(b"authorization"),
        "content_type": content_type,
        "body": body,
    }
