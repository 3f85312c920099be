"""The other four systems through HTTP: what a token looks like, exactly, and every refusal in its own words."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any, NamedTuple

import pytest

from tests.endpoints.deployments import Deployment
from tests.endpoints.servers import Answer, Request, Server
from tests.endpoints.systems import CIAM, OMADA, OMADAC_ID, ONEACCESS, SYSTEMS, WSO2, System, ask, basic, form, omada
from tests.endpoints.tokens import names_of, read_header, verify

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
UUID_SHAPE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
GRANT = {"grant_type": "client_credentials"}
JSON = "application/json"
CIAM_JSON = "application/json;charset=UTF-8"
TOO_LARGE = "x" * 66_000


# Tencent Cloud CIAM.


def test_ciam_answers_as_on_the_vendors_page(server: Server):
    answer = server.send(ask(CIAM, scope="identity_proofing"))

    assert (answer.status, answer.header("content-type")) == (200, CIAM_JSON)
    assert answer.members == ["access_token", "scope", "token_type", "expires_in"]
    values = answer.json
    assert (values["scope"], values["token_type"], values["expires_in"]) == ("identity_proofing", "Bearer", 299)


@pytest.mark.rfc("7519", "4.1")
def test_a_ciam_token_has_the_header_and_claims_of_the_vendors_sample(server: Server):
    token = server.send(ask(CIAM)).json["access_token"]
    claims = verify(server, token, "/t/ciam/oauth2/jwks")

    assert names_of(token, 0) == ["kid", "typ", "alg"]
    assert names_of(token, 1) == ["sub", "aud", "nbf", "scope", "iss", "exp", "iat", "jti"]
    header = read_header(token)
    assert (header["typ"], header["alg"]) == ("JWT", "RS256")
    assert UUID4.fullmatch(header["kid"])
    assert UUID4.fullmatch(claims["jti"])
    assert claims["sub"] == claims["aud"] == CIAM.client_id
    assert claims["scope"] == ["identity_proofing"]
    assert claims["iss"] == "https://sample.portal.tencentciam.com"
    assert claims["nbf"] == claims["iat"] == claims["exp"] - 300


def test_a_ciam_token_writes_its_slashes_escaped(server: Server):
    payload = server.send(ask(CIAM)).json["access_token"].split(".")[1]

    assert rb'"iss":"https:\/\/sample.portal' in base64.urlsafe_b64decode(payload + "==")


def test_ciam_takes_the_basic_header_that_its_discovery_lists(server: Server):
    header = basic(CIAM.client_id, CIAM.client_secret)

    assert server.send(form(GRANT, CIAM.path, host=CIAM.host, authorization=header)).json["expires_in"] == 299


# Huawei Cloud OneAccess.


def test_oneaccess_answers_as_on_the_vendors_page(server: Server):
    answer = server.send(ask(ONEACCESS))

    assert (answer.status, answer.header("content-type")) == (200, JSON)
    assert answer.members == ["access_token", "token_type", "expires_in", "scope", "id_token"]
    values = answer.json
    assert UUID_SHAPE.fullmatch(values["access_token"])
    assert (values["token_type"], values["expires_in"], values["scope"]) == ("Bearer", 1800, "all")


def test_a_oneaccess_answer_has_all_five_members_even_without_scope(server: Server, deployment: Deployment):
    secret = deployment.secrets["oneaccess/no-scope"]

    answer = server.send(ask(ONEACCESS, client_id="no-scope", client_secret=secret))

    assert answer.members == ["access_token", "token_type", "expires_in", "scope", "id_token"]
    assert answer.json["scope"] == ""


def test_a_oneaccess_id_token_verifies_through_the_jwks(server: Server):
    values = server.send(ask(ONEACCESS)).json
    claims = verify(server, values["id_token"], "/t/oneaccess/oauth2/jwks")

    assert read_header(values["id_token"])["alg"] == "RS256"
    assert list(claims) == ["iss", "sub", "aud", "exp", "iat", "jti", "api"]
    assert claims["sub"] == claims["aud"] == ONEACCESS.client_id
    assert claims["exp"] - claims["iat"] == 1800


# WSO2 Identity Server.


def test_wso2_answers_as_on_the_vendors_page(server: Server):
    answer = server.send(ask(WSO2))

    assert (answer.status, answer.header("content-type")) == (200, JSON)
    assert answer.members == ["token_type", "expires_in", "access_token"]
    assert answer.json["token_type"] == "Bearer"
    assert re.fullmatch(r"[0-9a-f]{32}", answer.json["access_token"])
    assert 0 < answer.json["expires_in"] <= 3600


@pytest.mark.parametrize("way", ["header", "form", "json"])
def test_wso2_takes_credentials_in_header_form_and_json(server: Server, way: str):
    fields = {**GRANT, "client_id": WSO2.client_id, "client_secret": WSO2.client_secret}
    headers = {"host": WSO2.host, "content-type": JSON}
    request = {
        "header": form(GRANT, host=WSO2.host, authorization=basic(WSO2.client_id, WSO2.client_secret)),
        "form": form(fields, host=WSO2.host),
        "json": Request("POST", WSO2.path, headers, json.dumps(fields).encode()),
    }[way]

    assert server.send(request).status == 200


def test_wso2_drops_scopes_that_the_client_may_not_have(server: Server, deployment: Deployment):
    secret = deployment.secrets["wso2/scoped"]

    answer = server.send(ask(WSO2, client_id="scoped", client_secret=secret, scope="write nobody openid read"))

    assert answer.members == ["token_type", "expires_in", "access_token", "scope"]
    assert answer.json["scope"] == "write read"


def test_wso2_names_no_scope_where_none_was_asked_for(server: Server, deployment: Deployment):
    secret = deployment.secrets["wso2/scoped"]

    assert "scope" not in server.send(ask(WSO2, client_id="scoped", client_secret=secret)).json


@pytest.mark.rfc("9068", "2.2")
def test_a_wso2_jwt_has_the_claims_of_the_vendors_source(server: Server, deployment: Deployment):
    secret = deployment.secrets["wso2-jwt/meter"]
    request = ask(WSO2, client_id="meter", client_secret=secret, scope="read openid")._replace(
        target="/t/wso2-jwt/oauth2/token"
    )

    token = server.send(request).json["access_token"]
    claims = verify(server, token, "/t/wso2-jwt/oauth2/jwks")

    assert (read_header(token)["typ"], read_header(token)["alg"]) == ("at+jwt", "RS256")
    assert claims["sub"] == claims["azp"] == claims["client_id"] == "meter"
    assert (claims["aut"], claims["scope"]) == ("APPLICATION", "read")
    assert claims["nbf"] == claims["iat"]


# TP-Link Omada.


def test_omada_answers_as_in_the_vendors_guide(server: Server):
    answer = server.send(ask(OMADA))

    assert (answer.status, answer.header("content-type")) == (200, JSON)
    assert answer.members == ["errorCode", "msg", "result"]
    assert answer.json["errorCode"] == 0
    assert answer.json["msg"] == "Open API Get Access Token successfully."
    result = answer.json["result"]
    assert list(result) == ["accessToken", "tokenType", "expiresIn", "refreshToken"]
    assert re.fullmatch(r"AT-[A-Za-z0-9]{32}", result["accessToken"])
    assert re.fullmatch(r"RT-[A-Za-z0-9]{32}", result["refreshToken"])
    assert (result["tokenType"], result["expiresIn"]) == ("bearer", 7200)


def test_omada_takes_every_parameter_in_the_query_too(server: Server):
    query = f"?grant_type=client_credentials&omadacId={OMADAC_ID}"
    query += f"&client_id={OMADA.client_id}&client_secret={OMADA.client_secret}"

    answer = server.send(Request("POST", OMADA.path + query, {"content-type": JSON}))

    assert answer.json["errorCode"] == 0


def test_each_omada_request_gets_a_token_of_its_own(server: Server):
    tokens = {server.send(ask(OMADA)).json["result"]["accessToken"] for _ in range(3)}

    assert len(tokens) == 3


# Every refusal, in its system's words.


class Refusal(NamedTuple):
    """What is asked, and how it is refused."""

    case: str
    request: Request
    status: int
    body: Any


def form_to(system: System, fields: dict[str, str] | list[tuple[str, str]], path: str = "", **headers: str) -> Request:
    return form(fields, path or system.path, host=system.host, **headers)


def credentials(system: System) -> dict[str, str]:
    return {"client_id": system.client_id, "client_secret": system.client_secret}


def same_refusals_of_clients(system: System, status: int, body: Any) -> list[Refusal]:
    cases = {
        "unknown client": ask(system, client_id=system.nobody),
        "wrong secret": ask(system, client_secret="0" * 32),
        "wrong chosen secret": ask(system, client_secret="wrong"),
        "disabled client": ask(system, client_id=system.disabled),
        "disabled client and wrong secret": ask(system, client_id=system.disabled, client_secret="wrong"),
    }
    return [Refusal(case, request, status, body) for case, request in cases.items()]


def spring(error: str) -> dict[str, str]:
    uri = "https://datatracker.ietf.org/doc/html/rfc6749#section-5.2"
    return {"error": error, "error_description": "OAuth 2.0 Parameter: grant_type", "error_uri": uri}


CIAM_BASIC = basic(CIAM.client_id, CIAM.client_secret)
CIAM_INVALID = {"error": "invalid_request"}
CIAM_REFUSALS = [
    *same_refusals_of_clients(CIAM, 401, {"error": "invalid_client"}),
    Refusal("missing grant type", ask(CIAM, grant_type=None), 400, spring("invalid_request")),
    Refusal("unknown grant type", ask(CIAM, grant_type="x"), 400, spring("unsupported_grant_type")),
    Refusal("grant not allowed", ask(CIAM, client_id=CIAM.no_grant), 400, {"error": "unauthorized_client"}),
    Refusal("scope not allowed", ask(CIAM, scope="nobody"), 400, {"error": "invalid_scope"}),
    Refusal("malformed scope", ask(CIAM, scope="a  b"), 400, {"error": "invalid_scope"}),
    Refusal("no credentials", form_to(CIAM, GRANT), 401, {"error": "invalid_client"}),
    Refusal("repeated parameter", form_to(CIAM, [*GRANT.items(), *GRANT.items()]), 400, CIAM_INVALID),
    Refusal("two credentials", form_to(CIAM, GRANT | credentials(CIAM), authorization=CIAM_BASIC), 400, CIAM_INVALID),
    Refusal("malformed Basic", form_to(CIAM, GRANT, authorization="Basic ???"), 401, {"error": "invalid_client"}),
    Refusal("secret in the query", form_to(CIAM, GRANT, "/oauth2/token?client_secret=x"), 400, CIAM_INVALID),
    Refusal(
        "wrong content type",
        Request("POST", CIAM.path, {"host": CIAM.host, "content-type": JSON}, b"{}"),
        400,
        CIAM_INVALID,
    ),
    Refusal("body too large", form_to(CIAM, {"x": TOO_LARGE}), 413, CIAM_INVALID),
    Refusal("another method", Request("GET", CIAM.path, {"host": CIAM.host}), 405, CIAM_INVALID),
]

BAD_CLIENT = {"error": "invalid_client", "error_description": "Bad client credentials"}
BAD_PARAMETER = {"error_code": "TOKEN.0001", "error_msg": "Invalid parameter."}
ONEACCESS_REFUSALS = [
    *same_refusals_of_clients(ONEACCESS, 401, BAD_CLIENT),
    Refusal(
        "missing grant type",
        ask(ONEACCESS, grant_type=None),
        400,
        {"error_code": "TOKEN.0002", "error_msg": "Grant type required."},
    ),
    Refusal(
        "unknown grant type",
        ask(ONEACCESS, grant_type="x"),
        400,
        {"error_code": "TOKEN.0003", "error_msg": "Unsupported grant type."},
    ),
    Refusal(
        "grant not allowed",
        ask(ONEACCESS, client_id=ONEACCESS.no_grant),
        400,
        {"error": "unsupported_grant_type", "error_description": "Unauthorized grant type: client_credentials"},
    ),
    Refusal("no credentials", form_to(ONEACCESS, GRANT), 401, BAD_CLIENT),
    Refusal("no secret", form_to(ONEACCESS, GRANT | {"client_id": ONEACCESS.client_id}), 401, BAD_CLIENT),
    Refusal("repeated parameter", form_to(ONEACCESS, [*GRANT.items(), *GRANT.items()]), 400, BAD_PARAMETER),
    Refusal(
        "two credentials",
        form_to(ONEACCESS, GRANT | credentials(ONEACCESS), authorization=basic(*credentials(ONEACCESS).values())),
        400,
        BAD_PARAMETER,
    ),
    Refusal("malformed Basic", form_to(ONEACCESS, GRANT, authorization="Basic ???"), 401, BAD_CLIENT),
    Refusal("secret in the query", form_to(ONEACCESS, GRANT, ONEACCESS.path + "?client_secret=x"), 400, BAD_PARAMETER),
    Refusal("wrong content type", Request("POST", ONEACCESS.path, {"content-type": JSON}, b"{}"), 400, BAD_PARAMETER),
    Refusal("body too large", form_to(ONEACCESS, {"x": TOO_LARGE}), 413, BAD_PARAMETER),
    Refusal("another method", Request("GET", ONEACCESS.path, {}), 405, BAD_PARAMETER),
]


def wso2_says(error: str, description: str) -> dict[str, str]:
    return {"error": error, "error_description": description}


WSO2_REPEATED = wso2_says("invalid_request", "Invalid request with repeated parameters.")
WSO2_SENSITIVE = wso2_says("invalid_request", "Invalid request with sensitive data in the URL.")
WSO2_NO_GRANT_TYPE = wso2_says("invalid_request", "Missing grant_type parameter value")
WSO2_UNKNOWN_GRANT_TYPE = wso2_says("invalid_request", "Unsupported grant_type value")
WSO2_TWO = wso2_says("invalid_request", "Request body and headers contain authorization information")
WSO2_BASIC = basic(WSO2.client_id, WSO2.client_secret)
WSO2_UNREADABLE = wso2_says(
    "invalid_client",
    'Error decoding authorization header. Space delimited "<authMethod> <base64Hash>" format violated.',
)
WSO2_JSON = {"host": WSO2.host, "content-type": JSON}
WSO2_REFUSALS = [
    *same_refusals_of_clients(WSO2, 401, wso2_says("invalid_client", "Client credentials are invalid.")),
    Refusal("missing grant type", ask(WSO2, grant_type=None), 400, WSO2_NO_GRANT_TYPE),
    Refusal("missing grant type first", form_to(WSO2, {"x": "y"}, authorization="Basic ???"), 400, WSO2_NO_GRANT_TYPE),
    Refusal("unknown grant type", ask(WSO2, grant_type="x"), 400, WSO2_UNKNOWN_GRANT_TYPE),
    Refusal("unknown grant type first", ask(WSO2, grant_type="x", client_secret="w"), 400, WSO2_UNKNOWN_GRANT_TYPE),
    Refusal(
        "grant not allowed",
        ask(WSO2, client_id=WSO2.no_grant),
        400,
        wso2_says(
            "unauthorized_client",
            "The authenticated client is not authorized to use this authorization grant type",
        ),
    ),
    Refusal("malformed scope", ask(WSO2, scope="a  b"), 400, wso2_says("invalid_scope", "Invalid Scope!")),
    Refusal(
        "no credentials",
        form_to(WSO2, GRANT),
        401,
        wso2_says("invalid_client", "Client ID not found in the request."),
    ),
    Refusal(
        "no secret",
        form_to(WSO2, GRANT | {"client_id": WSO2.client_id}),
        401,
        wso2_says("invalid_client", "Unsupported Client Authentication Method!"),
    ),
    Refusal("repeated parameter", form_to(WSO2, [*GRANT.items(), ("scope", "a"), ("scope", "b")]), 400, WSO2_REPEATED),
    Refusal(
        "repeated JSON member",
        Request("POST", WSO2.path, WSO2_JSON, b'{"grant_type":"client_credentials","a":"1","a":"2"}'),
        400,
        WSO2_REPEATED,
    ),
    Refusal("two credentials", form_to(WSO2, GRANT | credentials(WSO2), authorization=WSO2_BASIC), 400, WSO2_TWO),
    Refusal("malformed Basic", form_to(WSO2, GRANT, authorization="Basic ???"), 401, WSO2_UNREADABLE),
    Refusal("secret in the query", form_to(WSO2, GRANT, "/oauth2/token?client_secret=x"), 400, WSO2_SENSITIVE),
    Refusal(
        "malformed JSON",
        Request("POST", WSO2.path, WSO2_JSON, b'{"grant_type":'),
        400,
        wso2_says("invalid_request", "The request body is malformed."),
    ),
    Refusal(
        "wrong content type",
        Request("POST", WSO2.path, {"host": WSO2.host, "content-type": "text/plain"}, b"x"),
        400,
        wso2_says("invalid_request", "The content type of the request is not supported."),
    ),
    Refusal(
        "body too large",
        form_to(WSO2, {"x": TOO_LARGE}),
        413,
        wso2_says("invalid_request", "The request body is too large."),
    ),
    Refusal(
        "another method",
        Request("PUT", WSO2.path, {"host": WSO2.host}),
        405,
        wso2_says("invalid_request", "This endpoint takes POST requests only."),
    ),
]


def omada_says(code: int, text: str) -> dict[str, Any]:
    return {"errorCode": code, "msg": text}


OMADA_FIELDS = {"omadacId": OMADAC_ID, **credentials(OMADA)}
OMADA_PARAMETERS = omada_says(-1001, "Invalid request parameters.")
OMADA_TYPE = omada_says(-1004, "Invalid request type.")
OMADA_PATH = omada_says(-1600, "Unsupported request path.")
OMADA_CONTROLLER = omada_says(-7131, "Controller ID not exist.")
OMADA_GRANT = omada_says(-44116, "Open API Authorized failed, please check whether the input parameters are legal.")
OMADA_REFUSALS = [
    *same_refusals_of_clients(OMADA, 200, omada_says(-44106, "The Client Id Or Client Secret is Invalid")),
    Refusal("missing grant type", omada(OMADA_FIELDS, ""), 200, OMADA_GRANT),
    Refusal("grant type in the body", omada(OMADA_FIELDS | GRANT, ""), 200, OMADA_GRANT),
    Refusal("unknown grant type", omada(OMADA_FIELDS, "?grant_type=x"), 200, OMADA_GRANT),
    Refusal("unknown grant type before the body", omada(b"{", "?grant_type=x"), 200, OMADA_GRANT),
    Refusal("grant not allowed", ask(OMADA, client_id=OMADA.no_grant), 200, omada_says(-1005, "Operation forbidden")),
    Refusal("unknown controller", omada(OMADA_FIELDS | {"omadacId": "0" * 32}), 200, OMADA_CONTROLLER),
    Refusal(
        "unknown controller before the secret",
        omada({"omadacId": "0" * 32, "client_id": "x", "client_secret": "y"}),
        200,
        OMADA_CONTROLLER,
    ),
    Refusal("no controller", omada(credentials(OMADA)), 200, OMADA_PARAMETERS),
    Refusal("no client id", omada({"omadacId": OMADAC_ID, "client_secret": "y"}), 200, OMADA_PARAMETERS),
    Refusal("no secret", omada({"omadacId": OMADAC_ID, "client_id": OMADA.client_id}), 200, OMADA_PARAMETERS),
    Refusal("secret of another type", omada(OMADA_FIELDS | {"client_secret": 1}), 200, OMADA_PARAMETERS),
    Refusal("no body", omada(b""), 200, OMADA_PARAMETERS),
    Refusal("repeated member", omada(b'{"omadacId":"a","omadacId":"b"}'), 200, OMADA_PARAMETERS),
    Refusal(
        "controller in query and body",
        omada(OMADA_FIELDS, f"?grant_type=client_credentials&omadacId={OMADAC_ID}"),
        200,
        OMADA_PARAMETERS,
    ),
    Refusal(
        "client in query and body",
        omada(OMADA_FIELDS, f"?grant_type=client_credentials&client_id=x&client_secret={OMADA.client_secret}"),
        200,
        OMADA_PARAMETERS,
    ),
    Refusal("malformed JSON", omada(b'{"omadacId":'), 200, OMADA_PARAMETERS),
    Refusal("JSON that is no object", omada([1, 2]), 200, OMADA_PARAMETERS),
    Refusal("wrong content type", form(OMADA_FIELDS, OMADA.path + "?grant_type=client_credentials"), 200, OMADA_TYPE),
    Refusal("body too large", omada({"omadacId": TOO_LARGE}), 413, OMADA_PARAMETERS),
    Refusal("another method", omada({})._replace(method="GET"), 200, OMADA_PATH),
    Refusal("unknown path", Request("GET", "/openapi/v2/x/sites", {}), 200, OMADA_PATH),
]

ALL_REFUSALS = {"ciam": CIAM_REFUSALS, "oneaccess": ONEACCESS_REFUSALS, "wso2": WSO2_REFUSALS, "omada": OMADA_REFUSALS}
CASES = [pytest.param(row, id=f"{system}: {row.case}") for system, rows in ALL_REFUSALS.items() for row in rows]


@pytest.mark.parametrize("row", CASES)
def test_every_refusal_has_its_systems_status_shape_and_words(server: Server, row: Refusal):
    answer = server.send(row.request)

    assert (answer.status, answer.json) == (row.status, row.body)


@pytest.mark.parametrize("row", CASES)
def test_no_refusal_may_be_stored(server: Server, row: Refusal):
    answer = server.send(row.request)

    assert answer.header("cache-control") == "no-store"
    assert answer.header("content-type") == (CIAM_JSON if row in CIAM_REFUSALS else JSON)


@pytest.mark.rfc("6749", "5.2")
def test_wso2_sends_its_unquoted_challenge_with_every_401(server: Server):
    for row in WSO2_REFUSALS:
        challenge = server.send(row.request).header("www-authenticate")
        assert challenge == ("Basic realm=localhost" if row.status == 401 else None), row.case


def test_an_unreadable_omada_secret_is_not_in_the_answer(server: Server):
    for row in OMADA_REFUSALS:
        assert OMADA.client_secret.encode() not in server.send(row.request).body


@pytest.mark.parametrize("system", SYSTEMS, ids=[system.tenant for system in SYSTEMS])
def test_a_right_client_gets_a_token_after_all_that(server: Server, system: System):
    assert server.send(ask(system)).status == 200


def seconds_left(answer: Answer) -> int:
    left: int = answer.json["expires_in"]
    return left


def test_wso2_hands_out_the_same_token_with_the_seconds_that_are_left(server: Server):
    first = server.send(ask(WSO2))
    time.sleep(1.1)
    second = server.send(ask(WSO2))

    assert second.json["access_token"] == first.json["access_token"]
    assert seconds_left(first) - 3 <= seconds_left(second) < seconds_left(first)
