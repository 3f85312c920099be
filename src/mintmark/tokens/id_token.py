"""The second token that OneAccess gives: a signed JWT whose claim `api` is encrypted to the tenant's own key.

RFC: 7516, 7519 section 11.2.
"""

from __future__ import annotations

import msgspec
from joserfc import jwe

from mintmark.grants.policy import AccessGrant
from mintmark.grants.rules import IdTokenForm
from mintmark.tokens.jwt_profile import Moment, sign_jwt, write_payload
from mintmark.tokens.keys import ENCRYPTION_ALG, EncryptionKey, SigningKey


def mint_id_token(
    form: IdTokenForm, grant: AccessGrant, moment: Moment, *, signing: SigningKey, encryption: EncryptionKey
) -> str:
    """Make the signed JWT; the granted scope-tokens, a JSON array, are a compact JWE (`dir`, A256GCM) inside it."""
    header = {"alg": "dir", "enc": ENCRYPTION_ALG, "kid": encryption.kid}
    encrypted = jwe.encrypt_compact(header, msgspec.json.encode(grant.scope), encryption.jwk)
    payload = write_payload(form, grant, moment, encrypted_scope=b'"%b"' % encrypted.encode())
    return sign_jwt(form, form.typ, payload, signing)
