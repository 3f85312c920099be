r"""Every error that a caller may see, as one tree.

    MintmarkError                      whatever this program raises on purpose
    ├── OAuthError                     leaves through the dialect that came in
    │   ├── InvalidRequest             invalid_request             RFC 6749 section 5.2
    │   ├── InvalidClient              invalid_client              RFC 6749 section 5.2
    │   ├── InvalidGrant               invalid_grant               RFC 6749 section 5.2
    │   ├── UnauthorizedClient         unauthorized_client         RFC 6749 section 5.2
    │   ├── UnsupportedGrantType       unsupported_grant_type      RFC 6749 section 5.2
    │   ├── InvalidScope               invalid_scope               RFC 6749 section 5.2
    │   ├── InvalidToken               invalid_token               RFC 6750 section 3.1
    │   ├── InsufficientScope          insufficient_scope          RFC 6750 section 3.1
    │   ├── UnsupportedResponseType    unsupported_response_type   RFC 6749 section 4.1.2.1
    │   ├── ServerError                server_error                RFC 6749 section 4.1.2.1
    │   └── TemporarilyUnavailable     temporarily_unavailable     RFC 6749 section 4.1.2.1
    ├── StoreError                     the database: unavailable, conflicting, from another release
    └── SettingsError                  a bad setting or dialect file: stops the start, names file and key

Three texts are kept apart: `error` and `description` go on the wire and never echo input; `detail` goes to the log.
"""

from __future__ import annotations

from typing import ClassVar, Final, NamedTuple


class MintmarkError(Exception):
    """Whatever this program raises on purpose."""


class SettingsError(MintmarkError):
    """A setting, a file or a dialect definition is wrong. The text names the file and the key, and says what to do."""


class StoreError(MintmarkError):
    """The database could not do what was asked."""


class StoreUnavailable(StoreError):
    """The database is gone, full, locked or too slow. Nothing was written, unless it went in the moment of a commit."""


class AlreadyExists(StoreError):
    """A record with this key is there already."""


class NotFound(StoreError):
    """There is no record with this key."""


class StaleVersion(StoreError):
    """The record is of another version than the one that the change was made for: somebody else changed it."""


class OAuthError(MintmarkError):
    """A refusal in the terms of OAuth.

    Args:
        reason: one of `REASONS` whose error code is this class's; finer than the code, for dialects that tell more.
        detail: for the log alone; never a secret or a token.
    """

    code: ClassVar[str] = ""
    correlation_id = ""
    """The id under which the log knows of it, and the caller is told; given when it is logged."""
    server_description: str = ""
    """To the SDK alone: what another server said, of the characters of RFC 6749 section 5.2 and of bounded length."""

    def __init__(self, reason: str, detail: str = "") -> None:
        if REASONS[reason].error is not type(self):
            raise TypeError(f"{reason} is not a reason of {type(self).__name__}")
        super().__init__(reason)
        self.reason = reason
        self.detail = detail

    @property
    def description(self) -> str:
        """A safe sentence for `error_description`: constant, of the characters of RFC 6749 section 5.2."""
        return REASONS[self.reason].description


class InvalidRequest(OAuthError):
    """The request lacks something, repeats something or is malformed. RFC: 6749 section 5.2."""

    code = "invalid_request"


class InvalidClient(OAuthError):
    """Client authentication failed. RFC: 6749 section 5.2."""

    code = "invalid_client"


class InvalidGrant(OAuthError):
    """The refresh token or other grant is invalid, expired, revoked or another client's. RFC: 6749 section 5.2."""

    code = "invalid_grant"


class UnauthorizedClient(OAuthError):
    """This client may not use this grant type. RFC: 6749 section 5.2."""

    code = "unauthorized_client"


class UnsupportedGrantType(OAuthError):
    """The server does not know this grant type. RFC: 6749 section 5.2."""

    code = "unsupported_grant_type"


class InvalidScope(OAuthError):
    """The scope is unknown, malformed or more than the client may have. RFC: 6749 section 5.2."""

    code = "invalid_scope"


class InvalidToken(OAuthError):
    """The token shown is expired, revoked, malformed or not ours. RFC: 6750 section 3.1."""

    code = "invalid_token"


class InsufficientScope(OAuthError):
    """The token shown has less scope than the resource asks for. RFC: 6750 section 3.1."""

    code = "insufficient_scope"


class UnsupportedResponseType(OAuthError):
    """The authorization endpoint answers nothing else: there is no code grant here. RFC: 6749 section 4.1.2.1."""

    code = "unsupported_response_type"


class ServerError(OAuthError):
    """A fault of ours. The cause is logged under a correlation id and never sent."""

    code = "server_error"


class TemporarilyUnavailable(OAuthError):
    """Try again later: the store is away, or there were too many attempts."""

    code = "temporarily_unavailable"


class ReasonRow(NamedTuple):
    """One row of the closed list of reasons."""

    error: type[OAuthError]
    description: str
    status: int = 400
    """The status of the standard dialect; other dialects name their own."""


CREDENTIALS_REFUSED: Final = "Client authentication failed."

REASONS: Final[dict[str, ReasonRow]] = {
    "invalid_request": ReasonRow(InvalidRequest, "The request is malformed."),
    "method_not_allowed": ReasonRow(InvalidRequest, "This endpoint takes POST requests only.", 405),
    "unsupported_content_type": ReasonRow(InvalidRequest, "The content type of the request is not supported."),
    "malformed_body": ReasonRow(InvalidRequest, "The request body is malformed."),
    "body_too_large": ReasonRow(InvalidRequest, "The request body is too large.", 413),
    "repeated_parameter": ReasonRow(InvalidRequest, "A parameter is repeated."),
    "credential_in_query": ReasonRow(InvalidRequest, "A credential must not be sent in the URL."),
    "missing_grant_type": ReasonRow(InvalidRequest, "The parameter grant_type is missing."),
    "missing_parameter": ReasonRow(InvalidRequest, "A required parameter is missing."),
    "two_credentials": ReasonRow(InvalidRequest, "More than one client authentication method was used."),
    "unknown_tenant": ReasonRow(InvalidRequest, "The tenant is unknown."),
    "unknown_path": ReasonRow(InvalidRequest, "There is nothing at this path.", 404),
    "tls_required": ReasonRow(InvalidRequest, "This server is to be reached over TLS only.", 403),
    "invalid_client": ReasonRow(InvalidClient, CREDENTIALS_REFUSED, 401),
    "missing_credentials": ReasonRow(InvalidClient, "No client credentials were sent.", 401),
    "missing_secret": ReasonRow(InvalidClient, "No client secret was sent.", 401),
    "malformed_authorization": ReasonRow(InvalidClient, "The Authorization header is malformed.", 401),
    "unknown_client": ReasonRow(InvalidClient, CREDENTIALS_REFUSED, 401),
    "wrong_secret": ReasonRow(InvalidClient, CREDENTIALS_REFUSED, 401),
    "disabled_client": ReasonRow(InvalidClient, CREDENTIALS_REFUSED, 401),
    "method_not_registered": ReasonRow(
        InvalidClient, "The client is not registered for this authentication method.", 401
    ),
    "invalid_grant": ReasonRow(InvalidGrant, "The grant is invalid or has expired."),
    "unknown_refresh_token": ReasonRow(InvalidGrant, "The refresh token is invalid, expired or already used."),
    "expired_refresh_token": ReasonRow(InvalidGrant, "The refresh token is invalid, expired or already used."),
    "used_refresh_token": ReasonRow(InvalidGrant, "The refresh token is invalid, expired or already used."),
    "missing_token": ReasonRow(InvalidRequest, "The parameter token is missing."),
    "token_of_another_client": ReasonRow(UnauthorizedClient, "The token is not this client's."),
    "no_token_shown": ReasonRow(InvalidToken, "No access token was shown.", 401),
    "invalid_token": ReasonRow(InvalidToken, "The access token is invalid, expired or revoked.", 401),
    "expired_token": ReasonRow(InvalidToken, "The access token is invalid, expired or revoked.", 401),
    "insufficient_scope": ReasonRow(InsufficientScope, "The access token has less scope than is needed.", 403),
    "unauthorized_client": ReasonRow(UnauthorizedClient, "The client may not use this grant type."),
    "unsupported_grant_type": ReasonRow(UnsupportedGrantType, "The grant type is not supported."),
    "invalid_scope": ReasonRow(InvalidScope, "The requested scope is invalid."),
    "malformed_scope": ReasonRow(InvalidScope, "The requested scope is malformed."),
    "scope_not_allowed": ReasonRow(InvalidScope, "The requested scope is unknown or exceeds the client's."),
    "unsupported_response_type": ReasonRow(UnsupportedResponseType, "This server has no authorization endpoint grant."),
    "server_error": ReasonRow(ServerError, "The server met an unexpected condition.", 500),
    "temporarily_unavailable": ReasonRow(TemporarilyUnavailable, "The server is not available, try later.", 503),
    "overloaded": ReasonRow(TemporarilyUnavailable, "The server is not available, try later.", 503),
    "too_many_attempts": ReasonRow(TemporarilyUnavailable, "Too many failed attempts, try again later.", 429),
}
"""The closed list. A dialect's error rows are keyed by these; a reason without a row falls back to its code's."""
