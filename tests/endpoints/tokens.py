"""What is inside a token: verified with joserfc against the keys that the server publishes, or merely decoded."""

from __future__ import annotations

import base64
import json
import warnings
from typing import Any

from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import KeySet

from tests.endpoints.servers import Server

ALGORITHMS = ["RS256", "ES256", "EdDSA"]


def decode_part(token: str, part: int) -> Any:
    text = token.split(".")[part]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), object_pairs_hook=list)


def names_of(token: str, part: int) -> list[str]:
    """The members of a header (0) or payload (1), in their order."""
    return [name for name, _ in decode_part(token, part)]


def read_header(token: str) -> dict[str, Any]:
    return dict(decode_part(token, 0))


def read_claims(token: str) -> dict[str, Any]:
    """The claims, unverified."""
    return dict(decode_part(token, 1))


def verify(server: Server, token: str, jwks_path: str = "/oauth2/jwks", host: str = "127.0.0.1") -> dict[str, Any]:
    """Return the claims of a token whose signature holds under the published keys."""
    return verify_with(server.get(jwks_path, host).json, token)


def verify_with(jwks: Any, token: str) -> dict[str, Any]:
    with warnings.catch_warnings():
        # joserfc would rather see EdDSA called Ed25519 (RFC 9864).
        warnings.simplefilter("ignore", SecurityWarning)
        verified = jws.deserialize_compact(token, KeySet.import_key_set(jwks), algorithms=ALGORITHMS)
    claims: dict[str, Any] = json.loads(verified.payload)
    return claims
