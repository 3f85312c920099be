"""What a proven client may have, by the rules of its system, its tenant and its registration."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mintmark.authentication.authenticate import AuthenticatedClient
from mintmark.dialects.catalogue import load_dialects
from mintmark.grants.policy import AccessGrant, authorize_grant
from mintmark.grants.refresh_token import PresentedGrant
from mintmark.grants.rules import Rules, override_token_rules, parse_rules, tenant_rules
from mintmark.protocol.errors import InvalidRequest, InvalidScope, OAuthError, SettingsError, UnauthorizedClient
from mintmark.protocol.messages import TokenRequest
from mintmark.store.records import ClientRecord, TenantRecord

RULES = {name: parse_rules(dialect.definition, name) for name, dialect in load_dialects().items()}
STANDARD = RULES["oauth2"]
TENANT = TenantRecord(tenant_id="t", dialect="oauth2", issuer="https://id.example")


def grant(
    asked: str | None = None, grant_type: str | None = "client_credentials", rules: Rules = STANDARD, **client: Any
) -> AccessGrant:
    record = ClientRecord(**{"tenant_id": "t", "client_id": "c", "scope": ("read", "write"), **client})
    proof = AuthenticatedClient(TENANT, record, "client_secret_basic")
    return authorize_grant(proof, TokenRequest(grant_type, scope=asked), rules, PresentedGrant(1))


def with_rules(rules: Rules, **changes: Any) -> Rules:
    return msgspec.structs.replace(rules, **changes)


@pytest.mark.rfc("6749", "4.4.2")
@pytest.mark.parametrize(
    ("grant_type", "client", "reason"),
    [
        (None, {}, "missing_grant_type"),
        ("password", {}, "unsupported_grant_type"),
        ("refresh_token", {"grant_types": ("refresh_token",)}, "unsupported_grant_type"),
        ("client_credentials", {"grant_types": ()}, "unauthorized_client"),
        ("client_credentials", {"grant_types": ("authorization_code",)}, "unauthorized_client"),
    ],
)
def test_a_grant_must_exist_and_be_the_clients(grant_type: str | None, client: dict[str, Any], reason: str):
    with pytest.raises(OAuthError) as raised:
        grant(grant_type=grant_type, **client)
    assert raised.value.reason == reason
    assert isinstance(raised.value, InvalidRequest | UnauthorizedClient) or reason == "unsupported_grant_type"


def test_a_grant_that_a_dialect_names_but_the_program_lacks_is_unsupported():
    with pytest.raises(OAuthError, match="unsupported_grant_type"):
        grant(grant_type="urn:x", rules=with_rules(STANDARD, grant_types=("urn:x",)), grant_types=("urn:x",))


@pytest.mark.rfc("6749", "3.3")
@pytest.mark.parametrize(
    ("asked", "given"), [(None, ("read", "write")), ("write", ("write",)), ("write read write", ("write", "read"))]
)
def test_the_scope_is_what_was_asked_for_or_all_that_is_registered(asked: str | None, given: tuple[str, ...]):
    assert grant(asked).scope == given


@pytest.mark.rfc("6749", "3.3")
@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("admin", "scope_not_allowed"),
        ("read admin", "scope_not_allowed"),
        ("", "malformed_scope"),
        ("a  b", "malformed_scope"),
    ],
)
def test_the_standard_dialect_refuses_what_it_does_not_give(asked: str, reason: str):
    with pytest.raises(InvalidScope) as raised:
        grant(asked)
    assert raised.value.reason == reason


def test_a_system_may_drop_what_it_does_not_give_and_withhold_what_it_never_gives():
    wso2 = RULES["wso2"]

    assert grant("write openid admin read", rules=wso2, scope=("read", "write", "openid")).scope == ("write", "read")
    assert grant(rules=wso2).scope == ()


def test_a_scope_that_the_tenant_no_longer_has_is_not_given():
    rules = tenant_rules(STANDARD, {"scope": ["read"]}, "t")

    assert grant(rules=rules).scope == ("read",)
    with pytest.raises(InvalidScope):
        grant("write", rules=rules)


@pytest.mark.rfc("9068", "2.2")
@pytest.mark.rfc("9068", "3")
def test_an_audience_is_the_clients_else_the_tenants_else_the_systems():
    named = tenant_rules(STANDARD, {"audience": ["orders", "<client_id>"]}, "t")

    assert grant(audience=("mine",), rules=named).audience == ("mine",)
    assert grant(rules=named).audience == ("orders", "c")
    assert grant().audience == ("https://id.example",)
    assert grant(rules=RULES["ciam"]).audience == ("c",)


def test_token_rules_are_the_systems_then_the_tenants_then_the_clients():
    rules = tenant_rules(STANDARD, {"lifetime_s": 60, "typ": "JWT"}, "t")
    token = grant(rules=rules, token_rules={"lifetime_s": 5}).token

    assert (token.lifetime_s, token.typ, token.alg) == (5, "JWT", "ES256")


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"lifetime_s": 0}, "lifetime_s: must be from 1"),
        ({"lifetime_s": "60"}, "lifetime_s: "),
        ({"lifetime_s": True}, "lifetime_s: "),
        ({"alg": "none"}, "alg: Invalid enum value 'none'; one of ES256, ES384, EdDSA, ML-DSA-65, PS256, RS256"),
        ({"alg": "HS256"}, "alg: "),
        ({"form": "paper"}, "form: Invalid enum value 'paper'; one of jwt, opaque$"),
        ({"audience": []}, "audience: must not be empty"),
        ({"audience": [""]}, "audience: must not be empty"),
        ({"scope": ["a b"]}, "no scope-token"),
        ({"renew_per_request": "yes"}, "renew_per_request: "),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_token_rule_is_refused_with_its_origin_and_key(overrides: dict[str, Any], text: str):
    with pytest.raises(SettingsError, match=text) as raised:
        override_token_rules(STANDARD.token, overrides, "tenant acme")
    assert "tenant acme" in str(raised.value)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("scope_absent", "all", r"rules.scope_absent: Invalid enum value 'all'; one of none, registered$"),
        (
            "tokens_die_on",
            ["age"],
            r"rules.tokens_die_on\[0\]: .*; one of client_changed, client_modified, msp_mode_changed, secret_reset$",
        ),
        ("refresh_token", {"alphabet": "runes"}, "rules.refresh_token.alphabet: .*; one of alphanumeric"),
    ],
)
def test_a_value_that_is_not_of_a_closed_list_is_refused_with_the_list(key: str, value: Any, text: str):
    definition = load_dialects()["wso2"].definition
    wrong = msgspec.structs.replace(definition, rules={**definition.rules, key: value})
    with pytest.raises(SettingsError, match=text):
        parse_rules(wrong, "own.toml")


@pytest.mark.rfc("9068", "2.1")
@pytest.mark.rfc("8725", "3.2")
@pytest.mark.parametrize("name", sorted(RULES))
def test_no_system_signs_with_none_or_a_shared_secret(name: str):
    assert RULES[name].token.alg in {"RS256", "ES256", "EdDSA"}


@pytest.mark.rfc("6749", "10.10")
@pytest.mark.parametrize("name", sorted(RULES))
def test_every_systems_opaque_tokens_have_128_random_bits(name: str):
    bits = {"hex": 4, "alphanumeric": 5.95, "base64url": 6, "uuid": 128 / 36}
    forms = [form for form in (RULES[name].opaque, RULES[name].refresh_token) if form]

    assert all(form.length * bits[form.alphabet] >= 128 for form in forms)


@pytest.mark.rfc("6749", "4.4.3")
def test_only_omada_gives_refresh_tokens():
    assert [name for name, rules in RULES.items() if rules.refresh_token] == ["omada"]
