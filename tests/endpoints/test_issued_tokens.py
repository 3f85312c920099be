"""What a token is made of, by the rules of system, tenant and client; what is kept of it, and handed out again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from joserfc import jwe
from joserfc.jwk import OctKey

from mintmark.store.records import TokenRecord
from tests.endpoints.deployments import Deployment
from tests.endpoints.in_process import SECRET, InProcess
from tests.endpoints.servers import Answer, Server
from tests.endpoints.systems import DEFAULT, OMADA, ONEACCESS, WSO2, ask
from tests.endpoints.tokens import names_of, read_claims, read_header, verify


def ask_tenant(server: Server, deployment: Deployment, tenant: str, client_id: str = "meter") -> Answer:
    secret = deployment.secrets[f"{tenant}/{client_id}"]
    path = f"/t/{tenant}/oauth2/token"
    return server.send(ask(DEFAULT, client_id=client_id, client_secret=secret)._replace(target=path))


def find_record(deployment: Deployment, token: str) -> TokenRecord | None:
    digest = hashlib.sha256(token.encode()).digest()
    return deployment.administer(lambda one: one.store.tokens.find(digest))


# JWT access tokens: RFC 9068.


@pytest.mark.rfc("9068", "2.1")
@pytest.mark.rfc("9068", "2.2")
@pytest.mark.rfc("9068", "2.2.3")
def test_a_token_of_the_standard_dialect_is_a_jwt_access_token(server: Server):
    answer = server.send(ask(DEFAULT))
    token = answer.json["access_token"]
    claims = verify(server, token)

    assert read_header(token)["typ"] == "at+jwt"
    assert names_of(token, 1) == ["iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti"]
    assert claims["iss"] == claims["aud"] == "http://127.0.0.1:8080"
    assert claims["sub"] == claims["client_id"] == "demo"
    assert claims["scope"] == answer.json["scope"]


@pytest.mark.rfc("9068", "2.1")
@pytest.mark.rfc("7518", "3.1")
@pytest.mark.parametrize(("tenant", "alg"), [("rs256", "RS256"), ("eddsa", "EdDSA"), ("plain-typ", "ES256")])
def test_a_tenant_signs_with_its_own_algorithm_and_key(server: Server, deployment: Deployment, tenant: str, alg: str):
    token = ask_tenant(server, deployment, tenant).json["access_token"]

    assert read_header(token)["alg"] == alg
    assert verify(server, token, f"/t/{tenant}/oauth2/jwks")["iss"] == f"http://127.0.0.1/t/{tenant}"


@pytest.mark.rfc("7515", "4.1.4")
def test_the_kid_of_a_token_is_in_its_tenants_jwks_and_in_no_other(server: Server, deployment: Deployment):
    kid = read_header(ask_tenant(server, deployment, "rs256").json["access_token"])["kid"]

    def kids(tenant: str) -> list[str]:
        return [key["kid"] for key in server.get(f"/t/{tenant}/oauth2/jwks").json["keys"]]

    assert kid in kids("rs256")
    assert kid not in kids("default") + kids("eddsa") + kids("plain-typ")


@pytest.mark.rfc("9068", "2.1")
def test_the_typ_of_a_tenants_tokens_is_a_setting(server: Server, deployment: Deployment):
    assert read_header(ask_tenant(server, deployment, "plain-typ").json["access_token"])["typ"] == "JWT"


@pytest.mark.rfc("9068", "2.2")
def test_a_tenant_sets_lifetime_audience_and_scope(server: Server, deployment: Deployment):
    answer = ask_tenant(server, deployment, "named")
    claims = read_claims(answer.json["access_token"])

    assert claims["aud"] == ["https://api.example", "orders"]
    assert answer.json["expires_in"] == claims["exp"] - claims["iat"] == 120
    assert answer.json["scope"] == "read write"


@pytest.mark.rfc("9068", "2.2")
@pytest.mark.rfc("8037", "3.1")
def test_what_a_client_sets_comes_before_its_tenants(server: Server, deployment: Deployment):
    token = ask_tenant(server, deployment, "default", "own-rules").json["access_token"]
    header, claims = read_header(token), verify(server, token)

    assert (header["alg"], header["typ"]) == ("EdDSA", "JWT")
    assert claims["aud"] == ["orders", "https://api.example/%22"]


@pytest.mark.rfc("6749", "10.10")
def test_an_opaque_token_has_256_random_bits_behind_its_prefix(server: Server, deployment: Deployment):
    answers = [ask_tenant(server, deployment, "opaque") for _ in range(3)]

    for answer in answers:
        token = answer.json["access_token"]
        assert token.startswith("mmt_")
        assert len(token) == len("mmt_") + 43
        assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 600)
    assert len({answer.json["access_token"] for answer in answers}) == 3


def test_a_client_may_have_opaque_tokens_where_its_tenant_has_jwts(server: Server, deployment: Deployment):
    answer = ask_tenant(server, deployment, "default", "short")

    assert answer.json["access_token"].startswith("mmt_")
    assert answer.json["expires_in"] == 77


def test_an_opaque_token_is_kept_as_a_digest_with_all_that_it_stands_for(server: Server, deployment: Deployment):
    record = find_record(deployment, ask_tenant(server, deployment, "opaque").json["access_token"])

    assert record is not None
    assert (record.tenant_id, record.client_id, record.kind) == ("opaque", "meter", "access")
    assert (record.scope, record.audience) == ("read write", "http://127.0.0.1/t/opaque")
    assert record.expires_at - record.issued_at == 600


# Omada and OneAccess.


def test_an_omada_refresh_token_is_kept_with_its_access_token(server: Server, deployment: Deployment):
    result = server.send(ask(OMADA)).json["result"]
    access, refresh = (find_record(deployment, result[name]) for name in ("accessToken", "refreshToken"))

    assert access is not None
    assert refresh is not None
    assert (access.kind, access.expires_at - access.issued_at) == ("access", 7200)
    assert (refresh.kind, refresh.expires_at - refresh.issued_at) == ("refresh", 14 * 86_400)
    assert refresh.family == access.digest


def test_asking_oneaccess_again_leaves_earlier_tokens_valid(server: Server, deployment: Deployment):
    tokens = [server.send(ask(ONEACCESS)).json["access_token"] for _ in range(3)]

    assert len(set(tokens)) == 3
    for token in tokens:
        record = find_record(deployment, token)
        assert record is not None
        assert record.expires_at - record.issued_at == 1800


@pytest.mark.rfc("7516", "3")
@pytest.mark.rfc("7519", "11.2")
def test_the_api_claim_opens_with_the_key_that_was_printed_once(own_deployment: Deployment):
    jwk = json.loads(own_deployment.cli("keys", "reset-encryption", "--tenant", "oneaccess"))

    with Server(own_deployment.state_dir) as server:
        id_token = server.send(ask(ONEACCESS)).json["id_token"]
        claims = verify(server, id_token, "/t/oneaccess/oauth2/jwks")

    opened = jwe.decrypt_compact(claims["api"], OctKey.import_key(jwk), algorithms=["dir", "A256GCM"])
    assert opened.plaintext is not None
    assert json.loads(opened.plaintext) == ["all"]
    assert opened.protected["kid"] == jwk["kid"]


async def test_the_lifetime_of_oneaccess_tokens_is_the_tenants_setting(application: InProcess):
    await application.add_tenant("half", "oneaccess", token_rules={"lifetime_s": 900})

    answer = await application.send(ask(ONEACCESS, client_id="meter", client_secret=SECRET))

    claims = read_claims(answer.json["id_token"])
    assert answer.json["expires_in"] == claims["exp"] - claims["iat"] == 900


# WSO2: the live token is handed out again.


@pytest.fixture(scope="module")
def two_workers(deployment: Deployment, server: Server) -> Iterator[Server]:
    """Two more processes over the database of `server`, behind one port."""
    with Server(deployment.state_dir, "--workers", "2") as running:
        yield running


def test_parallel_requests_to_several_processes_get_one_wso2_token(
    server: Server, two_workers: Server, deployment: Deployment
):
    secret = deployment.secrets["wso2/raced"]
    requests = [ask(WSO2, client_id="raced", client_secret=secret, scope=scope) for scope in ("a b", "b a")] * 20

    with ThreadPoolExecutor(10) as pool:
        futures = [pool.submit(one.send, request) for one in (two_workers, server) for request in requests]
        answers = [future.result() for future in futures]

    assert {answer.status for answer in answers} == {200}
    assert len({answer.json["access_token"] for answer in answers}) == 1
    assert all(3590 <= answer.json["expires_in"] <= 3600 for answer in answers)


@pytest.fixture
async def wso2(application: InProcess) -> InProcess:
    await application.add_tenant("is", "wso2", issuer="https://is.example")
    return application


async def ask_wso2(application: InProcess, scope: str | None = None) -> tuple[str, int]:
    answer = await application.send(ask(WSO2, client_id="meter", client_secret=SECRET, scope=scope))
    return answer.json["access_token"], answer.json["expires_in"]


async def test_a_wso2_token_is_handed_out_while_more_than_a_second_is_left(wso2: InProcess):
    first, _ = await ask_wso2(wso2)
    left = []
    for elapsed in (1, 2061, 3598):
        wso2.clock.now = 1_800_000_000 + elapsed
        token, expires_in = await ask_wso2(wso2)
        assert token == first
        left.append(expires_in)
    wso2.clock.now = 1_800_000_000 + 3599
    another, expires_in = await ask_wso2(wso2)

    assert left == [3599, 1539, 2]
    assert (another != first, expires_in) == (True, 3600)


async def test_another_wso2_scope_has_another_token(wso2: InProcess):
    tokens = {(await ask_wso2(wso2, scope))[0] for scope in (None, "read", "write", "read write")}

    assert len(tokens) == 4


async def test_a_wso2_scope_in_another_order_has_the_same_token(wso2: InProcess):
    assert await ask_wso2(wso2, "read write") == await ask_wso2(wso2, "write read")


async def test_a_wso2_tenant_may_mint_a_new_token_each_time(application: InProcess):
    await application.add_tenant("fresh", "wso2", token_rules={"reuse": False})

    assert (await ask_wso2(application))[0] != (await ask_wso2(application))[0]
