"""Token verifiers that nobody here wrote: PyJWT and joserfc, with the keys that the server publishes."""

from __future__ import annotations

import time
from typing import Any

import httpx
import jwt
import pytest
from joserfc import jwt as jose_jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet

from tests.foreign.conftest import CLIENT_ID, SECRET, TENANTS, ForeignServer

pytestmark = pytest.mark.foreign

JWT_TENANTS = {
    "es256": ("ES256", "at+jwt"),
    "rs256": ("RS256", "at+jwt"),
    "eddsa": ("EdDSA", "at+jwt"),
    "ciam": ("RS256", "JWT"),
    "wso2": ("ES256", "at+jwt"),
    "oneaccess": ("EdDSA", "at+jwt"),
}
STANDARD = ["es256", "rs256", "eddsa"]


def get_answer(server: ForeignServer, tenant: str) -> Any:
    data = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": SECRET}
    answer = httpx.post(server.token_endpoint(tenant), data=data)
    assert answer.status_code == 200
    return answer.json()


def get_metadata(server: ForeignServer, tenant: str) -> Any:
    return httpx.get(f"{server.issuer(tenant)}/.well-known/openid-configuration").json()


def audience_of(server: ForeignServer, tenant: str) -> str:
    return CLIENT_ID if TENANTS[tenant][0] in {"ciam", "wso2", "oneaccess"} else server.issuer(tenant)


def verify_by_pyjwt(server: ForeignServer, tenant: str, token: str, **wanted: Any) -> dict[str, Any]:
    metadata = get_metadata(server, tenant)
    key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(token)
    wanted = {"audience": audience_of(server, tenant), "issuer": metadata["issuer"], **wanted}
    return jwt.decode(token, key, algorithms=[JWT_TENANTS[tenant][0]], options={"require": ["exp", "iat"]}, **wanted)


@pytest.mark.parametrize("tenant", JWT_TENANTS)
@pytest.mark.rfc("7517", "5")
def test_pyjwt_verifies_by_jwks_uri(foreign_server: ForeignServer, tenant):
    token = get_answer(foreign_server, tenant)["access_token"]
    claims = verify_by_pyjwt(foreign_server, tenant, token)
    assert claims["sub"] == CLIENT_ID
    assert claims["iss"] == foreign_server.issuer(tenant)
    assert jwt.get_unverified_header(token)["typ"] == JWT_TENANTS[tenant][1]


@pytest.mark.parametrize("tenant", JWT_TENANTS)
@pytest.mark.rfc("7519", "7.2")
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # its new name, Ed25519 (RFC 9864), is not widely known yet
def test_joserfc_verifies_by_jwks_uri(foreign_server: ForeignServer, tenant):
    token = get_answer(foreign_server, tenant)["access_token"]
    keys = KeySet.import_key_set(httpx.get(get_metadata(foreign_server, tenant)["jwks_uri"]).json())
    algorithms = [JWT_TENANTS[tenant][0]]
    verified = jose_jwt.decode(token, keys, algorithms=algorithms)
    registry = jose_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": foreign_server.issuer(tenant)},
        aud={"essential": True, "value": audience_of(foreign_server, tenant)},
        exp={"essential": True},
    )
    registry.validate(verified.claims)
    with pytest.raises(BadSignatureError):
        jose_jwt.decode(swap_signature(token, get_answer(foreign_server, tenant)["access_token"]), keys, algorithms)


def swap_signature(token: str, other: str) -> str:
    return token.rpartition(".")[0] + "." + other.rpartition(".")[2]


@pytest.mark.parametrize("tenant", STANDARD)
@pytest.mark.rfc("9068", "2.1")
@pytest.mark.rfc("9068", "2.2")
def test_a_jwt_access_token_has_what_its_profile_demands(foreign_server: ForeignServer, tenant):
    answer = get_answer(foreign_server, tenant)
    header = jwt.get_unverified_header(answer["access_token"])
    assert header["typ"] == "at+jwt"
    assert header["alg"] == JWT_TENANTS[tenant][0]
    claims = verify_by_pyjwt(foreign_server, tenant, answer["access_token"])
    assert {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} <= claims.keys()
    assert claims["client_id"] == claims["sub"] == CLIENT_ID
    assert claims["exp"] - claims["iat"] == answer["expires_in"]
    assert abs(claims["iat"] - time.time()) < 60
    assert claims["scope"] == answer["scope"]


@pytest.mark.rfc("9068", "4")
def test_another_tenants_audience_and_issuer_are_refused(foreign_server: ForeignServer):
    token = get_answer(foreign_server, "es256")["access_token"]
    with pytest.raises(jwt.InvalidAudienceError):
        verify_by_pyjwt(foreign_server, "es256", token, audience=foreign_server.issuer("rs256"))
    with pytest.raises(jwt.InvalidIssuerError):
        verify_by_pyjwt(foreign_server, "es256", token, issuer=foreign_server.issuer("rs256"))
    with pytest.raises(jwt.PyJWKClientError):
        verify_by_pyjwt(foreign_server, "rs256", token)


@pytest.mark.rfc("9068", "2.2")
def test_every_token_has_an_id_of_its_own(foreign_server: ForeignServer):
    tokens = [get_answer(foreign_server, "es256")["access_token"] for _ in range(3)]
    assert len({verify_by_pyjwt(foreign_server, "es256", token)["jti"] for token in tokens}) == 3


def test_the_id_token_of_oneaccess_is_verified_too(foreign_server: ForeignServer):
    answer = get_answer(foreign_server, "oneaccess")
    claims = verify_by_pyjwt(foreign_server, "oneaccess", answer["id_token"])
    assert claims["aud"] == CLIENT_ID
    assert claims["api"].count(".") == 4  # a JWE in compact form
