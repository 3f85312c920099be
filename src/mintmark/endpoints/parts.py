"""What the endpoints stand on, and how they are made of it: once, or once more where requests are traced."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from mintmark.authentication.authenticate import Authenticator
from mintmark.authentication.keyed_hash import KeyedHash
from mintmark.endpoints.authorization import AuthorizationEndpoint
from mintmark.endpoints.check import CheckEndpoint
from mintmark.endpoints.introspection import IntrospectionEndpoint
from mintmark.endpoints.jwks import JwksEndpoint
from mintmark.endpoints.metadata import MetadataEndpoint, ResourceMetadataEndpoint
from mintmark.endpoints.outcome import Outcomes
from mintmark.endpoints.protection import Protection
from mintmark.endpoints.revocation import RevocationEndpoint
from mintmark.endpoints.route import Endpoint
from mintmark.endpoints.token import TokenEndpoint
from mintmark.tokens.keys import KeyRing
from mintmark.tokens.ledger import TokenLedger
from mintmark.tokens.verification import TokenVerifier


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What all endpoints share."""

    authenticator: Authenticator
    verifier: TokenVerifier
    ledger: TokenLedger
    keys: KeyRing
    outcomes: Outcomes
    keyed_hash: KeyedHash
    clock: Callable[[], float]


def make_token_endpoint(parts: Parts) -> TokenEndpoint:
    """Make the token endpoint."""
    return TokenEndpoint(
        parts.authenticator,
        parts.keys,
        parts.ledger,
        parts.outcomes,
        keyed_hash=parts.keyed_hash,
        clock=parts.clock,
    )


def make_introspection_endpoint(parts: Parts) -> IntrospectionEndpoint:
    """Make the introspection endpoint."""
    return IntrospectionEndpoint(parts.authenticator, parts.verifier, parts.keys, parts.outcomes, clock=parts.clock)


def make_revocation_endpoint(parts: Parts) -> RevocationEndpoint:
    """Make the revocation endpoint."""
    return RevocationEndpoint(parts.authenticator, parts.verifier, parts.ledger, parts.outcomes)


def make_endpoints(parts: Parts) -> dict[str, Endpoint]:
    """Make every endpoint, by the name that a dialect's file and the router call it."""
    return {
        "token": make_token_endpoint(parts),
        "introspection": make_introspection_endpoint(parts),
        "revocation": make_revocation_endpoint(parts),
        "check": CheckEndpoint(Protection(parts.verifier), parts.outcomes),
        "jwks": JwksEndpoint(parts.keys),
        "metadata": MetadataEndpoint(),
        "resource_metadata": ResourceMetadataEndpoint(),
        "authorization": AuthorizationEndpoint(parts.outcomes),
    }
