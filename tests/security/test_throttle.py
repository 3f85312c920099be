"""Guessing is braked by caller and client, and no stranger locks anybody out. RFC 6749 sections 2.3.1, 10.10."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from mintmark.authentication.secrets import generate_secret
from tests.endpoints.in_process import SECRET, InProcess
from tests.endpoints.servers import Answer
from tests.endpoints.systems import DEFAULT, OMADA, ask, basic, form, omada

WRONG = generate_secret().reveal()
CALLER, ANOTHER = "192.0.2.7", "192.0.2.8"


@pytest.fixture
async def braked(make_application: Callable[..., Awaitable[InProcess]]) -> InProcess:
    """Three failures a client, ten in all."""
    application = await make_application(failures_per_client=3, failures_per_source=10)
    await application.add_tenant("main", is_default=True)
    await application.add_client("main", "other")
    return application


async def attempt(
    application: InProcess, client_id: str = "meter", secret: str = WRONG, source: str = CALLER
) -> Answer:
    return await application.send(ask(DEFAULT, client_id=client_id, client_secret=secret), source)


async def right(application: InProcess, client_id: str = "meter", source: str = CALLER) -> int:
    return (await attempt(application, client_id, SECRET, source)).status


async def guess(application: InProcess, times: int, client_id: str = "meter", source: str = CALLER) -> list[int]:
    return [(await attempt(application, client_id, source=source)).status for _ in range(times)]


@pytest.mark.rfc("6749", "2.3.1")
async def test_guessing_one_clients_secret_is_braked(braked: InProcess):
    assert await guess(braked, 5) == [401, 401, 401, 429, 429]


async def test_a_braked_caller_is_told_when_to_come_again(braked: InProcess):
    await guess(braked, 3)

    answer = await attempt(braked)

    assert (answer.status, answer.json["error"]) == (429, "temporarily_unavailable")
    assert answer.header("retry-after") == "60"


def without_id(answer: Answer) -> Answer:
    return answer._replace(headers=tuple(pair for pair in answer.headers if pair[0] != "x-correlation-id"))


async def test_a_braked_caller_cannot_tell_a_right_secret(braked: InProcess):
    await guess(braked, 3)
    wrong, right = await attempt(braked), await attempt(braked, secret=SECRET)

    assert without_id(wrong) == without_id(right)


@pytest.mark.rfc("6749", "10.10")
async def test_a_stranger_does_not_lock_a_client_out(braked: InProcess):
    await guess(braked, 8, source=ANOTHER)

    assert await right(braked) == 200


async def test_a_braked_callers_other_clients_go_on(braked: InProcess):
    await guess(braked, 5)

    assert await right(braked, "other") == 200


async def test_guessing_over_many_clients_is_braked_by_caller(braked: InProcess):
    statuses = [(await attempt(braked, f"client-{number}")).status for number in range(12)]

    assert statuses == [401] * 10 + [429] * 2
    assert await right(braked, "other") == 429
    assert await right(braked, "other", ANOTHER) == 200


async def test_a_brake_is_let_go_with_the_next_minute(braked: InProcess):
    await guess(braked, 3)
    braked.clock.now += 60

    assert await right(braked) == 200


async def test_success_is_never_counted(braked: InProcess):
    assert {await right(braked) for _ in range(15)} == {200}


async def test_one_attempt_with_two_readings_counts_once(braked: InProcess):
    request = form({"grant_type": "client_credentials"}, authorization=basic("meter", "a%20b+c"))

    assert [(await braked.send(request)).status for _ in range(4)] == [401, 401, 401, 429]


async def test_requests_that_present_nothing_are_no_guesses(braked: InProcess):
    for _ in range(12):
        await braked.send(form({"grant_type": "client_credentials"}))

    assert await right(braked) == 200


async def test_tenants_do_not_share_their_clients_failures(braked: InProcess):
    await braked.add_tenant("twin")
    await guess(braked, 3)

    answer = await braked.send(
        ask(DEFAULT, client_id="meter", client_secret=SECRET)._replace(target="/t/twin/oauth2/token")
    )

    assert answer.status == 200


async def test_a_braked_omada_caller_is_told_so_in_the_vendors_words(braked: InProcess):
    await braked.add_tenant("omada", "omada", identifier="1" * 32)
    request = omada({"omadacId": "1" * 32, "client_id": "meter", "client_secret": "0" * 32}, path=OMADA.path)
    answers = [await braked.send(request) for _ in range(4)]

    assert (answers[3].status, answers[3].json["errorCode"]) == (429, -7132)
