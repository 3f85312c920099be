"""Requests about a token, spelt alike by every system: a form with `token`, and the client's credentials.

RFC: 7662 section 2.1, RFC: 7009 section 2.1.
"""

from __future__ import annotations

from typing import Final

from mintmark.dialects.parameters import read_basic, read_form
from mintmark.protocol.errors import InvalidRequest
from mintmark.protocol.http import HttpRequest
from mintmark.protocol.messages import ClientCredentials, TokenInquiry
from mintmark.protocol.secret import Secret

FORM: Final = b"application/x-www-form-urlencoded"
REFUSED_IN_QUERY: Final = ("token", "client_secret")


def decode_token_inquiry(request: HttpRequest) -> TokenInquiry:
    """Read an introspection or revocation request, strictly; the hint is ignored, since every kind is looked for.

    Raises:
        InvalidRequest: not a POST of a form, a repeated parameter, a token or secret in the URL.
        InvalidClient: `malformed_authorization`.
    """
    if request.method != "POST":
        raise InvalidRequest("method_not_allowed")
    query = read_form(request.query) if request.query else {}
    if any(name in query for name in REFUSED_IN_QUERY):
        raise InvalidRequest("credential_in_query")
    if request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != FORM:
        raise InvalidRequest("unsupported_content_type")
    fields = read_form(request.body)
    token = fields.get("token")
    return TokenInquiry(
        tuple(_read_credentials(request, fields)), Secret(token) if token else None, fields.get("callback")
    )


def _read_credentials(request: HttpRequest, fields: dict[str, str]) -> list[ClientCredentials]:
    found = []
    if (authorization := request.headers.get(b"authorization")) is not None:
        found.append(read_basic(authorization))
    client_id, client_secret = fields.get("client_id"), fields.get("client_secret")
    if client_secret is not None:
        found.append(ClientCredentials("client_secret_post", client_id or "", Secret(client_secret)))
    elif client_id is not None:
        found.append(ClientCredentials("none", client_id))
    return found
