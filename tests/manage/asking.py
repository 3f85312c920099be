"""Calls of any operation of the table, on things that are there for it, and the reading of refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mintmark.admin.clients import ClientRequest, register_client
from mintmark.admin.registration import create_initial_token
from mintmark.api.operation import Operation
from mintmark.protocol.secret import Secret
from tests.endpoints.in_process import SECRET
from tests.endpoints.servers import Answer
from tests.endpoints.tokens import read_claims
from tests.manage.world import World

WHOLE: Final[Mapping[str, Mapping[str, Any]]] = {
    "createTenant": {"tenant_id": "new", "dialect": "oauth2", "issuer": "https://id.example/t/new"},
    "changeTenant": {"token_rules": {"alg": "ES256", "lifetime_s": 60}},
    "runBatch": {"actions": [{"method": "GET", "path": "/api/v1/tenants"}], "interrupt": False},
}
"""Bodies where the example of the table would not do."""


async def fill(world: World, tenant_id: str) -> Mapping[str, str]:
    """Give a tenant a client with a spare secret and a spare token, and return what they are called."""
    administration = world.process.administration
    request = ClientRequest(tenant_id=tenant_id, client_id="subject", client_secret=Secret(SECRET))
    if await administration.store.clients.find(tenant_id, "subject") is None:
        await register_client(administration, request)
        await world.process.application.refresh()
    client = await administration.store.clients.find(tenant_id, "subject")
    assert client is not None
    keys = await administration.store.keys.list(tenant_id)
    initial, _ = await create_initial_token(administration, tenant_id)
    token = await world.token(tenant_id, client_id="subject")
    return {
        "tenant_id": tenant_id,
        "client_id": "subject",
        "secret_id": client.secrets[0].secret_id,
        "kid": keys[0].kid,
        "token_id": initial.token_id,
        "token": token,
        "token_name": read_claims(token)["jti"],
    }


async def ask(
    world: World, operation: Operation, token: str | None, place: Mapping[str, str], msp: str | None = None
) -> Answer:
    """Call an operation on a place, with a body that it takes."""
    body: dict[str, Any] | None = None
    if operation.takes is not None:
        body = dict(WHOLE.get(operation.name, operation.example or {}))
        if "token" in body:
            body["token"] = place["token"]
        if operation.name == "createTenant" and msp:
            body["msp_id"] = msp
    return await world.call(operation.method, operation.path.format_map(place), token, body)


def problem(answer: Answer) -> tuple[int, str]:
    """The status and the name of a refusal, which is a whole problem document. RFC: 9457."""
    assert answer.header("content-type") == "application/problem+json", answer
    assert answer.json["status"] == answer.status
    assert answer.json["correlation_id"] == answer.header("x-correlation-id")
    return answer.status, answer.json["type"].removeprefix("urn:mintmark:problem:")


def kind(answer: Answer) -> str:
    """The name of a refusal."""
    return problem(answer)[1]
