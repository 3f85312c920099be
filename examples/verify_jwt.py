"""What an API does with a JWT access token: finds the issuer's keys, verifies, and reads who is calling (RFC 9068).

Needs PyJWT (`pip install 'PyJWT[crypto]'`) and a token on standard input:

    export SECRET=demo-secret-not-for-production
    mintmark token http://127.0.0.1:8080 --client-id demo --client-secret-env SECRET | python examples/verify_jwt.py
"""

import json
import sys
import urllib.request

import jwt

ISSUER = "http://127.0.0.1:8080"
AUDIENCE = ISSUER  # what the tenant writes into `aud`, unless the client is registered with an audience of its own


def main() -> None:
    token = sys.stdin.read().strip()
    try:
        with urllib.request.urlopen(f"{ISSUER}/.well-known/oauth-authorization-server") as answer:  # noqa: S310 - http
            metadata = json.load(answer)
    except OSError as error:
        sys.exit(f"{ISSUER}: {error}")
    # An API makes this once: it keeps the keys, and asks again when a token names one that it has not seen.
    keys = jwt.PyJWKClient(metadata["jwks_uri"])
    try:
        verified = jwt.decode_complete(
            token,
            keys.get_signing_key_from_jwt(token),
            algorithms=["ES256", "RS256", "EdDSA"],
            issuer=ISSUER,
            audience=AUDIENCE,
            options={"require": ["iss", "aud", "exp", "iat", "jti", "sub", "client_id"]},
        )
    except jwt.PyJWTError as error:
        sys.exit(f"refused: {error}")
    if verified["header"]["typ"] != "at+jwt":
        sys.exit("refused: another kind of token")
    claims = verified["payload"]
    print(f"client {claims['client_id']} may: {claims['scope']}")


if __name__ == "__main__":
    main()
