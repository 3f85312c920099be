"""Metadata and key sets, at every URL that clients in wide use ask for. RFC 8414, RFC 7517."""

from __future__ import annotations

import pytest

from mintmark.admin.keys import rotate_signing_key
from tests.endpoints.in_process import SECRET, InProcess
from tests.endpoints.servers import Request, Server
from tests.endpoints.systems import CIAM, DEFAULT, SYSTEMS, System, ask
from tests.endpoints.tokens import read_header, verify_with

WELL_KNOWN = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]
TENANTS = ["default", "ciam", "wso2", "oneaccess", "omada", "eddsa", "named"]
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def urls_of(tenant: str) -> list[str]:
    return [f"{name}/t/{tenant}" for name in WELL_KNOWN] + [f"/t/{tenant}{name}" for name in WELL_KNOWN]


@pytest.mark.rfc("8414", "3")
@pytest.mark.rfc("8414", "3.1")
@pytest.mark.parametrize("tenant", TENANTS)
def test_all_forms_of_a_tenants_well_known_url_give_one_document(server: Server, tenant: str):
    answers = [server.get(url) for url in urls_of(tenant)]

    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1


@pytest.mark.rfc("8414", "3.1")
def test_the_default_tenant_is_described_at_the_root(server: Server):
    documents = {server.get(name).body for name in WELL_KNOWN}

    assert documents == {server.get("/t/default/.well-known/openid-configuration").body}


@pytest.mark.rfc("8414", "3.1")
def test_a_tenant_with_a_host_is_described_at_its_host(server: Server):
    assert server.get(WELL_KNOWN[0], CIAM.host).json["issuer"] == "https://sample.portal.tencentciam.com"


@pytest.mark.rfc("8414", "2")
def test_the_document_says_what_exists_and_no_more(server: Server):
    assert server.get(WELL_KNOWN[0]).json == {
        "issuer": "http://127.0.0.1:8080",
        "authorization_endpoint": "http://127.0.0.1:8080/oauth2/authorize",
        "token_endpoint": "http://127.0.0.1:8080/oauth2/token",
        "introspection_endpoint": "http://127.0.0.1:8080/oauth2/introspect",
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "introspection_signing_alg_values_supported": ["ES256"],
        "revocation_endpoint": "http://127.0.0.1:8080/oauth2/revoke",
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "jwks_uri": "http://127.0.0.1:8080/oauth2/jwks",
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }


@pytest.mark.rfc("8414", "2")
def test_a_tenants_scopes_and_algorithm_are_in_its_document(server: Server):
    assert server.get("/t/named/.well-known/openid-configuration").json["scopes_supported"] == ["read", "write"]
    document = server.get("/t/eddsa/.well-known/openid-configuration").json
    assert document["id_token_signing_alg_values_supported"] == ["EdDSA"]


@pytest.mark.rfc("8414", "3.3")
@pytest.mark.parametrize("tenant", ["eddsa", "named", "rs256"])
def test_the_issuer_is_the_url_that_the_document_was_found_by(server: Server, tenant: str):
    document = server.get(f"{WELL_KNOWN[0]}/t/{tenant}").json

    assert document["issuer"] == f"http://127.0.0.1/t/{tenant}"
    assert document["token_endpoint"] == f"http://127.0.0.1/t/{tenant}/oauth2/token"


@pytest.mark.rfc("8414", "2")
@pytest.mark.parametrize("tenant", TENANTS)
def test_each_document_has_what_the_specification_requires(server: Server, tenant: str):
    document = server.get(f"/t/{tenant}/.well-known/openid-configuration").json

    assert document.keys() >= {"issuer", "token_endpoint", "response_types_supported", "jwks_uri"}
    assert isinstance(document["response_types_supported"], list)
    assert "?" not in document["issuer"]


@pytest.mark.rfc("8414", "3.2")
@pytest.mark.parametrize("path", [WELL_KNOWN[0], "/oauth2/jwks", "/t/eddsa/oauth2/jwks"])
def test_public_documents_are_json_and_may_be_kept_for_a_while(server: Server, path: str):
    answer = server.get(path)

    assert answer.header("content-type") == "application/json"
    assert answer.header("cache-control") == "public, max-age=300"


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/nothing",
        "/.well-known/",
        "/.well-known/oauth-authorization-server/",
        "/.well-known/oauth-authorization-server/t/nobody",
        "/.well-known/oauth-authorization-server/t/default/",
        "/.well-known/oauth-authorization-server/t/",
        "/.well-known/oauth-authorization-server/oauth2/token",
        "/.well-known/openid-configuration/t/nobody/x",
        "/t/nobody/.well-known/openid-configuration",
        "/t/default/.well-known/nothing",
        "/.well-known/oauth-protected-resource",
        "/.well-known/%00",
    ],
)
def test_an_unknown_well_known_url_is_404(server: Server, path: str):
    answer = server.get(path)

    assert (answer.status, answer.json) == (404, {"error": "not_found"})


@pytest.mark.rfc("7517", "4")
@pytest.mark.rfc("7517", "5")
@pytest.mark.parametrize("tenant", TENANTS)
def test_a_key_set_holds_public_keys_for_signatures_and_nothing_private(server: Server, tenant: str):
    answer = server.get(f"/t/{tenant}/oauth2/jwks")

    assert answer.json["keys"]
    for key in answer.json["keys"]:
        assert key["use"] == "sig"
        assert key["alg"] in {"RS256", "ES256", "EdDSA"}
        assert key["kid"]
        assert key["kty"] in {"RSA", "EC", "OKP"}
        assert not key.keys() & PRIVATE_MEMBERS


@pytest.mark.rfc("8414", "2")
@pytest.mark.parametrize("system", SYSTEMS, ids=[system.tenant for system in SYSTEMS])
def test_the_token_endpoint_of_the_document_is_the_one_that_answers(server: Server, system: System):
    document = server.get(f"/t/{system.tenant}/.well-known/openid-configuration").json
    prefix = "" if system.host != "127.0.0.1" or system.tenant == "default" else f"/t/{system.tenant}"

    assert document["token_endpoint"].removeprefix(document["issuer"]) == system.path
    assert server.send(ask(system)._replace(target=prefix + ask(system).target)).status == 200


@pytest.mark.rfc("7517", "4.5")
async def test_a_new_key_is_announced_before_it_signs(application: InProcess):
    await application.add_tenant("main")
    new = await rotate_signing_key(application.administration, "main", "ES256", announce_s=600)
    await application.application.refresh()
    signers = []
    for elapsed in (0, 599, 600):
        application.clock.now = 1_800_000_000 + elapsed
        answer = await application.send(ask(DEFAULT, client_id="meter", client_secret=SECRET))
        keys = (await application.send(Request("GET", "/oauth2/jwks", {}))).json
        assert verify_with(keys, answer.json["access_token"])
        assert len(keys["keys"]) == 2
        signers.append(read_header(answer.json["access_token"])["kid"] == new.kid)

    assert signers == [False, False, True]


@pytest.mark.rfc("9110", "9.3.2")
def test_a_head_request_for_metadata_has_the_headers_of_a_get(server: Server):
    head = server.send(Request("HEAD", WELL_KNOWN[0], {}))
    get = server.get(WELL_KNOWN[0])

    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == get.header("content-length")
