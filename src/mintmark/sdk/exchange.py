"""One exchange with a token endpoint as pure values: what to send, what the answer means. No I/O, no clock.

Both drivers, the blocking and the asynchronous one, share all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

import msgspec

from mintmark.dialects.codec import Dialect
from mintmark.protocol.errors import MintmarkError, OAuthError, SettingsError
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.protocol.messages import (
    ClientAuthenticationMethod,
    ClientCredentials,
    TokenRequest,
    TokenResponse,
)
from mintmark.protocol.secret import Secret

GRANT_TYPE = "client_credentials"


class TokenEndpointUnreachable(MintmarkError):
    """The token endpoint gave no answer at all. The text names the host and the cause, never a credential."""


class ClientCredentialsRequest(msgspec.Struct, frozen=True):
    """Who asks, and what for. RFC: 6749 section 4.4.2.

    Raises:
        SettingsError: a text is empty, or no UTF-8 can hold it; `client_secret` is not wrapped in `Secret`.
    """

    client_id: str
    client_secret: Secret
    scope: str | None = None
    """Space-separated scope-tokens; None: all that the client is registered for. RFC: 6749 section 3.3."""
    tenant_identifier: str | None = None
    """The tenant's name, in dialects whose messages carry one (Omada's `omadacId`)."""
    method: ClientAuthenticationMethod | None = None
    """None: the dialect's first choice."""

    def __post_init__(self) -> None:
        if not isinstance(self.client_secret, Secret):
            raise SettingsError("client_secret: wrap it in Secret(...), so that it shows in no log")
        _require_text("client_id", self.client_id)
        _require_text("client_secret", self.client_secret.reveal())
        for name in ("scope", "tenant_identifier"):
            if getattr(self, name) is not None:
                _require_text(name, getattr(self, name))


class OutgoingRequest(NamedTuple):
    """What a driver sends. Its `repr` shows neither headers nor body, nor a query."""

    method: str
    url: str
    headers: Mapping[bytes, bytes]
    body: bytes

    def __repr__(self) -> str:
        return f"OutgoingRequest({self.method} {self.url.partition('?')[0]})"


class TokenExchange:
    """Asks one token endpoint, for one client, in one dialect.

    Args:
        dialect: how the system spells request and answer.
        url: the token endpoint, or `scheme://host[:port][/prefix]`; then the dialect's token path is added.
            It counts as the endpoint when it has a query, or the same last segment as the dialect's path.
        request: who asks, and what for.

    Raises:
        SettingsError: the URL is not http(s), or carries credentials or a fragment; the dialect has no place
            for a part of the request, or needs one that is missing.
    RFC: 6749 sections 2.3.1, 3.2, 4.4.
    """

    def __init__(self, dialect: Dialect, url: str, request: ClientCredentialsRequest) -> None:
        endpoint = _parse_url(url)
        self.host = endpoint.netloc
        self.is_encrypted = endpoint.scheme == "https"
        self._dialect = dialect
        self._secret = request.client_secret
        try:
            encoded = dialect.encode_token_request(_make_token_request(dialect, request))
        except ValueError as error:
            raise SettingsError(str(error)) from None
        self._outgoing = OutgoingRequest(
            encoded.method, _complete_url(endpoint, encoded), encoded.headers, encoded.body
        )

    def __repr__(self) -> str:
        return f"TokenExchange({self._dialect.name}, {self._outgoing!r})"

    def encode(self) -> OutgoingRequest:
        """Return the request to send; it is the same each time."""
        return self._outgoing

    def decode(self, answer: HttpResponse) -> TokenResponse:
        """Read the answer.

        Raises:
            OAuthError: the server refused, in the subclass for the code; never retried here.
        RFC: 6749 sections 5.1, 5.2.
        """
        try:
            return self._dialect.decode_token_response(answer)
        except OAuthError as error:
            # A server that repeats what it was sent must not bring the secret into a log.
            if self._secret.encoded() in answer.body or self._secret.reveal() in error.server_description:
                error.server_description = ""
            raise

    def unreachable(self, cause: str) -> TokenEndpointUnreachable:
        """Return the error for an exchange that brought no answer."""
        return TokenEndpointUnreachable(f"{self.host}: no answer from the token endpoint: {cause}")

    def format_authorization(self, response: TokenResponse) -> str:
        """Return the `Authorization` header value by which APIs take the token. RFC: 6750 section 2.1."""
        presentation = self._dialect.definition.wire.presentation
        return presentation.replace("<token>", response.access_token.reveal())


def _require_text(name: str, text: str) -> None:
    try:
        octets = text.encode()
    except UnicodeEncodeError:
        octets = b""
    if not octets:
        raise SettingsError(f"{name}: must be a text of at least one character that UTF-8 can hold")


def _make_token_request(dialect: Dialect, request: ClientCredentialsRequest) -> TokenRequest:
    for row in dialect.definition.wire.request.parameters:
        if GRANT_TYPE in row.required_for and getattr(request, row.canonical, None) is None:
            raise SettingsError(f"{row.canonical}: the {dialect.name} dialect needs it")
    credentials = ClientCredentials(_choose_method(dialect, request.method), request.client_id, request.client_secret)
    return TokenRequest(GRANT_TYPE, (credentials,), request.scope, tenant_identifier=request.tenant_identifier)


def _choose_method(dialect: Dialect, wanted: ClientAuthenticationMethod | None) -> ClientAuthenticationMethod:
    """A dialect that names no method has one place for credentials, which is that of `client_secret_post`."""
    known = dialect.authentication_methods or ("client_secret_post",)
    if wanted is not None and wanted not in known:
        raise SettingsError(f"method: {wanted} is not one of the {dialect.name} dialect's: {', '.join(known)}")
    return "client_secret_basic" if (wanted or known[0]) == "client_secret_basic" else "client_secret_post"


def _parse_url(url: str) -> SplitResult:
    """Split and check the URL; the texts of the errors leave it out, since it may hold a password."""
    try:
        parts = urlsplit(url)
        is_addressed = parts.hostname is not None and parts.port != 0
    except ValueError:
        raise SettingsError("url: not a URL") from None
    if parts.scheme not in {"http", "https"} or not is_addressed:
        raise SettingsError("url: must be http:// or https://, with a host")
    if parts.username is not None or parts.password is not None:
        raise SettingsError("url: must not hold credentials")
    if parts.fragment:
        raise SettingsError("url: must have no fragment")
    return parts


def _complete_url(endpoint: SplitResult, encoded: HttpRequest) -> str:
    path = endpoint.path
    if not endpoint.query and path.rpartition("/")[2] != encoded.path.rpartition("/")[2]:
        path = path.rstrip("/") + encoded.path
    query = "&".join(part for part in (endpoint.query, encoded.query.decode()) if part)
    return endpoint._replace(path=path, query=query).geturl()
