"""The second token that OneAccess gives: a signed JWT whose claim `api` is encrypted to the tenant's own key.

RFC: 7516, 7519 section 11.2.
"""

from __future__ import annotations

from typing import Final

import msgspec
from joserfc import jwe

from mintmark.grants.policy import AccessGrant
from mintmark.grants.rules import IdTokenForm
from mintmark.tokens.jwt_profile import Moment, encode_header, sign_jwt, write_claims
from mintmark.tokens.keys import ENCRYPTION_ALG, EncryptionKey, SigningKey

HEADER: Final = ("kid", "typ", "alg")


def mint_id_token(
    form: IdTokenForm, grant: AccessGrant, moment: Moment, *, signing: SigningKey, encryption: EncryptionKey
) -> str:
    """Make the signed JWT; the granted scope-tokens, as a JSON array, are a compact JWE (`dir`, A256GCM) inside it."""
    claims = write_claims(form.claims, grant, moment)
    secret = msgspec.json.encode(grant.scope)
    header = {"alg": "dir", "enc": ENCRYPTION_ALG, "kid": encryption.kid}
    for row in form.claims:
        if row.value == "encrypted_scope":
            claims[row.claim] = jwe.encrypt_compact(header, secret, encryption.jwk)
    return sign_jwt(
        encode_header(HEADER, form.typ, signing.alg, signing.kid), msgspec.json.encode(claims), signing
    )
