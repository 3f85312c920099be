"""Whatever is done in whatever order, an application that is limited to some sites sees and touches no other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from mintmark.store.records import SiteRecord
from tests.life.conftest import Template, make_folder
from tests.life.world import Clock, copy_state, open_world
from tests.manage.omada.world import ADMIN, OMADAC_ID, SITE, SUPER, VIEWER, Omada

PICK = st.integers(0, 50)
CHANGED = {name: value for name, value in SITE.items() if name != "name"}


class Limits(RuleBasedStateMachine):
    """An owner changes sites and privileges at random; a limited application tries everything in between."""

    template: Template

    @initialize(role=st.sampled_from([SUPER, ADMIN, VIEWER]))
    def begin(self, role: str) -> None:
        self.folder = make_folder()
        self.loop = asyncio.new_event_loop()
        self.count = 0
        self.loop.run_until_complete(self._open(role))

    async def _open(self, role: str) -> None:
        state_dir = copy_state(self.template.state_dir, Path(self.folder.name))
        world = await open_world(state_dir, Clock(), self.template.administration)
        self.omada = Omada(world, state_dir)
        await self.omada.add_tenant("omada")
        await self.omada.add_app("owner", "omada", role=SUPER, all_sites=True)
        await self.omada.add_site("omada", self._new_name())
        await self.omada.add_site("omada", self._new_name())
        self.own = {self.omada.sites["site 1 end"]}
        await self.omada.add_app("limited", "omada", role=role, sites=tuple(self.own))

    def _new_name(self) -> str:
        self.count += 1
        return f"site {self.count} end"

    def sites(self) -> list[SiteRecord]:
        page = self.omada.administration.store.sites.page
        return self.loop.run_until_complete(page("omada", only=None, containing="", offset=0, limit=1000))[1]

    def foreign(self) -> list[SiteRecord]:
        """Return the sites that the limited application must not see."""
        return [site for site in self.sites() if site.site_id not in self.own]

    def pick(self, number: int) -> str:
        """Return the id of some site, or of none."""
        ids = [*sorted(self.own), *(site.site_id for site in self.sites()), "f" * 24]
        return ids[number % len(ids)]

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Call as the owner."""
        return self.loop.run_until_complete(self.omada.call(method, path, body))

    def tempt(self, method: str, path: str, body: object = None) -> Any:
        """Call as the limited application; nothing foreign may be in the answer, or be another afterwards."""
        before = self.foreign()
        answer = self.loop.run_until_complete(self.omada.call(method, path, body, by="limited"))
        for site in before:
            assert site.site_id not in repr(answer)
            assert site.name not in repr(answer)
        assert self.foreign() == before
        return answer

    @rule()
    def owner_creates(self) -> None:
        assert self.ask("POST", "/sites", {**SITE, "name": self._new_name()})["errorCode"] == 0

    @rule(number=PICK)
    def owner_copies(self, number: int) -> None:
        body = {"sourceSiteId": self.pick(number), "siteNamePrefix": f"{self._new_name()} copy ", "targetSiteNum": 2}
        assert self.ask("POST", "/sites/copy", body)["errorCode"] in {0, -1300}

    @rule(number=PICK)
    def owner_deletes(self, number: int) -> None:
        assert self.ask("DELETE", f"/sites/{self.pick(number)}")["errorCode"] in {0, -1300}

    @rule(numbers=st.lists(PICK, min_size=1, max_size=3))
    def owner_changes_the_privilege(self, numbers: list[int]) -> None:
        there = {site.site_id for site in self.sites()}
        chosen = {self.pick(number) for number in numbers}
        client_id = self.omada.apps["limited"].client_id
        answer = self.ask("PATCH", f"/applications/{client_id}", {"sites": sorted(chosen)})
        assert (answer["errorCode"] == 0) == (chosen <= there)
        if chosen <= there:
            self.own = chosen

    @rule(page=st.integers(1, 3), size=st.integers(1, 5), search=st.sampled_from(["", "site", "2", "%", "_"]))
    def limited_lists(self, page: int, size: int, search: str) -> None:
        answer = self.tempt("GET", f"/sites?page={page}&pageSize={size}&searchKey={search.replace('%', '%25')}")
        assert answer["result"]["totalRows"] <= len(self.own)

    @rule(number=PICK, method=st.sampled_from(["GET", "PUT", "DELETE"]))
    def limited_tries_a_site(self, number: int, method: str) -> None:
        site_id = self.pick(number)
        answer = self.tempt(method, f"/sites/{site_id}", CHANGED if method == "PUT" else None)
        if site_id not in self.own:
            assert answer["errorCode"] in {-1505, -1007}

    @rule(number=PICK, method=st.sampled_from(["PUT", "DELETE"]))
    def limited_tries_a_site_in_a_batch(self, number: int, method: str) -> None:
        site_id = self.pick(number)
        sent = {"method": method, "path": f"/openapi/v1/{OMADAC_ID}/sites/{site_id}", "body": CHANGED}
        answer = self.tempt("POST", "/batch", {"actions": [sent]})
        if site_id not in self.own:
            assert answer["result"]["response"][0]["errorCode"] in {-1505, -1007}

    @rule(number=PICK)
    def limited_tries_to_make_more(self, number: int) -> None:
        copy = {"sourceSiteId": self.pick(number), "siteNamePrefix": "x", "targetSiteNum": 1}
        moved = {"siteImportConfigList": [{"siteName": "x", "siteConfig": SITE}]}
        for path, body in (("/sites", SITE), ("/sites/copy", copy), ("/sites/multi-import", moved)):
            assert self.tempt("POST", path, body)["errorCode"] in {-1505, -1007}

    @rule(client=st.sampled_from(["owner", "limited"]))
    def limited_tries_applications(self, client: str) -> None:
        path = f"/applications/{self.omada.apps[client].client_id}"
        assert self.tempt("GET", "/applications?page=1&pageSize=10")["errorCode"] == -1007
        assert self.tempt("GET", path)["errorCode"] == -1007
        assert self.tempt("PATCH", path, {"allSites": True})["errorCode"] == -1007
        assert self.tempt("POST", f"{path}/reset-secret")["errorCode"] == -1007

    @invariant()
    def the_list_is_the_privilege(self) -> None:
        seen = self.tempt("GET", "/sites?page=1&pageSize=1000")["result"]["data"]
        there = {site.site_id for site in self.sites()}
        assert {one["siteId"] for one in seen} == self.own & there

    def teardown(self) -> None:
        if hasattr(self, "omada"):
            self.loop.run_until_complete(self.omada.world.close())
            self.loop.close()
            self.folder.cleanup()


def test_a_site_limited_application_never_sees_another_site(template: Template) -> None:
    machine = type("WithTemplate", (Limits,), {"template": template})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.parametrize("role", [SUPER, ADMIN, VIEWER])
async def test_an_msps_application_that_is_limited_sees_nothing_of_other_customers(omada: Omada, role: str) -> None:
    await omada.add_app("south only", "msp", role=role, customers=(omada.tenant_of("South"),))
    north, office = omada.customers["North"], omada.sites["North office"]
    under = "msp/" + omada.tenants["msp"]
    tried = [
        ("GET", "/customers?page=1&pageSize=10", None, under),
        ("GET", f"/customers/{north}", None, under),
        ("PATCH", f"/customers/{north}", {"description": "x"}, under),
        ("DELETE", f"/customers/{north}", None, under),
        ("GET", "/applications?page=1&pageSize=10", None, under),
        ("GET", "/sites?page=1&pageSize=10", None, north),
        ("DELETE", f"/sites/{office}", None, north),
        ("POST", "/sites", SITE, north),
        ("GET", f"/sites/{office}", None, omada.customers["South"]),
    ]
    for method, path, body, where in tried:
        answer = await omada.call(method, path, body, by="south only", under=where)
        assert office not in repr(answer)
        assert "North" not in repr(answer)
        assert north not in repr(answer)
    sent = [{"method": "DELETE", "path": f"/openapi/v1/{north}/sites/{office}"}]
    answer = await omada.call("POST", "/batch", {"actions": sent}, by="south only", under=under)
    assert answer["result"]["response"] == [{"errorCode": -1600, "msg": "Unsupported request path."}]
    assert await omada.administration.store.sites.find(omada.tenant_of("North"), office)
