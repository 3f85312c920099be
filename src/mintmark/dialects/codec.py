"""A dialect at work: a definition compiled once into four pure functions over HTTP messages.

|                         | encode | decode |
|-------------------------|--------|--------|
| token request           | sdk    | server |
| token response or error | server | sdk    |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import takewhile
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from mintmark.dialects.definition import (
    BodyForm,
    DialectDefinition,
    ErrorRow,
    ErrorsWire,
    Place,
    RequestRow,
    endpoint_rows,
    find_error_row,
)
from mintmark.dialects.fields import FIELD_CODECS, FieldError
from mintmark.dialects.parameters import (
    encode_form,
    read_basic,
    read_form,
    read_json,
    write_basic,
)
from mintmark.protocol.errors import (
    REASONS,
    InvalidRequest,
    OAuthError,
    ServerError,
    UnsupportedGrantType,
)
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.protocol.messages import ClientCredentials, Introspection, TokenRequest, TokenResponse
from mintmark.protocol.secret import Secret

BODY_TYPES: Mapping[bytes, BodyForm] = {
    b"application/x-www-form-urlencoded": "form",
    b"application/json": "json",
}
MAX_SAID: Final = 200
MAX_TEMPLATES: Final = 1024
MAX_TEMPLATE_SCOPE: Final = 1024
PLACE: Final = "\0access_token\0"
UNSAFE: Final = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
"""What `error_description` must not hold. RFC: 6749 section 5.2."""
MISSING_REASONS = {"grant_type": "missing_grant_type"}
UNLISTED: Mapping[int, str] = {
    400: "invalid_request",
    401: "invalid_client",
    429: "temporarily_unavailable",
    503: "temporarily_unavailable",
}
"""What a refusal in an unlisted form means by its status alone; with any other status, `server_error`."""
UNAUTHORIZED = 401
Places = Mapping[str, dict[str, str]]
"""The parameters of one request by place."""
Key = str | tuple[str]
"""Under which a parameter's value is found: its name in the body; for one that is judged, what no body holds."""
RETRY_AFTER_S = {"temporarily_unavailable": "5", "overloaded": "1", "too_many_attempts": "60"}


class Dialect:
    """One system's spelling, ready to use. All methods are pure."""

    def __init__(self, definition: DialectDefinition) -> None:
        wire = definition.wire
        self.definition = definition
        self.name = definition.dialect
        self.endpoints = wire.endpoints
        self._rows = [row for row in wire.request.parameters if row.canonical not in {"client_id", "client_secret"}]
        # Rows are judged in file order; the body is read before the first that may sit there.
        judged = [row for row in self._rows if not _is_plain(row)]
        ahead = list(takewhile(lambda row: "body" not in row.at, self._rows))
        self._before_body = [(_key(row), _compile_taker(row)) for row in ahead]
        self._judged = [(_key(row), _compile_taker(row)) for row in judged if row not in ahead]
        self._reads_body = any("body" in row.at for row in wire.request.parameters)
        keys = {row.canonical: _key(row) for row in self._rows}
        self._keys = [keys.get(name) for name in ("grant_type", "scope", "refresh_token", "tenant_identifier")]
        self._needs = [(row.required_for, _key(row), row.canonical) for row in self._rows if row.required_for]
        self._client_id_row = _find_row(wire.request.parameters, "client_id")
        self._client_secret_row = _find_row(wire.request.parameters, "client_secret")
        self._needs_client_id = not self._client_id_row.optional
        self._needs_client_secret = not self._client_secret_row.optional
        self._client_id_name = self._client_id_row.name
        self._client_secret_name = self._client_secret_row.name
        self._takes_basic = "basic" in self._client_id_row.at
        self._parameter_places = [place for place in self._client_id_row.at if place != "basic"]
        self._forms = frozenset(wire.request.body)
        self._refused_in_query = frozenset(wire.request.refused_in_query)
        self._headers = _encode_headers(wire.content_type, wire.headers)
        self._encode_body = _compile_success(definition)
        self._errors = {
            endpoint: {reason: self._compile_error(reason, rows) for reason in REASONS}
            for endpoint, rows in {"token": (), **endpoint_rows(wire)}.items()
        }

    @property
    def authentication_methods(self) -> tuple[str, ...]:
        """The registered names of the ways in which a client may authenticate, the sdk's choice first."""
        if self._forms == {"json"}:
            return ()
        names = {"basic": "client_secret_basic", "body": "client_secret_post"}
        return tuple(names[place] for place in self._client_id_row.at if place in names)

    # The token request, read by the server.

    def decode_token_request(self, request: HttpRequest) -> TokenRequest:
        """Read a token request, strictly, without judging it; every set of credentials seen is handed on.

        Raises:
            InvalidRequest: malformed, repeated or missing parameters, a wrong content type.
            InvalidClient: `malformed_authorization`.
            UnsupportedGrantType: in dialects that list their grant types on the wire.
        RFC: 6749 sections 2.3.1, 3.2, 4.4.2.
        """
        query: dict[str, str] = {}
        if request.query:
            query = read_form(request.query)
            if not self._refused_in_query.isdisjoint(query):
                raise InvalidRequest("credential_in_query")
        places = {"query": query}
        taken: dict[Any, str | None] = {}
        for key, take in self._before_body:
            taken[key] = take(places)
        body = places["body"] = self._read_body(request) if self._reads_body else {}
        for key, take in self._judged:
            taken[key] = take(places)
        values: Mapping[Any, str | None] = {**body, **taken} if taken else body
        grant_type, scope, refresh_token, tenant_identifier = map(values.get, self._keys)
        for grant_types, key, canonical in self._needs:
            if grant_type in grant_types and values.get(key) is None:
                raise InvalidRequest("missing_parameter", canonical)
        return TokenRequest(
            grant_type,
            self._decode_credentials(request, places),
            scope,
            Secret(refresh_token) if refresh_token else None,
            tenant_identifier,
        )

    def _read_body(self, request: HttpRequest) -> dict[str, str]:
        octets, content_type = request.body, request.headers.get(b"content-type", b"")
        form = BODY_TYPES.get(content_type) or BODY_TYPES.get(content_type.partition(b";")[0].strip().lower())
        if form not in self._forms and (octets or content_type):
            raise InvalidRequest("unsupported_content_type")
        if not octets:
            return {}
        return read_form(octets) if form == "form" else read_json(octets)

    def _decode_credentials(self, request: HttpRequest, places: Places) -> tuple[ClientCredentials, ...]:
        found: list[ClientCredentials] = []
        if self._takes_basic and (authorization := request.headers.get(b"authorization")) is not None:
            found.append(read_basic(authorization))
        for place in self._parameter_places:
            fields = places[place]
            client_id = fields.get(self._client_id_name)
            client_secret = fields.get(self._client_secret_name)
            if client_secret is not None:
                found.append(ClientCredentials("client_secret_post", client_id or "", Secret(client_secret)))
            elif client_id is not None:
                found.append(ClientCredentials("none", client_id))
        if self._needs_client_id and not any(one.client_id for one in found):
            raise InvalidRequest("missing_parameter", "client_id")
        if self._needs_client_secret and all(one.client_secret is None for one in found):
            raise InvalidRequest("missing_parameter", "client_secret")
        return tuple(found)

    # The answer, written by the server.

    def encode_token_response(self, response: TokenResponse) -> HttpResponse:
        """Write a success answer. RFC: 6749 section 5.1."""
        return HttpResponse(self.definition.wire.success.status, self._headers, self._encode_body(response))

    def encode_error(
        self, error: OAuthError, *, issuer: str = "", header_used: bool = False, endpoint: str = "token"
    ) -> HttpResponse:
        """Write an error answer: constant octets for each reason, so that nothing of the request can echo.

        Args:
            error: its reason selects the row.
            issuer: the tenant's issuer URL, the realm of a challenge.
            header_used: the client tried the `Authorization` header, and so is owed a challenge.
            endpoint: `token`, `introspection`, `revocation`, or `resource` for an API of ours.
        RFC: 6749 section 5.2, RFC: 6750 section 3.
        """
        answer = self._errors[endpoint][error.reason]
        if endpoint == "resource":
            return answer
        challenge = self.definition.wire.challenge
        if answer.status == UNAUTHORIZED and challenge and (header_used or challenge.when == "always"):
            realm = issuer if challenge.realm == "issuer" else urlsplit(issuer).hostname or "localhost"
            text = f'Basic realm="{realm}"' if challenge.quoted else f"Basic realm={realm}"
            return answer.with_headers((b"www-authenticate", text.encode()))
        return answer

    def _compile_error(self, reason: str, own_rows: tuple[ErrorRow, ...]) -> HttpResponse:
        errors = self.definition.wire.errors
        row = _own_error_row(own_rows, reason) or errors.rows[find_error_row(errors.rows, reason)]
        body = dict(row.body)
        if row.describe:
            body[errors.description] = REASONS[reason].description
        headers = _encode_headers(row.content_type, {}) if row.content_type else self._headers
        extra = {
            "allow": "POST" if reason == "method_not_allowed" else "",
            "retry-after": RETRY_AFTER_S.get(reason, ""),
            "www-authenticate": row.challenge,
        }
        pairs = tuple((name.encode(), value.encode()) for name, value in extra.items() if value)
        return HttpResponse(_status(row, reason), headers + pairs, b"" if row.is_empty else msgspec.json.encode(body))

    # A token in question, and its answers.

    def encode_introspection(self, found: Introspection | None) -> dict[str, Any]:
        """Return the members of an introspection answer; None: the token is not active. RFC: 7662 section 2.2."""
        wire = self.definition.wire.introspection
        if found is None or wire is None:
            return {"active": False}
        values = {
            "client_id": found.client_id,
            "scope": found.scope or None,
            "audience": found.audience if len(found.audience) > 1 else found.audience[0],
            "issuer": found.issuer,
            "issued_at": found.issued_at,
            "expires_at": found.expires_at,
            "token_type": found.token_type,
            "jwt_id": found.jwt_id,
        }
        members = {
            row.member: row.constant if row.value is None else values[row.value]
            for row in wire.members
            if found.is_jwt or not row.jwt_only
        }
        return {"active": True, **{name: value for name, value in members.items() if value is not None}}

    def decode_presented_token(self, authorization: bytes | None) -> Secret | None:
        """Return the token that an `Authorization` header shows in this dialect's way, or None.

        The scheme's name may be of any case. RFC: 6750 section 2.1, RFC: 9110 section 11.1.
        """
        if authorization is None:
            return None
        text = authorization.decode("latin-1")
        prefix, _, suffix = self.definition.wire.presentation.partition("<token>")
        token = text[len(prefix) :].removesuffix(suffix).strip(" ")
        return Secret(token) if token and text[: len(prefix)].lower() == prefix.lower() else None

    # The token request, written by the sdk.

    def encode_token_request(self, request: TokenRequest) -> HttpRequest:
        """Write a token request, each parameter in its first place. Raises: ValueError for what has no place."""
        self._require_places(request)
        fields: dict[Place, dict[str, str]] = {"query": {}, "body": {}}
        headers: dict[bytes, bytes] = {}
        for row in self._rows:
            value = getattr(request, row.canonical)
            if value is not None:
                fields[row.at[0]][row.name] = value.reveal() if isinstance(value, Secret) else value
        for credentials in request.credentials:
            self._place_credentials(credentials, headers, fields)
        form = self.definition.wire.request.body[0]
        body = encode_form(fields["body"]) if form == "form" else msgspec.json.encode(fields["body"])
        headers[b"content-type"] = next(kind for kind, name in BODY_TYPES.items() if name == form)
        query = encode_form(fields["query"])
        return HttpRequest("POST", self.endpoints["token"], query, headers, body, "")

    def _require_places(self, request: TokenRequest) -> None:
        placed = {row.canonical for row in self._rows}
        for canonical in ("scope", "refresh_token", "tenant_identifier"):
            if getattr(request, canonical) is not None and canonical not in placed:
                raise ValueError(f"the {self.name} dialect has no place for {canonical}")

    def _place_credentials(
        self, credentials: ClientCredentials, headers: dict[bytes, bytes], fields: dict[Place, dict[str, str]]
    ) -> None:
        if credentials.method == "client_secret_basic":
            if not self._takes_basic:
                raise ValueError(f"the {self.name} dialect has no Basic client authentication")
            headers[b"authorization"] = write_basic(credentials)
            return
        if not self._parameter_places:
            raise ValueError(f"the {self.name} dialect takes client credentials in the Basic header only")
        place = fields[self._parameter_places[0]]
        place[self._client_id_row.name] = credentials.client_id
        if credentials.client_secret is not None:
            place[self._client_secret_row.name] = credentials.client_secret.reveal()

    # The answer, read by the sdk.

    def decode_token_response(self, response: HttpResponse) -> TokenResponse:
        """Read an answer.

        Raises:
            OAuthError: the server refused; the subclass and reason that the dialect's error rows give.
            ServerError: the answer is in no form that the dialect lists, and its status says no more.
        RFC: 6749 sections 5.1, 5.2.
        """
        try:
            body = msgspec.json.decode(response.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            code = UNLISTED.get(response.status, "server_error")
            raise REASONS[code].error(code, f"status {response.status}, not JSON") from None
        success = self.definition.wire.success
        if response.status == success.status and (members := _open_success(body, self.definition)) is not None:
            return _read_members(members, self.definition)
        raise _read_error(response.status, body, self.definition.wire.errors)


def _find_row(rows: tuple[RequestRow, ...], canonical: str) -> RequestRow:
    return next(row for row in rows if row.canonical == canonical)


def _compile_taker(row: RequestRow) -> Callable[[Places], str | None]:
    """Return what finds a parameter's value in the places where it may sit, and refuses it where it must not be."""
    name = row.name
    is_required = not row.optional and not row.required_for

    def take(places: Places) -> str | None:
        value = places[row.at[0]].get(name) if len(row.at) == 1 else _take_once(row, name, places)
        if value is None and is_required:
            raise InvalidRequest(MISSING_REASONS.get(row.canonical, "missing_parameter"), row.canonical)
        if row.values and value is not None and value not in row.values:
            raise UnsupportedGrantType("unsupported_grant_type")
        return value

    return take


def _key(row: RequestRow) -> Key:
    return row.name if _is_plain(row) else (row.canonical,)


def _is_plain(row: RequestRow) -> bool:
    """Tell whether a parameter sits in the body alone, or not at all, and whatever its value is, is not judged here."""
    return row.at == ("body",) and (row.optional or bool(row.required_for)) and not row.values


def _take_once(row: RequestRow, name: str, places: Places) -> str | None:
    """A parameter in two places at once is repeated. RFC: 6749 section 3.2."""
    seen = [value for place in row.at if (value := places[place].get(name)) is not None]
    if len(seen) > 1:
        raise InvalidRequest("repeated_parameter")
    return seen[0] if seen else None


def _own_error_row(rows: tuple[ErrorRow, ...], reason: str) -> ErrorRow | None:
    """Return an endpoint's own row for a reason or for its code; it never falls back further."""
    for name in (reason, REASONS[reason].error.code):
        for row in rows:
            if name in row.reasons:
                return row
    return None


def _encode_headers(content_type: str, headers: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    pairs = {"content-type": content_type, "cache-control": "no-store", "pragma": "no-cache"} | dict(headers)
    return tuple((name.lower().encode(), value.encode()) for name, value in pairs.items())


def _status(row: ErrorRow, reason: str) -> int:
    """A row that a reason falls back to keeps the reason's own status where HTTP itself speaks: 405, 413, 404."""
    status = REASONS[reason].status
    return status if reason not in row.reasons and status in {403, 404, 405, 413, 429} else row.status


def _compile_success(definition: DialectDefinition) -> Callable[[TokenResponse], bytes]:
    success = definition.wire.success
    # A text that must be there is empty where nothing is to be said: OneAccess's scope, for a client without one.
    members = [
        (row.canonical, row.name, FIELD_CODECS[row.codec].encode, "" if row.is_required_text else None)
        for row in success.members
    ]
    encode = msgspec.json.Encoder().encode

    def write(response: TokenResponse) -> bytes:
        inner: dict[str, Any] = {
            name: absent if value is None else to_wire(value)
            for canonical, name, to_wire, absent in members
            if (value := getattr(response, canonical)) is not None or absent is not None
        }
        for name in reversed(success.envelope):
            inner = {name: inner}
        return encode({**success.constant, **inner} if success.constant else inner)

    @lru_cache(maxsize=MAX_TEMPLATES)
    def template(token_type: str, expires_in: int, scope: str | None) -> tuple[bytes, bytes]:
        """Return what stands before and behind the access token. No scope holds the character that PLACE does."""
        whole = write(TokenResponse(Secret(PLACE), token_type, expires_in, scope))
        before, _, behind = whole.partition(encode(PLACE))
        return before, behind

    def encode_body(response: TokenResponse) -> bytes:
        scope = response.scope
        is_alone = response.refresh_token is None and response.id_token is None
        if not is_alone or (scope and len(scope) > MAX_TEMPLATE_SCOPE):
            return write(response)
        token = encode(response.access_token.reveal())
        return token.join(template(response.token_type, response.expires_in, scope))

    return encode_body


def _open_success(body: Any, definition: DialectDefinition) -> dict[str, Any] | None:
    """Return the members inside the envelope, or None when the body is not a success body."""
    success, told_by = definition.wire.success, definition.wire.errors.told_by
    wanted = {name: value for name, value in success.constant.items() if not told_by or name in told_by}
    if not isinstance(body, dict) or any(body.get(name) != value for name, value in wanted.items()):
        return None
    for name in success.envelope:
        body = body.get(name)
        if not isinstance(body, dict):
            return None
    return body if any(row.name in body for row in success.members) else None


def _read_members(members: Mapping[str, Any], definition: DialectDefinition) -> TokenResponse:
    values: dict[str, Any] = {}
    for row in definition.wire.success.members:
        try:
            if row.name in members:
                values[row.canonical] = FIELD_CODECS[row.codec].decode(members[row.name])
            elif not row.optional and row.canonical != "expires_in":
                raise FieldError("it is missing")
        except FieldError as error:
            raise ServerError("server_error", f"member {row.name}: {error}") from error
    # A server need not tell the lifetime (RFC 6749 section 5.1): such a token is used once and not kept.
    values.setdefault("expires_in", 0)
    values.setdefault("token_type", "Bearer")
    return TokenResponse(**values)


def _read_error(status: int, body: Any, errors: ErrorsWire) -> OAuthError:
    """Find the row whose body the answer has, its status too if it can be: proxies are known to change that."""
    members = body if isinstance(body, dict) else {}
    alike = [row for row in errors.rows if errors.identity(row).items() <= members.items()]
    alike.sort(key=lambda row: (row.status == status, len(row.body)), reverse=True)
    code = alike[0].reads_as if alike else _unlisted_code(status, members)
    error = REASONS[code].error(code, f"status {status}")
    said = members.get(errors.description) or members.get("error_description")
    error.server_description = UNSAFE.sub("?", said[:MAX_SAID]) if isinstance(said, str) else ""
    return error


def _unlisted_code(status: int, members: Mapping[str, Any]) -> str:
    code = members.get("error")
    if isinstance(code, str) and code in REASONS and REASONS[code].error.code == code:
        return code
    return UNLISTED.get(status, "server_error")
