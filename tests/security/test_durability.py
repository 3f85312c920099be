"""What was answered is kept: through a kill, and by a running server that follows its administrator."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable

import pytest

from mintmark.admin.administration import Administration
from tests.endpoints.deployments import Deployment
from tests.endpoints.servers import Request, Server
from tests.endpoints.systems import DEFAULT, OMADA, ONEACCESS, WSO2, ask, basic, form

WITHIN_S = 3.0
"""A change shows within about a second; a busy machine may take longer, but not for ever."""


def keep_asking(server: Server, requests: list[Request], answered: list[str], stop: threading.Event) -> None:
    """Ask until the server is gone; note each token that came with a 200."""
    try:
        while not stop.is_set():
            for request in requests:
                answer = server.send(request)
                assert answer.status == 200
                result = answer.json.get("result", {})
                tokens = (answer.json.get("access_token"), result.get("accessToken"), result.get("refreshToken"))
                answered.extend(token for token in tokens if token)
    except OSError:
        pass


async def find_lost(administration: Administration, tokens: Iterable[str]) -> list[str]:
    digests = {token: hashlib.sha256(token.encode()).digest() for token in tokens}
    return [token for token, digest in digests.items() if await administration.store.tokens.find(digest) is None]


def test_every_token_that_was_answered_is_kept_through_a_kill(own_deployment: Deployment):
    opaque = ask(DEFAULT, client_id="meter", client_secret=own_deployment.secrets["opaque/meter"])
    requests = [ask(OMADA), ask(ONEACCESS), opaque._replace(target="/t/opaque/oauth2/token")]
    answered: list[str] = []
    stop = threading.Event()
    with Server(own_deployment.state_dir) as server:
        callers = [threading.Thread(target=keep_asking, args=(server, requests, answered, stop)) for _ in range(4)]
        for caller in callers:
            caller.start()
        while len(answered) < 150:
            time.sleep(0.01)
        server.kill()
        stop.set()
        for caller in callers:
            caller.join()
        assert len(answered) >= 150
        assert own_deployment.administer(lambda one: find_lost(one, answered)) == []

        server.start_again()
        assert server.send(ask(OMADA)).json["errorCode"] == 0
        assert own_deployment.administer(lambda one: find_lost(one, answered)) == []


def test_a_wso2_token_is_handed_out_again_after_a_kill(own_deployment: Deployment):
    with Server(own_deployment.state_dir) as server:
        before = server.send(ask(WSO2)).json["access_token"]
        server.kill()
        server.start_again()

        assert server.send(ask(WSO2)).json["access_token"] == before


# A running server follows its administrator.


def becomes(status: int, look: Callable[[], int]) -> bool:
    deadline = time.monotonic() + WITHIN_S
    while look() != status:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def changing(server: Server, deployment: Deployment) -> Callable[[], int]:
    """The status that the client `changing` gets, with the secret that it was made with."""
    secret = deployment.secrets["default/changing"]
    assert server.send(ask(DEFAULT, client_id="changing", client_secret=secret)).status == 200
    return lambda: server.send(ask(DEFAULT, client_id="changing", client_secret=secret)).status


def test_a_disabled_client_is_refused_and_an_enabled_one_served_again(
    changing: Callable[[], int], deployment: Deployment
):
    deployment.cli("client", "disable", "changing")
    assert becomes(401, changing)
    deployment.cli("client", "enable", "changing")
    assert becomes(200, changing)


def test_a_new_secret_works_beside_the_old_one_until_either_is_removed(
    server: Server, changing: Callable[[], int], deployment: Deployment
):
    made = json.loads(deployment.cli("client", "add-secret", "changing", "--json"))

    def with_new() -> int:
        header = basic("changing", made["client_secret"])
        return server.send(form({"grant_type": "client_credentials"}, authorization=header)).status

    assert becomes(200, with_new)
    assert changing() == 200
    deployment.cli("client", "remove-secret", "changing", made["secret_id"])
    assert becomes(401, with_new)
    assert changing() == 200


def test_a_new_client_of_a_new_tenant_is_served_and_a_removed_one_refused(server: Server, deployment: Deployment):
    deployment.cli("tenant", "create", "late", "--issuer", "https://late.example")
    made = json.loads(deployment.cli("client", "create", "--tenant", "late", "--client-id", "late", "--json"))
    request = ask(DEFAULT, client_id="late", client_secret=made["client_secret"])._replace(
        target="/t/late/oauth2/token"
    )

    def look() -> int:
        return server.send(request).status

    assert becomes(200, look)
    deployment.cli("client", "remove", "--tenant", "late", "late")
    assert becomes(401, look)
    deployment.cli("tenant", "suspend", "late")
    assert becomes(404, look)
