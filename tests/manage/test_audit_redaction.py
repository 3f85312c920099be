"""Whatever is done, no secret, token, hash or sealed key is in the audit log."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mintmark.admin.audit import describe_record, export_audit
from mintmark.admin.client_secrets import add_secret, reset_secret, rotate_secret
from mintmark.admin.clients import ClientChanges, ClientRequest, change_client, register_client, remove_client
from mintmark.admin.keys import reset_encryption_key, revoke_key, rotate_signing_key
from mintmark.admin.tenants import TenantChanges, change_tenant
from mintmark.protocol.secret import Secret
from tests.endpoints.deployments import Deployment
from tests.life.world import Caller, Clock, World, inquiry, open_world

DIALECTS = ("oauth2", "omada", "wso2")


class Doing:
    """A world, its callers, and what must never be told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.administration = world.administration
        self.hidden: set[str] = set()
        self.callers: dict[str, Caller] = {}

    async def add_client(self, tenant_id: str) -> None:
        self.callers[tenant_id] = await self.world.add_client(tenant_id)
        self.hidden.add(self.callers[tenant_id].client_secret)

    def renew(self, caller: Caller, secret: Secret) -> None:
        self.hidden.add(secret.reveal())
        self.callers[caller.tenant] = caller._replace(client_secret=secret.reveal())

    async def issue(self, caller: Caller) -> dict[str, str]:
        await self.world.application.refresh()
        issued = await self.world.issue(caller)
        tokens = {name: value for name, value in issued.items() if name.lower().replace("_", "").endswith("token")}
        self.hidden |= set(tokens.values())
        return tokens


Step = Callable[[Doing, Caller, str], Awaitable[None]]


async def register(doing: Doing, caller: Caller, text: str) -> None:
    request = ClientRequest(tenant_id=caller.tenant, client_secret=Secret(text))
    doing.hidden |= {text, (await register_client(doing.administration, request)).client.secrets[0].hash}


async def add_a_secret(doing: Doing, caller: Caller, text: str) -> None:
    ends = int(doing.world.clock.now) + 1
    record, secret = await add_secret(doing.administration, caller.tenant, caller.client_id, expires_at=ends)
    doing.hidden |= {record.hash, secret.reveal()}
    # WSO2's older ones still count for a while: nothing else is added to that client.
    await remove_client(doing.administration, caller.tenant, caller.client_id)
    await doing.add_client(caller.tenant)


async def rotate_a_secret(doing: Doing, caller: Caller, text: str) -> None:
    _, secret = await rotate_secret(doing.administration, caller.tenant, caller.client_id, overlap_s=0)
    doing.renew(caller, secret)


async def reset_a_secret(doing: Doing, caller: Caller, text: str) -> None:
    doing.renew(caller, await reset_secret(doing.administration, caller.tenant, caller.client_id))


async def change_a_client(doing: Doing, caller: Caller, text: str) -> None:
    changes = ClientChanges(client_name=f"name {len(text)}")
    await change_client(doing.administration, caller.tenant, caller.client_id, changes)


async def change_a_tenant(doing: Doing, caller: Caller, text: str) -> None:
    await change_tenant(doing.administration, caller.tenant, TenantChanges(title=f"title {len(text)}"))


async def refresh(doing: Doing, caller: Caller, text: str) -> None:
    tokens = await doing.issue(caller)
    if "refreshToken" in tokens:
        answer = await doing.world.refresh(caller, tokens["refreshToken"])
        doing.hidden |= {answer["result"]["accessToken"], answer["result"]["refreshToken"]}


async def revoke(doing: Doing, caller: Caller, text: str) -> None:
    await doing.world.revoke(caller, next(iter((await doing.issue(caller)).values())))


async def guess(doing: Doing, caller: Caller, text: str) -> None:
    doing.hidden.add(text)
    for wrong in (caller._replace(client_secret=text), caller._replace(client_id=text)):
        await doing.world.send(inquiry(wrong, "introspect", text))


async def rotate_a_key(doing: Doing, caller: Caller, text: str) -> None:
    key = await rotate_signing_key(doing.administration, caller.tenant, "ES256", announce_s=3600)
    doing.hidden.add(key.sealed.hex())


async def revoke_a_key(doing: Doing, caller: Caller, text: str) -> None:
    keys = await doing.administration.store.keys.list(caller.tenant)
    active = max((key for key in keys if key.use == "sig"), key=lambda key: -key.active_from)
    await revoke_key(doing.administration, caller.tenant, active.kid)


async def reset_a_key(doing: Doing, caller: Caller, text: str) -> None:
    doing.hidden.add((await reset_encryption_key(doing.administration, caller.tenant))["k"])


STEPS: list[Step] = [
    register,
    add_a_secret,
    rotate_a_secret,
    reset_a_secret,
    change_a_client,
    change_a_tenant,
    refresh,
    revoke,
    guess,
    rotate_a_key,
    revoke_a_key,
    reset_a_key,
]
ACTS = st.lists(
    st.tuples(st.sampled_from(STEPS), st.sampled_from(DIALECTS), st.text("abcdefghijklmnop", min_size=16, max_size=20)),
    max_size=12,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_no_secret_is_told_whatever_is_done(bare_deployment: Deployment, acts: list[tuple[Step, str, str]]) -> None:
    async def run(folder: Path) -> None:
        world = await open_world(bare_deployment.copy_to(folder).state_dir, Clock())
        doing = Doing(world)
        for dialect in DIALECTS:
            await world.add_tenant(dialect, dialect)
            await doing.add_client(dialect)
        for step, tenant_id, text in acts:
            await step(doing, doing.callers[tenant_id], text)
        await world.application._recording.write_events()
        told = [str(describe_record(record)) async for record in export_audit(world.administration)]
        await world.close()
        assert len(told) >= 3 + len(acts)
        assert [secret for secret in doing.hidden for line in told if secret in line] == []

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
