"""What a site may say of itself: so much, and so deep, whoever copies or reads it later."""

from __future__ import annotations

from typing import Any

import pytest

from mintmark.admin.export import export_declaration
from mintmark.admin.sites import MAX_DETAILS_DEPTH, MAX_DETAILS_OCTETS
from tests.manage.omada.world import SITE, Omada


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


async def test_a_site_of_many_octets_is_refused(omada: Omada):
    big = {**SITE, "name": "big", "dst": {"x": "y" * MAX_DETAILS_OCTETS}}

    assert (await omada.call("POST", "/sites", big))["errorCode"] == -1001


async def test_the_copies_of_one_call_are_bounded_in_sum(omada: Omada):
    big = {**SITE, "name": "big", "dst": {"x": "y" * (MAX_DETAILS_OCTETS - 100)}}
    site_id = (await omada.call("POST", "/sites", big))["result"]["siteId"]
    copy = {"sourceSiteId": site_id, "siteNamePrefix": "c"}
    answers = [await omada.call("POST", "/sites/copy", {**copy, "targetSiteNum": number}) for number in (300, 60)]

    assert [one["errorCode"] == 0 for one in answers] == [False, True]


@pytest.mark.parametrize("levels", [MAX_DETAILS_DEPTH, 100, 800])
async def test_deep_details_never_come_in_and_lists_and_exports_go_on(omada: Omada, levels: int):
    answer = await omada.call("POST", "/sites", {**SITE, "name": "deep", "dst": nested(levels)})
    assert answer["errorCode"] == -1001
    changed = {name: value for name, value in SITE.items() if name != "name"} | {"dst": nested(levels)}
    assert (await omada.call("PUT", f"/sites/{omada.sites['Beach']}", changed))["errorCode"] == -1001
    deepest = {**SITE, "name": "deep", "dst": nested(MAX_DETAILS_DEPTH - 1)}
    assert (await omada.call("POST", "/sites", deepest))["errorCode"] == 0
    listed = await omada.call("GET", "/sites?page=1&pageSize=100")
    text = "".join([part async for part in export_declaration(omada.administration)])

    assert listed["errorCode"] == 0
    assert "omada" in text
