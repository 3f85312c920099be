"""Which tenant answers: by prefix, host, identifier, a path that only one has, and the default, in that order."""

from __future__ import annotations

from typing import Any

import pytest

from mintmark.admin.tenants import suspend_tenant
from tests.endpoints.in_process import SECRET, InProcess
from tests.endpoints.servers import Answer, Request
from tests.endpoints.systems import OMADA, basic, form, omada
from tests.endpoints.tokens import read_claims

GRANT = {"grant_type": "client_credentials"}
BASIC = basic("meter", SECRET)
METADATA = "/.well-known/oauth-authorization-server"


async def issuer_at(application: InProcess, path: str = "/oauth2/token", host: str = "somewhere.example") -> str:
    answer = await application.send(form(GRANT, path, host=host, authorization=BASIC))
    assert answer.status == 200, answer
    issuer: str = read_claims(answer.json["access_token"])["iss"]
    return issuer


async def status_at(application: InProcess, path: str, host: str = "somewhere.example") -> int:
    return (await application.send(form(GRANT, path, host=host, authorization=BASIC))).status


@pytest.fixture
async def three(application: InProcess) -> InProcess:
    """A default, one with a host, and one that only its prefix names: all speak the standard dialect."""
    await application.add_tenant("main", is_default=True)
    await application.add_tenant("acme", hosts=("acme.example", "shared.example:8443"))
    await application.add_tenant("far")
    return application


async def test_the_default_tenant_answers_where_nothing_names_another(three: InProcess):
    assert await issuer_at(three) == "https://id.example/t/main"


async def test_a_host_names_its_tenant(three: InProcess):
    assert await issuer_at(three, host="acme.example") == "https://id.example/t/acme"


@pytest.mark.parametrize("host", ["ACME.example", "acme.example:8443", "shared.example:8443"])
async def test_a_host_is_found_in_any_case_and_with_any_port_unless_it_names_one(three: InProcess, host: str):
    assert await issuer_at(three, host=host) == "https://id.example/t/acme"


@pytest.mark.parametrize("host", ["shared.example", "shared.example:443", "acme.example.evil", "", "x:y:z"])
async def test_a_host_that_names_nobody_is_left_to_the_default(three: InProcess, host: str):
    assert await issuer_at(three, host=host) == "https://id.example/t/main"


async def test_a_prefix_names_its_tenant_before_the_host(three: InProcess):
    assert await issuer_at(three, "/t/far/oauth2/token", "acme.example") == "https://id.example/t/far"


@pytest.mark.parametrize(
    "path", ["/t/nobody/oauth2/token", "/t/far", "/t/far/", "/t//oauth2/token", "/t/FAR/oauth2/token"]
)
async def test_a_prefix_of_nobody_is_not_found_even_at_a_tenants_host(three: InProcess, path: str):
    assert await status_at(three, path, "acme.example") == 404


async def test_a_path_that_only_one_system_has_names_its_tenant(three: InProcess):
    await three.add_tenant("cloud", "oneaccess")
    answer = await three.send(form(GRANT | {"client_id": "meter", "client_secret": SECRET}, "/api/v2/tenant/token"))

    assert read_claims(answer.json["id_token"])["iss"] == "https://id.example/t/cloud"


async def test_a_host_whose_tenant_lacks_the_path_leaves_it_to_the_others(three: InProcess):
    await three.add_tenant("cloud", "oneaccess")

    assert await status_at(three, "/api/v2/tenant/token", "acme.example") == 200


async def test_a_path_of_two_tenants_without_default_is_not_found(application: InProcess):
    await application.add_tenant("one", "oneaccess")
    await application.add_tenant("two", "oneaccess")

    assert await status_at(application, "/api/v2/tenant/token") == 404
    assert await status_at(application, "/t/two/api/v2/tenant/token") == 200


async def test_a_default_of_another_system_does_not_take_a_path_it_lacks(three: InProcess):
    await three.add_tenant("one", "oneaccess")
    await three.add_tenant("two", "oneaccess")

    assert await status_at(three, "/api/v2/tenant/token") == 404


async def test_a_suspended_tenant_answers_as_if_it_were_not_there(three: InProcess):
    await suspend_tenant(three.administration, "far", suspended=True)
    await three.application.refresh()
    absent = await three.send(form(GRANT, "/t/nobody/oauth2/token", authorization=BASIC))
    suspended = await three.send(form(GRANT, "/t/far/oauth2/token", authorization=BASIC))

    assert (suspended.status, suspended.body) == (absent.status, absent.body) == (404, b'{"error":"not_found"}')

    await suspend_tenant(three.administration, "far", suspended=False)
    await three.application.refresh()
    assert await issuer_at(three, "/t/far/oauth2/token") == "https://id.example/t/far"


# The identifier inside a message.

IDS = {"one": "1" * 32, "two": "2" * 32}


@pytest.fixture
async def controllers(application: InProcess) -> InProcess:
    """Two Omada tenants at one path, apart by their omadacId alone; their clients have different secrets."""
    for tenant_id, identifier in IDS.items():
        await application.add_tenant(tenant_id, "omada", identifier=identifier)
        await application.add_client(tenant_id, f"only-{tenant_id}", f"secret of {tenant_id}")
    return application


async def ask_controller(
    application: InProcess, identifier: str, tenant: str, path: str = OMADA.path, host: str = "127.0.0.1"
) -> Any:
    members = {"omadacId": identifier, "client_id": f"only-{tenant}", "client_secret": f"secret of {tenant}"}
    request = omada(members, path=path)
    answer: Answer = await application.send(request._replace(headers={**request.headers, "host": host}))
    return answer.json["errorCode"]


@pytest.mark.parametrize("tenant", ["one", "two"])
async def test_an_identifier_in_the_message_names_its_tenant(controllers: InProcess, tenant: str):
    assert await ask_controller(controllers, IDS[tenant], tenant) == 0


async def test_a_client_is_known_in_its_own_tenant_alone(controllers: InProcess):
    assert await ask_controller(controllers, IDS["one"], "two") == -44106


async def test_an_identifier_of_nobody_is_refused(controllers: InProcess):
    assert await ask_controller(controllers, "3" * 32, "one") == -7131


async def test_an_identifier_must_agree_with_the_prefix(controllers: InProcess):
    path = f"/t/one{OMADA.path}"

    assert await ask_controller(controllers, IDS["one"], "one", path) == 0
    assert await ask_controller(controllers, IDS["two"], "two", path) == -7131


async def test_an_identifier_must_agree_with_the_host(controllers: InProcess):
    await controllers.add_tenant("hosted", "omada", identifier="4" * 32, hosts=("omada.example",))
    await controllers.add_client("hosted", "only-hosted", "secret of hosted")

    assert await ask_controller(controllers, "4" * 32, "hosted", host="omada.example") == 0
    assert await ask_controller(controllers, IDS["one"], "one", host="omada.example") == -7131


async def test_an_identifier_names_another_tenant_than_the_default(controllers: InProcess):
    await controllers.add_tenant("main", "omada", identifier="5" * 32, is_default=True)

    assert await ask_controller(controllers, IDS["two"], "two") == 0


@pytest.mark.rfc("8414", "3.1")
@pytest.mark.parametrize("path", [METADATA, "/.well-known/openid-configuration", "/oauth2/jwks"])
async def test_what_carries_no_identifier_is_not_found_where_only_that_names_a_tenant(
    controllers: InProcess, path: str
):
    assert (await controllers.send(Request("GET", path, {}))).status == 404
    assert (await controllers.send(Request("GET", f"/t/one{path}", {}))).status == 200


async def test_the_administrative_tenant_leaves_the_bare_paths_to_others(application: InProcess):
    await application.add_tenant("first")

    assert any(one.is_administrative for one in await application.administration.store.tenants.list())
    bare = await application.send(Request("GET", "/oauth2/jwks", {}))
    named = await application.send(Request("GET", "/t/admin/oauth2/jwks", {}))
    first = await application.send(Request("GET", "/t/first/oauth2/jwks", {}))
    assert (bare.status, bare.body) == (200, first.body)
    assert named.status == 200
    assert named.body != first.body
