"""The claims template against plain JSON: whatever a tenant or client chose comes out as it went in."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mintmark.dialects.catalogue import load_dialects
from mintmark.grants.policy import AccessGrant
from mintmark.grants.rules import ClaimRow, JwtForm, Rules, parse_rules
from mintmark.tokens.jwt_profile import Moment, mint_jwt
from mintmark.tokens.keys import SigningKey

RULES = {name: parse_rules(dialect.definition, name) for name, dialect in load_dialects().items()}
JTI = "00010203-0405-4607-8809-0a0b0c0d0e0f"
JTI_TEXT = "00010203-0405-4607-8809-0a0b0c0d0e0f"
KEY = SigningKey("a-kid", "ES256", lambda octets: b"signature of " + octets[:5])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30) | st.sampled_from(
    ["%", "%(issued_at)b", "%%", '"', "\\", "\0", "\0issued_at\0", "</script>", "é\u2028\U0001f511", "\\u0000jwt_id"]
)
TEXTS = st.lists(TEXT, min_size=1, max_size=3, unique=True).map(tuple)


def grant_of(
    rules: Rules, issuer: str = "https://id.example", client_id: str = "c", *, audience=("a",), scope=()
) -> AccessGrant:
    return AccessGrant("t", issuer, client_id, 1, 1, scope, audience, rules, rules.token)


def decode(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    header, payload, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
    return json.loads(header), json.loads(payload), signature


def plain_claims(form: JwtForm, grant: AccessGrant, now: int, lifetime_s: int) -> dict[str, Any]:
    """The claims, written the slow way."""
    values = {
        "issuer": grant.issuer,
        "client_id": grant.client_id,
        "audience": grant.audience[0] if len(grant.audience) == 1 else list(grant.audience),
        "scope": " ".join(grant.scope) or None,
        "scope_array": list(grant.scope) or None,
        "issued_at": now,
        "expires_at": now + lifetime_s,
        "jwt_id": JTI_TEXT,
    }
    claims = {row.claim: row.constant if row.value is None else values[row.value] for row in form.claims}
    return {name: value for name, value in claims.items() if value is not None}


@pytest.mark.rfc("7519", "7.1")
@pytest.mark.rfc("9068", "2.2")
@pytest.mark.parametrize("name", sorted(RULES))
@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    issuer=TEXT,
    client_id=TEXT,
    audience=TEXTS,
    scope=TEXTS | st.just(()),
    now=st.integers(0, 2**40),
    lifetime_s=st.integers(1, 2**30),
)
def test_any_issuer_client_audience_and_scope_survive(
    name: str,
    issuer: str,
    client_id: str,
    audience: tuple[str, ...],
    scope: tuple[str, ...],
    now: int,
    lifetime_s: int,
):
    rules = RULES[name]
    grant = grant_of(rules, issuer, client_id, audience=audience, scope=scope)

    header, claims, _ = decode(mint_jwt(grant, Moment(now, now + lifetime_s, JTI), KEY))

    expected = plain_claims(rules.jwt, grant, now, lifetime_s)
    assert claims == expected
    assert list(claims) == list(expected)
    assert list(header) == list(rules.jwt.header)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(claim=TEXT, constant=TEXT)
def test_any_claim_name_and_constant_of_a_dialect_file_survive(claim: str, constant: str):
    rows = (ClaimRow(claim="first", value="issued_at"), ClaimRow(claim=claim, constant=constant))
    form = JwtForm(header=("alg",), claims=rows)
    rules = msgspec.structs.replace(RULES["oauth2"], jwt=form)

    _, claims, _ = decode(mint_jwt(grant_of(rules), Moment(1, 2, JTI), KEY))

    assert claims == {"first": 1} | {claim: constant}


@pytest.mark.rfc("7515", "3.1")
@pytest.mark.rfc("7515", "5.1")
def test_the_signature_is_over_header_and_payload_as_sent():
    seen: list[bytes] = []

    def sign(octets: bytes) -> bytes:
        seen.append(octets)
        return b"\xfb\xff"

    token = mint_jwt(grant_of(RULES["oauth2"]), Moment(1, 2, JTI), SigningKey("kid", "ES256", sign))

    assert token == seen[0].decode() + ".-_8"
    assert "=" not in token


def test_two_kinds_of_moments_share_nothing():
    grant = grant_of(RULES["oauth2"], scope=("read",))
    first = decode(mint_jwt(grant, Moment(1, 11, JTI), KEY))[1]
    second = decode(mint_jwt(grant, Moment(2, 22, "another"), KEY))[1]

    assert (first["iat"], first["exp"], second["iat"], second["exp"]) == (1, 11, 2, 22)
    assert first["jti"] != second["jti"]


@pytest.mark.rfc("9068", "2.1")
def test_the_typ_of_the_token_rules_is_in_the_header():
    rules = RULES["oauth2"]
    grant = AccessGrant("t", "i", "c", 1, 1, (), ("a",), rules, msgspec.structs.replace(rules.token, typ='J"WT'))

    assert decode(mint_jwt(grant, Moment(1, 2, JTI), KEY))[0] == {"typ": 'J"WT', "alg": "ES256", "kid": "a-kid"}
