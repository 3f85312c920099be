"""What MCP clients, Microsoft's library and others demand of the metadata, and a checker that nobody here wrote.

The MCP SDK itself is not used: with it would come some fifteen packages (starlette, pydantic, sse-starlette ...), for
the few members that are checked here.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from tests.foreign.conftest import ForeignServer

pytestmark = pytest.mark.foreign

SPELLINGS = [
    "/.well-known/oauth-authorization-server/t/{tenant}",
    "/.well-known/openid-configuration/t/{tenant}",
    "/t/{tenant}/.well-known/openid-configuration",
    "/t/{tenant}/.well-known/oauth-authorization-server",
]


def get_document(server: ForeignServer, tenant: str, spelling: str = SPELLINGS[0]) -> Any:
    answer = httpx.get(server.url + spelling.format(tenant=tenant))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


@pytest.mark.parametrize("tenant", ["es256", "ciam", "wso2", "oneaccess"])
@pytest.mark.rfc("8414", "2")
@pytest.mark.rfc("8414", "3.2")
def test_strict_clients_find_what_they_fail_without(foreign_server: ForeignServer, tenant):
    document = get_document(foreign_server, tenant)
    assert document["issuer"] == foreign_server.issuer(tenant)
    assert document["token_endpoint"] == foreign_server.token_endpoint(tenant)
    for name in ("authorization_endpoint", "jwks_uri"):
        assert document[name].startswith(f"{foreign_server.issuer(tenant)}/")
    assert document["response_types_supported"] == []
    assert document["grant_types_supported"] == ["client_credentials"]
    assert {"client_secret_basic", "client_secret_post"} <= set(document["token_endpoint_auth_methods_supported"])
    assert document["subject_types_supported"]
    assert document["id_token_signing_alg_values_supported"]
    assert not {"code_challenge_methods_supported", "registration_endpoint"} & document.keys()


@pytest.mark.rfc("8414", "3.1")
def test_every_spelling_of_the_well_known_url_gives_one_document(foreign_server: ForeignServer):
    documents = [get_document(foreign_server, "es256", spelling) for spelling in SPELLINGS]
    assert all(document == documents[0] for document in documents)


@pytest.mark.parametrize("name", ["oauth-protected-resource", "webfinger", "oauth-authorization-server/t/nobody", ""])
@pytest.mark.rfc("8615", "3")
def test_an_unknown_well_known_url_is_not_found(foreign_server: ForeignServer, name):
    assert httpx.get(f"{foreign_server.url}/.well-known/{name}").status_code == 404


@pytest.mark.rfc("8414", "2")
def test_authlib_finds_no_fault_but_the_empty_list(foreign_server: ForeignServer):
    document = get_document(foreign_server, "tls")
    with pytest.raises(ValueError, match='"response_types_supported" is required'):
        AuthorizationServerMetadata(document).validate()  # it takes an empty list for none; the RFC does not
    AuthorizationServerMetadata(document | {"response_types_supported": ["none"]}).validate()


@pytest.mark.parametrize("ask", [httpx.get, httpx.post])
@pytest.mark.rfc("6749", "4.1.2.1")
def test_the_authorization_endpoint_answers_with_a_plain_error(foreign_server: ForeignServer, ask):
    answer = ask(get_document(foreign_server, "es256")["authorization_endpoint"], params={"response_type": "code"})
    assert answer.status_code == 400
    assert answer.json()["error"] == "unsupported_response_type"
    assert "location" not in answer.headers
