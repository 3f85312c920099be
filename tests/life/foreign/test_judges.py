"""Clients of introspection and revocation that nobody here wrote: Authlib, joserfc, oauthlib with requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6750.errors import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc7662 import IntrospectTokenValidator
from joserfc import jwt
from joserfc.jwk import KeySet
from oauthlib.oauth2 import BackendApplicationClient  # type: ignore[import-untyped]

from mintmark.admin.clients import disable_client
from tests.life.serving import PATIENCE_S, LifeServer
from tests.life.world import Caller

pytestmark = pytest.mark.foreign

FORMS = ["jwt", "opaque"]


@pytest.fixture(scope="module", params=FORMS)
def tenant(request: pytest.FixtureRequest, pair: LifeServer) -> str:
    name = f"judged-{request.param}"
    pair.add_tenant(name, form=request.param)
    return name


@pytest.fixture
def caller(pair: LifeServer, tenant: str) -> Caller:
    return pair.add_client(tenant, audience=("api1",))


@pytest.fixture
def resource(pair: LifeServer, tenant: str) -> Caller:
    return pair.add_resource(tenant, "api1")


@pytest.fixture
def metadata(pair: LifeServer, tenant: str) -> dict[str, Any]:
    """What the clients know of the server: its own metadata."""
    document = requests.get(f"{pair.url}/t/{tenant}/.well-known/openid-configuration", timeout=PATIENCE_S).json()
    assert isinstance(document, dict)
    return document


Open = Callable[[Caller], OAuth2Session]


@pytest.fixture
def open_session(metadata: dict[str, Any]) -> Iterator[Open]:
    opened: list[OAuth2Session] = []

    def open_one(caller: Caller) -> OAuth2Session:
        opened.append(
            OAuth2Session(
                caller.client_id,
                caller.client_secret,
                token_endpoint_auth_method="client_secret_basic",
                revocation_endpoint_auth_method="client_secret_post",
            )
        )
        return opened[-1]

    yield open_one
    for session in opened:
        session.close()


def fetch(session: OAuth2Session, metadata: dict[str, Any]) -> str:
    token: str = session.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")["access_token"]
    return token


class Guard(IntrospectTokenValidator):  # type: ignore[misc]  # Authlib has no types
    """A resource server as Authlib's documentation has it."""

    def __init__(self, session: OAuth2Session, endpoint: str) -> None:
        super().__init__()
        self._session = session
        self._endpoint = endpoint

    def introspect_token(self, token_string: str) -> Any:
        answer = self._session.introspect_token(self._endpoint, token_string, token_type_hint="access_token")
        answer.raise_for_status()
        return answer.json()

    def judge(self, token: str, *scopes: str) -> Any:
        found = self.authenticate_token(token)
        self.validate_token(found, list(scopes), None)
        return found


@pytest.mark.rfc("7662", "2.2")
def test_authlibs_resource_server_believes_a_live_token_and_no_dead_one(
    pair: LifeServer, metadata: dict[str, Any], open_session: Open, caller: Caller, resource: Caller
):
    guard = Guard(open_session(resource), metadata["introspection_endpoint"])
    token = fetch(open_session(caller), metadata)
    found = guard.judge(token, "read write")
    assert (found["client_id"], found["aud"]) == (caller.client_id, "api1")
    with pytest.raises(InsufficientScopeError):
        guard.judge(token, "admin")
    with pytest.raises(InvalidTokenError):
        guard.judge(token + "x")
    pair.administer(lambda one: disable_client(one, caller.tenant, caller.client_id, disabled=True))
    with pytest.raises(InvalidTokenError):
        guard.judge(token)


@pytest.mark.rfc("7009", "2.1")
def test_a_token_that_authlib_revokes_is_dead(
    metadata: dict[str, Any], open_session: Open, caller: Caller, resource: Caller
):
    guard = Guard(open_session(resource), metadata["introspection_endpoint"])
    session = open_session(caller)
    token, other = fetch(session, metadata), fetch(session, metadata)
    answer = session.revoke_token(metadata["revocation_endpoint"], token, token_type_hint="refresh_token")

    assert answer.status_code == 200
    with pytest.raises(InvalidTokenError):
        guard.judge(token)
    assert guard.judge(other)["active"] is True


@pytest.mark.rfc("7009", "2.1")
def test_a_token_that_oauthlib_revokes_is_dead(
    metadata: dict[str, Any], open_session: Open, caller: Caller, resource: Caller, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    guard = Guard(open_session(resource), metadata["introspection_endpoint"])
    token = fetch(open_session(caller), metadata)
    url, headers, body = BackendApplicationClient(caller.client_id).prepare_token_revocation_request(
        metadata["revocation_endpoint"], token
    )
    answer = requests.post(
        url, data=body, headers=headers, auth=(caller.client_id, caller.client_secret), timeout=PATIENCE_S
    )

    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"", "application/json")
    with pytest.raises(InvalidTokenError):
        guard.judge(token)


@pytest.mark.rfc("9701", "5")
def test_joserfc_verifies_a_signed_answer(
    metadata: dict[str, Any], open_session: Open, caller: Caller, resource: Caller
):
    token = fetch(open_session(caller), metadata)
    answer = requests.post(
        metadata["introspection_endpoint"],
        data={"token": token},
        headers={"Accept": "application/token-introspection+jwt"},
        auth=(resource.client_id, resource.client_secret),
        timeout=PATIENCE_S,
    )
    keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=PATIENCE_S).json())
    verified = jwt.decode(answer.text, keys, algorithms=["ES256"])
    jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": metadata["issuer"]},
        aud={"essential": True, "value": resource.client_id},
        iat={"essential": True},
    ).validate(verified.claims)

    assert answer.headers["content-type"] == "application/token-introspection+jwt"
    assert verified.header["typ"] == "token-introspection+jwt"
    assert verified.claims["token_introspection"]["active"] is True
    assert verified.claims["token_introspection"]["client_id"] == caller.client_id
    # Shown as an access token, it opens nothing.
    url = metadata["issuer"] + "/oauth2/check"
    shown = requests.get(url, headers={"Authorization": f"Bearer {answer.text}"}, timeout=PATIENCE_S)
    assert shown.status_code == 401
