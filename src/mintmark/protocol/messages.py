"""The token request and the token response, in the RFC's own terms, whatever the dialect that carried them.

RFC: 6749 sections 2.3.1, 4.4.2, 5.1.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mintmark.protocol.secret import Secret

ClientAuthenticationMethod = Literal["client_secret_basic", "client_secret_post", "none"]
"""Names as registered for `token_endpoint_auth_method`. RFC: 7591 section 2."""


class ClientCredentials(msgspec.Struct, frozen=True, gc=False):
    """One set of client credentials, as seen in one place of a request."""

    method: ClientAuthenticationMethod
    client_id: str
    client_secret: Secret | None = None
    raw: ClientCredentials | None = None
    """A Basic header whose form-decoded text differs from the text as sent: the text as sent.

    Clients disagree whether to encode before Base64; both readings are one attempt. RFC: 6749 section 2.3.1.
    """


class TokenRequest(msgspec.Struct, frozen=True, gc=False):
    """What a token request says, decoded but not judged: absent is None, and all credentials seen are kept."""

    grant_type: str | None = None
    credentials: tuple[ClientCredentials, ...] = ()
    scope: str | None = None
    refresh_token: Secret | None = None
    tenant_identifier: str | None = None
    """The tenant's name inside the message, in dialects that carry one (Omada's `omadacId`)."""


class TokenResponse(msgspec.Struct, frozen=True, gc=False):
    """A successful answer. RFC: 6749 section 5.1."""

    access_token: Secret
    token_type: str
    expires_in: int
    """Seconds of life left, at the moment of the answer."""
    scope: str | None = None
    refresh_token: Secret | None = None
    id_token: Secret | None = None


class TokenInquiry(msgspec.Struct, frozen=True, gc=False):
    """What a client asks about a token, or wants done to it. RFC: 7662 section 2.1, RFC: 7009 section 2.1."""

    credentials: tuple[ClientCredentials, ...]
    token: Secret | None
    callback: str | None = None
    """A JSONP function name, where a system takes one."""


class Introspection(msgspec.Struct, frozen=True, gc=False):
    """What is said of a live token. RFC: 7662 section 2.2."""

    client_id: str
    scope: str
    audience: tuple[str, ...]
    issuer: str
    issued_at: int
    expires_at: int
    token_type: str
    is_jwt: bool
    jwt_id: str | None = None
