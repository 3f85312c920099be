"""The `[rules]` table of a dialect file: what a system does, apart from how it spells. Strictly checked.

The token rules are the dialect's, then what the tenant says otherwise, then what the client says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from mintmark.authentication.secrets import ClientIdForm, SecretForm
from mintmark.dialects.definition import DialectDefinition
from mintmark.dialects.validation import describe_validation_error
from mintmark.protocol.errors import SettingsError
from mintmark.protocol.scope import is_scope_token

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA", "ML-DSA-65"]
TokenForm = Literal["jwt", "opaque"]
Alphabet = Literal["hex", "alphanumeric", "base64url", "uuid"]
ClaimValue = Literal[
    "issuer",
    "client_id",
    "audience",
    "scope",
    "scope_array",
    "issued_at",
    "expires_at",
    "jwt_id",
    "encrypted_scope",
]
Event = Literal["secret_reset", "client_changed", "client_modified", "msp_mode_changed"]
"""`client_changed`: what a client may have; `client_modified`: whatever of it, its name too."""
HeaderName = Literal["typ", "alg", "kid"]

MAX_LIFETIME_S = 10 * 365 * 86_400
MAX_LIVE_SECRETS = 5
MAX_SKEW_S = 600
MIN_TOKEN_BITS = 128
BITS_A_CHARACTER: Mapping[Alphabet, float] = {
    "hex": 4,
    "alphanumeric": 5.95,
    "base64url": 6,
    "uuid": 128 / 36,
}
ISSUER = "<issuer>"
CLIENT_ID = "<client_id>"


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class TokenRules(_Table, frozen=True, kw_only=True):
    """What kind of token is minted. A tenant and a client may say otherwise, key by key."""

    form: TokenForm
    lifetime_s: int
    alg: Algorithm = "ES256"
    typ: str = "at+jwt"
    audience: tuple[str, ...] = (ISSUER,)
    """`<issuer>` and `<client_id>` stand for themselves; a registered client's own audience comes before this."""
    scope: tuple[str, ...] | None = None
    """The scope-tokens that exist in the tenant; None: whatever clients are registered with."""
    reuse: bool = False
    """One live token for a client, scope and audience: an opaque one is handed out again, a JWT is renewed."""
    reuse_remainder_s: int = 1
    """A token with this many seconds to live, or fewer, is not handed out again."""
    renew_per_request: bool = False
    """One live token, too, but each request gets a new one, which ends the one before. Goes before `reuse`."""
    renew_without_revoking: bool = False
    """A JWT is renewed without ending the one before: what `reuse` and `renew_per_request` say is not for JWTs."""

    @property
    def is_handed_out_again(self) -> bool:
        """A JWT never is: no copy of it is kept."""
        return self.reuse and self.form == "opaque" and not self.renew_per_request

    @property
    def is_renewed(self) -> bool:
        """A new token ends the one before it of the same client, scope and audience."""
        if self.form == "opaque":
            return self.renew_per_request
        return (self.reuse or self.renew_per_request) and not self.renew_without_revoking


class OpaqueForm(_Table, frozen=True, kw_only=True):
    """How an opaque token looks: a prefix and `length` characters of an alphabet."""

    alphabet: Alphabet
    length: int
    prefix: str = ""


class RefreshTokenForm(OpaqueForm, frozen=True, kw_only=True):
    """A refresh token goes with each access token."""

    lifetime_s: int
    reuse_leeway_s: int = 2
    """Uses this close together are parallel calls of one client; a later second use is a theft."""


class ClaimRow(_Table, frozen=True, kw_only=True):
    """One claim of a JWT: a value of the closed list, or a constant text."""

    claim: str
    value: ClaimValue | None = None
    constant: str | None = None


class JwtForm(_Table, frozen=True, kw_only=True, eq=False):
    """The members of a JWT access token, in order. Equal only to itself, so that it is a cheap key of a cache."""

    header: tuple[HeaderName, ...]
    claims: tuple[ClaimRow, ...]
    escape_slash: bool = False
    """Write `/` as `\\/`, as some JSON libraries do."""


class IdTokenForm(JwtForm, frozen=True, kw_only=True, eq=False):
    """A second, signed token beside the access token."""

    typ: str = "JWT"


class SecretRules(_Table, frozen=True, kw_only=True):
    """How a client's secrets live beside each other."""

    max_live: int = 5
    """Secrets that a client may have at once; expired ones do not count."""
    overlap: bool = True
    """Rotated secrets may go on beside the new one for a while; else it takes their place at once."""
    newest_stays: bool = False
    """The newest secret cannot be removed."""
    expiry_skew_s: int = 0
    """Seconds for which an expired secret still authenticates: other clocks may be late."""


class Rules(_Table, frozen=True, kw_only=True):
    """All that a system does."""

    grant_types: tuple[str, ...]
    scope_absent: Literal["registered", "none"]
    """What a request without `scope` gets: all of the client's, or none. RFC: 6749 section 3.3."""
    scope_not_allowed: Literal["refuse", "drop"]
    scope_withheld: tuple[str, ...] = ()
    """Scope-tokens that this grant never gives."""
    token_type: str
    expires_in_less_s: int = 0
    """What the answer's `expires_in` is below the token's life."""
    client_id_form: ClientIdForm
    client_secret_form: SecretForm
    tokens_die_on: tuple[Event, ...] = ("client_changed",)
    """What ends every token of a client at once, beside its suspension and removal."""
    secrets: SecretRules = SecretRules()
    token: TokenRules
    opaque: OpaqueForm
    jwt: JwtForm
    refresh_token: RefreshTokenForm | None = None
    id_token: IdTokenForm | None = None


def parse_rules(definition: DialectDefinition, origin: str) -> Rules:
    """Check a dialect's rules. Raises: SettingsError, naming the file (`origin`) and each key that is wrong."""
    try:
        rules = msgspec.convert(definition.rules, Rules)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{origin}: rules.{describe_validation_error(error, Rules)}") from error
    faults = [*_form_faults("opaque", rules.opaque), *_claim_faults("jwt", rules.jwt.claims)]
    if rules.refresh_token:
        faults += _form_faults("refresh_token", rules.refresh_token)
    if rules.id_token:
        faults += _claim_faults("id_token", rules.id_token.claims)
    faults += [f"secrets.{fault}" for fault in _secret_faults(rules.secrets)]
    faults += [f"token.{fault}" for fault in _token_faults(rules.token)]
    faults += [f"token.{fault}" for fault in _companion_faults(rules)]
    if faults:
        raise SettingsError("\n".join(f"{origin}: rules.{fault}" for fault in faults))
    return rules


def override_token_rules(base: TokenRules, overrides: Mapping[str, Any], origin: str) -> TokenRules:
    """Return the token rules with some keys said otherwise. Raises: SettingsError, naming `origin` and key."""
    if not overrides:
        return base
    try:
        rules = msgspec.convert({**msgspec.to_builtins(base), **overrides}, TokenRules)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{origin}: token rule {describe_validation_error(error, TokenRules)}") from error
    if faults := _token_faults(rules):
        raise SettingsError("\n".join(f"{origin}: token rule {fault}" for fault in faults))
    return rules


def tenant_rules(rules: Rules, overrides: Mapping[str, Any], tenant_id: str) -> Rules:
    """Return a dialect's rules as one tenant has them. Raises: SettingsError, naming tenant and key."""
    return _override(rules, overrides, f"tenant {tenant_id}")


def client_rules(rules: Rules, overrides: Mapping[str, Any], client_id: str) -> Rules:
    """Return a tenant's rules as one client has them. Raises: SettingsError, naming client and key."""
    return _override(rules, overrides, f"client {client_id}") if overrides else rules


def _override(rules: Rules, overrides: Mapping[str, Any], origin: str) -> Rules:
    own = msgspec.structs.replace(rules, token=override_token_rules(rules.token, overrides, origin))
    if faults := _companion_faults(own):
        raise SettingsError("\n".join(f"{origin}: token rule {fault}" for fault in faults))
    return own


def _companion_faults(rules: Rules) -> list[str]:
    """A token that comes with others is of a form that goes with them."""
    faults = []
    if rules.token.reuse and (rules.refresh_token or rules.id_token):
        faults.append("reuse: not where a refresh token or an id_token goes with the token: neither is kept")
    if rules.token.renew_per_request and rules.refresh_token:
        faults.append("renew_per_request: not where a refresh token goes with the token: that renews by itself")
    if rules.token.form == "jwt" and rules.refresh_token:
        faults.append("form: not jwt where a refresh token goes with the token: the two must die together")
    if rules.id_token and rules.id_token.typ == rules.token.typ:
        faults.append("typ: the id_token's own, and so neither could be told from the other")
    return faults


def _secret_faults(rules: SecretRules) -> list[str]:
    faults = []
    if not 1 <= rules.max_live <= MAX_LIVE_SECRETS:
        faults.append(f"max_live: must be from 1 to {MAX_LIVE_SECRETS}")
    if rules.overlap and rules.max_live == 1:
        faults.append("overlap: needs a max_live of 2 or more")
    if not 0 <= rules.expiry_skew_s <= MAX_SKEW_S:
        faults.append(f"expiry_skew_s: must be from 0 to {MAX_SKEW_S} seconds")
    return faults


def _token_faults(rules: TokenRules) -> list[str]:
    faults = []
    if not 1 <= rules.lifetime_s <= MAX_LIFETIME_S:
        faults.append(f"lifetime_s: must be from 1 to {MAX_LIFETIME_S} seconds")
    if not rules.audience or not all(rules.audience):
        faults.append("audience: must not be empty (RFC 9068 section 2.2)")
    if any(" " in name or not name.isprintable() for name in rules.audience):
        faults.append("audience: wanted are names or URIs without spaces")
    if any(not is_scope_token(token) for token in rules.scope or ()):
        faults.append("scope: holds what is no scope-token (RFC 6749 section 3.3)")
    if not 0 <= rules.reuse_remainder_s <= MAX_LIFETIME_S:
        faults.append(f"reuse_remainder_s: must be from 0 to {MAX_LIFETIME_S} seconds")
    return faults


def _form_faults(key: str, form: OpaqueForm) -> list[str]:
    bits = form.length * BITS_A_CHARACTER[form.alphabet]
    if form.alphabet == "uuid" and form.length != 36:
        return [f"{key}.length: a UUID has 36 characters"]
    if bits < MIN_TOKEN_BITS:
        return [f"{key}.length: {bits:.0f} random bits, at least {MIN_TOKEN_BITS} are needed (RFC 6749 section 10.10)"]
    return []


def _claim_faults(key: str, claims: tuple[ClaimRow, ...]) -> list[str]:
    names = [row.claim for row in claims]
    faults = [f"{key}.claims: {name!r} stands twice" for name in sorted(set(names)) if names.count(name) > 1]
    faults += [
        f"{key}.claims[{index}]: needs either value or constant"
        for index, row in enumerate(claims)
        if (row.value is None) == (row.constant is None)
    ]
    if key != "id_token" and any(row.value == "encrypted_scope" for row in claims):
        faults.append(f"{key}.claims: encrypted_scope is for an id_token")
    return faults
