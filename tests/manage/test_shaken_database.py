"""PostgreSQL ends sessions beneath an application at work: whatever was asked is answered as ever, or with 503."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from mintmark.admin.deployment import create_administrator, initialize
from mintmark.admin.registration import create_initial_token
from mintmark.admin.tenants import TenantChanges, TenantRequest, change_tenant, create_tenant
from mintmark.api.table import TABLE
from mintmark.protocol.errors import StoreUnavailable
from mintmark.settings import load_settings
from tests.endpoints.in_process import SECRET, Clock, InProcess, open_in_process
from tests.endpoints.servers import Request
from tests.endpoints.systems import basic, form
from tests.life.world import Clock as LifeClock
from tests.life.world import World as LifeWorld
from tests.manage.asking import ask, fill
from tests.manage.omada.world import OMADAC_ID, SITE, Omada
from tests.manage.world import ORIGIN, World, add_manager, make_world
from tests.postgresql import Postgres

EACH: Final = 3
"""Of one kind of call, at the same time."""
OURS: Final = {"host": "id.example", "authorization": basic("manager", SECRET)}

Call = Callable[[], Awaitable[Any]]


class Shaken(NamedTuple):
    """An application on PostgreSQL with tenants of three systems, and what ends its sessions."""

    world: World
    omada: Omada
    end_sessions: Callable[[], None]

    @property
    def process(self) -> InProcess:
        return self.world.process

    @asynccontextmanager
    async def shaking(self) -> AsyncIterator[None]:
        """End all sessions over and over."""
        is_over = asyncio.Event()

        async def shake() -> None:
            while not is_over.is_set():
                await asyncio.to_thread(self.end_sessions)
                await asyncio.sleep(random.uniform(0, 0.02))

        shaker = asyncio.create_task(shake())
        try:
            yield
        finally:
            is_over.set()
            await shaker


@pytest_asyncio.fixture
async def shaken(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Shaken]:
    url = postgres.create()
    # All that it does by itself it does often.
    settings = {"database_url": url, "upkeep_interval_s": 0.05, "refresh_interval_s": 0.05}
    made = await initialize(load_settings(None, {"state_dir": tmp_path, **settings}, {}))
    await create_administrator(made, f"{ORIGIN}/t/admin")
    await made.store.close()
    process = await open_in_process(tmp_path, Clock(), **settings)
    world = await make_world(process)
    for request in (describe_tenant("opaque", form="opaque"), describe_tenant("wso2", "wso2")):
        await create_tenant(process.administration, request)
        await add_manager(process, request.tenant_id)
    for tenant_id in ("own", "wso2"):
        await change_tenant(process.administration, tenant_id, TenantChanges(allows_registration=True))
    life = LifeWorld(process.administration, process.application, LifeClock())
    omada = Omada(life, tmp_path)
    await omada.fill()
    process.application.follow_changes()
    yield Shaken(world, omada, partial(postgres.end_sessions, url))
    await process.application.close()


def describe_tenant(tenant_id: str, dialect: str = "oauth2", **rules: Any) -> TenantRequest:
    issuer = f"{ORIGIN}/t/{tenant_id}"
    return TenantRequest(tenant_id=tenant_id, dialect=dialect, issuer=issuer, token_rules={"alg": "ES256", **rules})


async def rest_calls(shaken: Shaken) -> list[Call]:
    """Every operation of the table; those that remove something on a tenant of their own."""
    world, places = shaken.world, []
    for tenant_id in ("kept", "removed"):
        await create_tenant(world.process.administration, describe_tenant(tenant_id))
        await add_manager(world.process, tenant_id)
        places.append(await fill(world, tenant_id))
    token = await world.token("admin")
    path = "/tenants/kept/clients"
    actions = [{"method": "POST", "path": f"/api/v1{path}", "body": {"client_id": one}} for one in "abcabc"]
    return [
        *(partial(ask, world, one, token, places[one.method == "DELETE"]) for one in TABLE.operations),
        partial(world.call, "POST", "/batch", token, {"actions": actions, "interrupt": False}),
        partial(world.call, "POST", path, token, {"client_id": "once"}, Idempotency_Key="key"),
    ]


async def endpoint_calls(shaken: Shaken) -> list[Call]:
    """What clients ask for: tokens, about tokens, and to be registered."""
    send, calls = shaken.process.send, []
    for tenant_id in ("own", "opaque", "wso2"):
        token, prefix = await shaken.world.token(tenant_id), f"/t/{tenant_id}/oauth2"
        shown = {"host": "id.example", "authorization": f"Bearer {token}"}
        calls += [
            form({"grant_type": "client_credentials"}, f"{prefix}/token", **OURS),
            form({"token": token}, f"{prefix}/introspect", **OURS),
            form({"token": token}, f"{prefix}/revoke", **OURS),
            Request("GET", f"{prefix}/check", shown),
            Request("GET", f"{prefix}/jwks", shown),
        ]
    _, initial = await create_initial_token(shaken.process.administration, "own", uses=100, lifetime_s=600)
    metadata, of_json = b'{"client_name":"Branch 7"}', {**OURS, "content-type": "application/json"}
    bearer = {**of_json, "authorization": f"Bearer {initial.reveal()}"}
    calls += [
        Request("POST", "/t/own/connect/register", bearer, metadata),
        Request("POST", "/t/wso2/api/identity/oauth2/dcr/v1.1/register", of_json, metadata),
        Request("GET", "/readyz", {}),
    ]
    return [partial(send, request) for request in calls]


async def omada_calls(shaken: Shaken) -> list[Call]:
    """The Open API, and its refresh tokens."""
    omada, under = shaken.omada, f"/openapi/v1/{OMADAC_ID}"
    app, token = omada.apps["owner"], await omada.token("owner")
    presented = (await omada.tokens(app))["refreshToken"]
    refresh = f"/t/omada/openapi/authorize/token?grant_type=refresh_token&refresh_token={presented}"
    sites = [{"method": "POST", "path": f"{under}/sites", "body": {**SITE, "name": one}} for one in "abc"]
    return [
        partial(omada.send, "POST", refresh, {"client_id": app.client_id, "client_secret": app.client_secret}),
        partial(omada.send, "GET", f"{under}/sites?page=1&pageSize=9", None, token),
        partial(omada.send, "GET", f"{under}/applications?page=1&pageSize=9", None, token),
        partial(omada.send, "POST", f"{under}/batch", {"actions": sites}, token),
    ]


def is_foreseen(entry: Mapping[str, Any]) -> bool:
    """Whether a line of the log tells of a database that is away. Some lines do not say of what."""
    fault = entry.get("exc_info", entry.get("error"))
    is_unnamed = entry["event"] in {"open_api_failed", "events_not_recorded", "last_use_not_written"}
    return isinstance(fault, StoreUnavailable) or "StoreUnavailable" in str(fault) or is_unnamed


def is_as_ever(answer: Any) -> bool:
    """Whether there is an answer, and it tells of no fault of ours; nor an action's within a batch."""
    if isinstance(answer, BaseException):
        return False
    return answer.status != 500 and b'"status":500' not in answer.body and b"-1620" not in answer.body


async def test_whatever_is_asked_while_sessions_end_is_answered_as_ever_or_with_503(
    shaken: Shaken, caplog: pytest.LogCaptureFixture
):
    calls = [*(await rest_calls(shaken)), *(await endpoint_calls(shaken)), *(await omada_calls(shaken))] * EACH
    random.shuffle(calls)
    with capture_logs() as log, caplog.at_level(logging.ERROR):
        async with shaken.shaking():
            answers = await asyncio.gather(*(call() for call in calls), return_exceptions=True)

    assert [pair for pair in zip(calls, answers, strict=True) if not is_as_ever(pair[1])] == []
    assert [one for one in log if one["log_level"] == "error" and not is_foreseen(one)] == []
    assert caplog.records == []
    statuses = Counter(one.status for one in answers)  # type: ignore[union-attr]
    assert statuses[503] > 0, "the faults were felt"
    assert statuses[200] > 0, "and not by all"
