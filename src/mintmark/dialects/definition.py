"""The shape of a dialect file and its strict checks. What a system does differently (`[rules]`) is not read here.

A fault names the file and the key, and stops the start.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from mintmark.dialects.fields import FIELD_CODECS, REQUEST_FIELDS, SUCCESS_FIELDS
from mintmark.dialects.validation import describe_validation_error
from mintmark.protocol.errors import REASONS, SettingsError

Place = Literal["basic", "body", "query"]
BodyForm = Literal["form", "json"]
IntrospectionValue = Literal[
    "client_id", "scope", "audience", "issuer", "issued_at", "expires_at", "token_type", "jwt_id"
]

CREDENTIAL_FIELDS = frozenset({"client_id", "client_secret"})
INDISTINGUISHABLE = ("unknown_client", "wrong_secret", "disabled_client")


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class RequestRow(_Table, frozen=True, kw_only=True):
    """Where one parameter of the token request may sit, and its name there. Rows are decoded in file order."""

    canonical: str
    at: tuple[Place, ...]
    """Every place the server accepts; the sdk writes the first."""
    wire: str = ""
    """The name on the wire; the canonical name when left out."""
    optional: bool = False
    required_for: tuple[str, ...] = ()
    """Grant types that need an otherwise optional parameter."""
    values: tuple[str, ...] = ()
    """The values that exist; empty: judged later, after client authentication."""

    @property
    def name(self) -> str:
        """The name on the wire."""
        return self.wire or self.canonical


class RequestWire(_Table, frozen=True, kw_only=True):
    """The token request."""

    body: tuple[BodyForm, ...]
    """The body forms that the server takes; the sdk writes the first."""
    parameters: tuple[RequestRow, ...]
    refused_in_query: tuple[str, ...] = ()
    """Wire names that must not come in the URL. RFC: 6749 section 2.3.1."""


class SuccessRow(_Table, frozen=True, kw_only=True):
    """One member of the success body."""

    canonical: str
    wire: str = ""
    codec: str
    optional: bool = False

    @property
    def name(self) -> str:
        """The name on the wire."""
        return self.wire or self.canonical

    @property
    def is_required_text(self) -> bool:
        """Tell whether this is a text that stands in every answer."""
        return self.codec == "string" and not self.optional


class SuccessWire(_Table, frozen=True, kw_only=True):
    """The success answer: constant members first, then the rows, inside the envelope if there is one."""

    members: tuple[SuccessRow, ...]
    status: int = 200
    constant: Mapping[str, Any] = {}
    envelope: tuple[str, ...] = ()


class ErrorRow(_Table, frozen=True, kw_only=True):
    """One error answer, for one or more reasons."""

    reasons: tuple[str, ...]
    reads_as: str
    """The RFC's code, which the sdk raises."""
    status: int
    body: Mapping[str, Any]
    describe: bool = False
    """Add this program's own sentence for the reason under `errors.description`."""
    content_type: str = ""
    """The content type of this answer, where it is not the dialect's."""
    challenge: str = ""
    """The value of `WWW-Authenticate`, where a row has its own. RFC: 6750 section 3."""
    is_empty: bool = False
    """Send no body; `body` then only tells the row in this file."""


class ErrorsWire(_Table, frozen=True, kw_only=True):
    """The error answers."""

    rows: tuple[ErrorRow, ...]
    description: str = ""
    """The member that holds the sentence; where an answer has it not, the SDK looks for `error_description`."""
    told_by: tuple[str, ...] = ()
    """The members that tell an answer when it is read, where a system varies the rest; empty: all of them."""

    def identity(self, row: ErrorRow) -> Mapping[str, Any]:
        """Return the members of a row's body that an answer must have to be read as that row."""
        return {name: row.body.get(name) for name in self.told_by} if self.told_by else row.body


class Challenge(_Table, frozen=True, kw_only=True):
    """The `WWW-Authenticate` header of a 401 answer. RFC: 6749 section 5.2, RFC: 7617."""

    when: Literal["always", "header_used"]
    realm: Literal["issuer", "host"]
    quoted: bool = True


class IntrospectionRow(_Table, frozen=True, kw_only=True):
    """One member of an active introspection answer: a value of the closed list, or a constant."""

    member: str
    value: IntrospectionValue | None = None
    constant: str | None = None
    jwt_only: bool = False


class IntrospectionWire(_Table, frozen=True, kw_only=True):
    """The introspection answers. RFC: 7662 section 2.2."""

    members: tuple[IntrospectionRow, ...]
    rows: tuple[ErrorRow, ...] = ()
    """Error rows of this endpoint, looked at before the dialect's own."""


class RevocationWire(_Table, frozen=True, kw_only=True):
    """The revocation answers. RFC: 7009 section 2.2."""

    rows: tuple[ErrorRow, ...] = ()
    tells_owner: bool = False
    """Name what was revoked in headers: `RevokedAccessToken`, `AuthorizedUser`."""
    takes_callback: bool = False
    """Wrap the answer as JSONP when asked to."""


class ResourceWire(_Table, frozen=True, kw_only=True):
    """What an API of ours answers to a token that will not do. RFC: 6750 section 3."""

    rows: tuple[ErrorRow, ...] = ()
    scheme: str = ""
    """The authentication scheme of the challenge; empty: no challenge but a row's own."""


class Wire(_Table, frozen=True, kw_only=True):
    """The spelling of a system."""

    endpoints: Mapping[str, str]
    request: RequestWire
    success: SuccessWire
    errors: ErrorsWire
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}
    challenge: Challenge | None = None
    presentation: str = "Bearer <token>"
    """How the token is shown to an API, after `Authorization: `."""
    introspection: IntrospectionWire | None = None
    revocation: RevocationWire = RevocationWire()
    resource: ResourceWire = ResourceWire()
    path_prefix: str = ""
    """Every unknown path below it is answered with the reason `unknown_path`, in this dialect."""


class DialectDefinition(_Table, frozen=True, kw_only=True):
    """A whole dialect file."""

    dialect: str
    title: str
    wire: Wire
    rules: Mapping[str, Any]


ENDPOINTS = frozenset({"token", "jwks", "authorization", "introspection", "revocation", "check", "registration"})


def load_definition(path: Path) -> DialectDefinition:
    """Read and check a dialect file.

    Raises:
        SettingsError: naming the file and the first key that is wrong.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not a TOML file: {error}") from error
    return parse_definition(table, str(path))


def parse_definition(table: Mapping[str, Any], origin: str) -> DialectDefinition:
    """Check a dialect table. `origin` is what error texts call it. Raises: SettingsError."""
    try:
        definition = msgspec.convert(table, DialectDefinition)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{origin}: {describe_validation_error(error, DialectDefinition)}") from error
    faults = list(find_faults(definition))
    if faults:
        raise SettingsError("\n".join(f"{origin}: {fault}" for fault in faults))
    return definition


def find_faults(definition: DialectDefinition) -> Iterator[str]:
    """Yield each fault that the shape alone does not show, as `key: what is wrong`."""
    wire = definition.wire
    yield from _endpoint_faults(wire)
    yield from _request_faults(wire.request)
    yield from _success_faults(wire.success)
    yield from _error_faults(wire.errors)
    yield from _endpoint_error_faults(wire)
    if wire.presentation.count("<token>") != 1:
        yield "wire.presentation: must hold <token> once"


def _endpoint_faults(wire: Wire) -> Iterator[str]:
    if "token" not in wire.endpoints:
        yield "wire.endpoints.token: is missing"
    for name, path in wire.endpoints.items():
        if name not in ENDPOINTS:
            yield f"wire.endpoints.{name}: unknown endpoint; one of {', '.join(sorted(ENDPOINTS))}"
        if not path.startswith("/") or "?" in path:
            yield f"wire.endpoints.{name}: a path starts with / and has no query"


def _request_faults(request: RequestWire) -> Iterator[str]:
    if not request.body:
        yield "wire.request.body: names no body form"
    if len({frozenset(row.at) for row in request.parameters if row.canonical in CREDENTIAL_FIELDS}) > 1:
        yield "wire.request.parameters: client_id and client_secret sit in the same places"
    yield from _repeated("wire.request.parameters", [row.canonical for row in request.parameters])
    for index, row in enumerate(request.parameters):
        key = f"wire.request.parameters[{index}]"
        if row.canonical not in REQUEST_FIELDS:
            yield f"{key}.canonical: unknown parameter {row.canonical!r}"
        if not row.at:
            yield f"{key}.at: names no place"
        if row.values and row.canonical != "grant_type":
            yield f"{key}.values: only grant_type lists its values"
        if "basic" in row.at and row.canonical not in CREDENTIAL_FIELDS:
            yield f"{key}.at: only client_id and client_secret can sit in a Basic header"
    for place in ("body", "query"):
        names = [row.name for row in request.parameters if place in row.at]
        yield from _repeated(f"wire.request.parameters ({place})", names)
    for missing in {"grant_type", "client_id", "client_secret"} - {row.canonical for row in request.parameters}:
        yield f"wire.request.parameters: {missing} has no row"


def _success_faults(success: SuccessWire) -> Iterator[str]:
    yield from _repeated("wire.success.members", [row.canonical for row in success.members])
    yield from _repeated("wire.success.members", [row.name for row in success.members])
    for index, row in enumerate(success.members):
        key = f"wire.success.members[{index}]"
        if row.canonical not in SUCCESS_FIELDS:
            yield f"{key}.canonical: unknown member {row.canonical!r}"
        elif row.codec not in FIELD_CODECS:
            yield f"{key}.codec: unknown codec {row.codec!r}; one of {', '.join(sorted(FIELD_CODECS))}"
        elif row.codec != SUCCESS_FIELDS[row.canonical]:
            yield f"{key}.codec: {row.canonical} is written with {SUCCESS_FIELDS[row.canonical]!r}"
    for needed in ("access_token", "expires_in"):
        if needed not in {row.canonical for row in success.members if not row.optional}:
            yield f"wire.success.members: {needed} has no row, or an optional one"
    if success.envelope and success.envelope[0] in success.constant:
        yield f"wire.success.envelope: {success.envelope[0]!r} is a constant already"


def _error_faults(errors: ErrorsWire) -> Iterator[str]:
    yield from _repeated("wire.errors.rows", [reason for row in errors.rows for reason in row.reasons])
    codes = {row.error.code for row in REASONS.values()}
    for index, row in enumerate(errors.rows):
        key = f"wire.errors.rows[{index}]"
        for reason in row.reasons:
            if reason not in REASONS:
                yield f"{key}.reasons: unknown reason {reason!r}"
        if row.reads_as not in codes:
            yield f"{key}.reads_as: {row.reads_as!r} is not an OAuth error code"
        for name in set(errors.told_by) - row.body.keys():
            yield f"{key}.body: has no {name!r}, which wire.errors.told_by names"
        if row.describe and not errors.description:
            yield f"{key}.describe: wire.errors.description names no member"
    if "invalid_request" not in {reason for row in errors.rows for reason in row.reasons}:
        yield "wire.errors.rows: invalid_request has no row; it is where every other reason falls back to"
    yield from _lookalike_faults(errors)
    yield from _indistinguishable_faults(errors)


def _endpoint_error_faults(wire: Wire) -> Iterator[str]:
    if ("introspection" in wire.endpoints) != (wire.introspection is not None):
        yield "wire.introspection: an endpoint of introspection and its members go together"
    for name, rows in endpoint_rows(wire).items():
        for index, row in enumerate(rows):
            for reason in row.reasons:
                if reason not in REASONS:
                    yield f"wire.{name}.rows[{index}].reasons: unknown reason {reason!r}"
        if len({find_error_row(rows, reason) for reason in INDISTINGUISHABLE}) > 1:
            yield f"wire.{name}.rows: {', '.join(INDISTINGUISHABLE)} must share one row"


def endpoint_rows(wire: Wire) -> Mapping[str, tuple[ErrorRow, ...]]:
    """Return the error rows that endpoints have of their own, by endpoint."""
    introspection = wire.introspection.rows if wire.introspection else ()
    return {"introspection": introspection, "revocation": wire.revocation.rows, "resource": wire.resource.rows}


def _lookalike_faults(errors: ErrorsWire) -> Iterator[str]:
    seen: dict[tuple[int, str], str] = {}
    for index, row in enumerate(errors.rows):
        look = (row.status, msgspec.json.encode(errors.identity(row), order="sorted").decode())
        if seen.setdefault(look, row.reads_as) != row.reads_as:
            yield f"wire.errors.rows[{index}]: looks like an earlier row but reads back as another code"


def _indistinguishable_faults(errors: ErrorsWire) -> Iterator[str]:
    """Who asks must not learn whether a client exists. RFC: 6749 section 10.10."""
    rows = {find_error_row(errors.rows, reason) for reason in INDISTINGUISHABLE}
    if len(rows) > 1:
        yield f"wire.errors.rows: {', '.join(INDISTINGUISHABLE)} must share one row"


def find_error_row(rows: tuple[ErrorRow, ...], reason: str) -> int:
    """Return the index of the row for a reason: its own, else its code's, else invalid_request's, else -1."""
    for name in (reason, REASONS[reason].error.code, "invalid_request"):
        for index, row in enumerate(rows):
            if name in row.reasons:
                return index
    return -1


def _repeated(key: str, names: list[str]) -> Iterator[str]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{key}: {name!r} stands twice"
