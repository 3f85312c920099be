"""Who may do what, and where: every operation of the table, with every single scope, from every relation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from mintmark.admin.clients import ClientRequest, register_client
from mintmark.admin.permissions import PERMISSIONS
from mintmark.api.table import TABLE
from mintmark.protocol.secret import Secret
from tests.endpoints.in_process import SECRET
from tests.endpoints.servers import Answer
from tests.manage.asking import ask, fill, kind
from tests.manage.world import World

OPERATIONS: Final = {one.name: one for one in TABLE.operations}
RELATIONS: Final = {
    "own": ("own", "own"),
    "customer": ("hub", "spoke"),
    "administrative": ("admin", "own"),
    "foreign": ("foreign", "own"),
    "the msp itself": ("spoke", "hub"),
}
"""The caller's tenant, and the tenant that it asks for."""
REACHING: Final = ("own", "customer", "administrative")
UNPLACED: Final = frozenset({"listTenants", "createTenant", "listExpiringSecrets", "listAudit", "runBatch"})
"""Operations whose path names no tenant: what they reach shows in what they answer."""


async def test_a_token_without_the_one_scope_is_refused_whatever_it_asks_and_wherever(world: World):
    tokens = {(tenant, scope): await world.token(tenant, scope) for tenant, _ in RELATIONS.values() for scope in SCOPES}
    places = {target: await fill(world, target) for _, target in RELATIONS.values()}
    wrong = {}
    for operation in OPERATIONS.values():
        for relation, (tenant, target) in RELATIONS.items():
            for scope in SCOPES - {operation.permission}:
                answer = await ask(world, operation, tokens[tenant, scope], places[target])
                if operation.permission and (answer.status, kind(answer)) != (403, "insufficient-scope"):
                    wrong[operation.name, relation, scope] = (answer.status, answer.body)

    assert wrong == {}
    assert len(tokens) > 50


async def test_what_is_out_of_reach_is_not_found_with_any_scope(world: World):
    wrong = {}
    for relation in ("foreign", "the msp itself"):
        tenant, target = RELATIONS[relation]
        place = await fill(world, target)
        for operation in (one for one in OPERATIONS.values() if one.name not in UNPLACED):
            there = await ask(world, operation, await world.token(tenant, operation.permission), place)
            nowhere = await ask(world, operation, await world.token(tenant, operation.permission), NOWHERE)
            if (there.status, kind(there)) != (404, "not-found") or same(there) != same(nowhere):
                wrong[operation.name, relation] = (there.status, there.body)

    assert wrong == {}


@pytest.mark.parametrize("relation", REACHING)
@pytest.mark.parametrize("name", OPERATIONS)
async def test_the_one_scope_is_enough_for_its_operation(world: World, name: str, relation: str):
    operation, (tenant, target) = OPERATIONS[name], RELATIONS[relation]
    place = await fill(world, target)
    token = await world.token(tenant, operation.permission or "clients:read")

    answer = await ask(world, operation, token, place, msp="hub" if relation == "customer" else None)

    if name == "createTenant" and relation == "own":
        assert (answer.status, kind(answer)) == (403, "refused")
    else:
        assert answer.status == operation.success, answer.body


@pytest.mark.parametrize("name", OPERATIONS)
async def test_without_a_token_or_with_one_for_another_audience_there_is_nothing(world: World, name: str):
    request = ClientRequest(
        tenant_id="admin", client_id="stranger", client_secret=Secret(SECRET), scope=tuple(sorted(PERMISSIONS))
    )
    await register_client(world.process.administration, request)
    await world.process.application.refresh()
    place = await fill(world, "own")
    strange = await world.token("admin", client_id="stranger")

    nobody = await ask(world, OPERATIONS[name], None, place)
    stranger = await ask(world, OPERATIONS[name], strange, place)

    assert (nobody.status, kind(nobody)) == (401, "no-token")
    assert (stranger.status, kind(stranger)) == (401, "invalid-token")
    assert "error=" not in (nobody.header("www-authenticate") or "")
    assert 'error="invalid_token"' in (stranger.header("www-authenticate") or "")


async def test_lists_show_what_is_within_reach_and_nothing_else(world: World):
    seen = {}
    for tenant in ("admin", "hub", "spoke", "own", "foreign"):
        answer = await world.call("GET", "/tenants", await world.token(tenant, "tenants:read"))
        seen[tenant] = [one["tenant_id"] for one in answer.json["items"]]

    assert set(seen.pop("admin")) >= {"admin", "hub", "spoke", "own", "foreign"}
    assert seen == {"hub": ["hub", "spoke"], "spoke": ["spoke"], "own": ["own"], "foreign": ["foreign"]}


async def test_nobody_gives_a_client_a_permission_that_he_has_not(world: World):
    token = await world.token("own", "clients:write")
    body = {"scope": ["clients:write", "keys:rotate"], "audience": ["urn:mintmark:management"]}

    made = await world.call("POST", "/tenants/own/clients", token, body)
    without_audience = {"client_id": "sleeper", "scope": body["scope"]}
    slept = await world.call("POST", "/tenants/own/clients", token, without_audience)
    woken = await world.call("PATCH", "/tenants/own/clients/sleeper", token, {"audience": body["audience"]})
    secret = await world.call("POST", "/tenants/own/clients/manager/secrets", token, {})

    assert (made.status, kind(made)) == (403, "refused")
    assert slept.status == 201
    assert (woken.status, kind(woken)) == (403, "refused")
    assert (secret.status, kind(secret)) == (403, "refused"), "a secret of who may more is as good as his token"


SCOPES: Final = frozenset(PERMISSIONS)
NOWHERE: Final[Mapping[str, str]] = {
    "tenant_id": "nowhere",
    "client_id": "subject",
    "secret_id": "0" * 16,
    "kid": "k",
    "token_id": "0" * 16,
    "token": "x",
    "token_name": "0" * 16,
}


def same(answer: Answer) -> dict[str, Any]:
    """A problem without what differs by chance."""
    return {**answer.json, "correlation_id": ""}
