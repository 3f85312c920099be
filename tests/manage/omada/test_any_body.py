"""Whatever is sent, the answer is an envelope of the closed list, and never a fault of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mintmark.api.omada.envelope import CODES
from mintmark.api.omada.server import TABLE
from tests.life.conftest import Template, make_folder
from tests.life.world import Clock, Sent, copy_state, drive, open_world
from tests.manage.omada.world import MSP_ID, OMADAC_ID, SITE, Omada

NUMBERS = {row.number for name, row in CODES.items() if name not in {"general_error", "unavailable"}}
TARGETS = [(row.method, row.family, row.path) for row in TABLE.operations]
TARGETS += [("POST", family, "/batch") for family in ("controller", "msp")]
MEMBERS = {field.encode_name for row in TABLE.operations if row.takes for field in msgspec.structs.fields(row.takes)}
NAMES = st.sampled_from(sorted(MEMBERS | {"actions", "method", "path", "query", "body", "interrupt", "x"}))
VALID = {
    **SITE,
    "appName": "job",
    "roleId": "viewer_id",
    "customerName": "East",
    "siteNamePrefix": "Copy ",
    "targetSiteNum": 1,
    "siteImportConfigList": [{"siteName": "Moved", "siteConfig": SITE}],
}
"""Enough for every call; with a few members replaced it is often nearly right."""
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=70)
    | st.sampled_from(["POST", "viewer_id", f"/openapi/v1/{OMADAC_ID}/sites", "\x00", "\ud800"])
)
BODIES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6), max_leaves=12
)
NEARLY = st.dictionaries(NAMES, BODIES, max_size=2).map(lambda replaced: {**VALID, **replaced})


class Shared:
    """A world that all examples share, and its loop."""

    def __init__(self, template: Template, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self._open(template, folder))

    async def _open(self, template: Template, folder: Path) -> None:
        state_dir = copy_state(template.state_dir, folder)
        self.omada = Omada(await open_world(state_dir, Clock(), template.administration), state_dir)
        await self.omada.fill()

    async def send(self, method: str, family: str, path: str, octets: bytes) -> Any:
        token = await self.omada.token("owner" if family == "controller" else "msp owner")
        under = OMADAC_ID if family == "controller" else f"msp/{MSP_ID}"
        headers = {"authorization": f"AccessToken={token}", "content-type": "application/json"}
        sent = Sent(method, f"/openapi/v1/{under}{path}?page=1&pageSize=2", headers, octets)
        return await drive(self.omada.world.app, sent, "192.0.2.7")


@pytest.fixture(scope="module")
def shared(template: Template) -> Iterator[Shared]:
    with make_folder() as folder:
        made = Shared(template, Path(folder))
        yield made
        made.loop.run_until_complete(made.omada.world.close())
        made.loop.close()


def judge(answer: Any) -> None:
    assert answer.status in {200, 413}, answer
    assert answer.json["errorCode"] in NUMBERS - {CODES["action_failed"].number}
    for inner in (answer.json.get("result") or {}).get("response", []) if "response" in answer.body.decode() else []:
        assert inner["errorCode"] != CODES["action_failed"].number


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(target=st.sampled_from(TARGETS), segment=st.text(min_size=1, max_size=12), body=BODIES | NEARLY)
def test_any_json_is_answered_by_an_envelope(
    shared: Shared, target: tuple[str, str, str], segment: str, body: object
) -> None:
    method, family, template = target
    path = "/".join(segment if part.startswith("{") else part for part in template.split("/")).replace("?", "")
    octets = json.dumps(body).encode()
    judge(shared.loop.run_until_complete(shared.send(method, family, path, octets)))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    actions=st.lists(
        st.fixed_dictionaries({"method": st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]), "body": BODIES}),
        max_size=4,
    ),
    target=st.sampled_from(TARGETS),
)
def test_any_action_is_answered_by_an_envelope(
    shared: Shared, actions: list[dict[str, Any]], target: tuple[str, str, str]
) -> None:
    prefix = f"/openapi/v1/{OMADAC_ID}" if target[1] == "controller" else f"/openapi/v1/msp/{MSP_ID}"
    batch = {"interrupt": False, "actions": [{**one, "path": prefix + target[2]} for one in actions]}
    octets = json.dumps(batch).encode()
    judge(shared.loop.run_until_complete(shared.send("POST", target[1], "/batch", octets)))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(octets=st.binary(max_size=60) | st.just(b"[" * 100_000), target=st.sampled_from(TARGETS))
def test_any_octets_are_answered_by_an_envelope(shared: Shared, octets: bytes, target: tuple[str, str, str]) -> None:
    method, family, path = target
    judge(shared.loop.run_until_complete(shared.send(method, family, path, octets)))
