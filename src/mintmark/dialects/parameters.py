"""Reading the parameters of a request: form, query, JSON object and Basic header, strictly, each name once.

RFC: 6749 sections 2.3.1, 3.2 and appendix B; RFC: 7617.
"""

from __future__ import annotations

import binascii
import json
import re
from typing import Any, Final
from urllib.parse import quote_plus, unquote_to_bytes

from mintmark.protocol.errors import InvalidClient, InvalidRequest
from mintmark.protocol.messages import ClientCredentials
from mintmark.protocol.secret import Secret

MAX_PARAMETERS: Final = 100
LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""JSON can escape half a character, which no UTF-8 text holds. RFC: 8259 section 8.2."""
REPEATABLE: Final = frozenset({"resource", "audience"})
"""Parameters that their own RFCs let repeat (RFC: 8707 section 2, RFC: 8693 section 2.1); ignored where unknown."""


def read_form(octets: bytes) -> dict[str, str]:
    """Read `application/x-www-form-urlencoded` text; parameters without a value count as absent.

    Raises:
        InvalidRequest: `repeated_parameter`, or `malformed_body` for bad UTF-8 or more than 100 parameters.
    RFC: 6749 section 3.2 and appendix B.
    """
    if octets.count(b"&") >= MAX_PARAMETERS:
        raise InvalidRequest("malformed_body", "too many parameters")
    text = _decode_utf8(octets)
    if "%" in text:
        split = [pair.partition("=") for pair in text.split("&")]
        pairs = [(decode_form_text(name), decode_form_text(value)) for name, _, value in split if value]
    else:
        split = [pair.partition("=") for pair in text.replace("+", " ").split("&")]
        pairs = [(name, value) for name, _, value in split if value]
    fields = dict(pairs)
    if len(fields) != len(pairs) and _are_repeated([name for name, _ in pairs]):
        raise InvalidRequest("repeated_parameter")
    return fields


def _are_repeated(names: list[str]) -> bool:
    once = [name for name in names if name not in REPEATABLE]
    return len(set(once)) != len(once)


def decode_form_text(text: str) -> str:
    """Undo form encoding of one name or value. Raises: InvalidRequest (`malformed_body`). RFC: 6749 appendix B."""
    return _decode_utf8(unquote_to_bytes(text.replace("+", " "))) if "%" in text else text.replace("+", " ")


def _decode_utf8(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("malformed_body", "not UTF-8") from error


def encode_form(fields: dict[str, str]) -> bytes:
    """Write form text. RFC: 6749 appendix B."""
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in fields.items()).encode()


def read_json(octets: bytes) -> dict[str, str]:
    """Read a JSON object's string members; null and empty ones count as absent, others that are no text are kept out.

    Raises:
        InvalidRequest: `malformed_body` (not one JSON object), `repeated_parameter` (a member twice).
    """
    try:
        text = octets.decode()
        members = json.loads(text, object_pairs_hook=_refuse_repeated, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("malformed_body", "not JSON") from error
    if not isinstance(members, dict):
        raise InvalidRequest("malformed_body", "not a JSON object")
    fields = {name: value for name, value in members.items() if isinstance(value, str) and value}
    if any(LONE_SURROGATE.search(value) for value in fields.values()):
        raise InvalidRequest("malformed_body", "not UTF-8")
    return fields


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidRequest("repeated_parameter")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def read_basic(header: bytes) -> ClientCredentials:
    """Read a Basic `Authorization` header: scheme of any case, strict Base64, UTF-8, both halves form-decoded.

    A header whose halves read otherwise when they are taken as sent keeps that reading as `raw`: clients in
    wide use send either. Where the form-decoded octets are not UTF-8, the text as sent is the only reading.

    Raises:
        InvalidClient: `malformed_authorization`.
    RFC: 6749 section 2.3.1, RFC: 7617 section 2.
    """
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic":
        raise InvalidClient("malformed_authorization", "not the Basic scheme")
    try:
        octets = binascii.a2b_base64(encoded.strip(b" "), strict_mode=True)
        client_id, colon, client_secret = octets.decode().partition(":")
        if not colon or not client_id:
            raise ValueError("no client_id and colon")
        raw = _basic_credentials(client_id, client_secret)
        if b"%" not in octets and b"+" not in octets:
            return raw
    except ValueError as error:
        raise InvalidClient("malformed_authorization", "not Base64 of UTF-8") from error
    try:
        return _basic_credentials(decode_form_text(client_id), decode_form_text(client_secret), raw)
    except InvalidRequest:
        return raw


def _basic_credentials(client_id: str, client_secret: str, raw: ClientCredentials | None = None) -> ClientCredentials:
    # A header that ends after the colon holds the empty secret, and that is a wrong one; it does not lack it.
    return ClientCredentials("client_secret_basic", client_id, Secret(client_secret), raw)


def write_basic(credentials: ClientCredentials) -> bytes:
    """Write a Basic `Authorization` header, both halves form-encoded. RFC: 6749 section 2.3.1."""
    secret = credentials.client_secret.reveal() if credentials.client_secret else ""
    text = f"{quote_plus(credentials.client_id)}:{quote_plus(secret)}"
    return b"Basic " + binascii.b2a_base64(text.encode(), newline=False)
