"""Every call of the Open API is counted once, by its row, of which tenant, and what became of it."""

from __future__ import annotations

from tests.manage.omada.world import OMADAC_ID, UNKNOWN_ID, Omada
from tests.observe.watching import read_figures

CALLS = "mintmark_management_calls_total"


async def test_a_call_is_counted_by_its_row_and_nobody_makes_series_by_what_he_asks_for(omada: Omada):
    await omada.call("GET", "/sites?page=1&pageSize=10")
    await omada.call("GET", f"/sites/{omada.sites['Airport']}", by="limited")
    await omada.call("DELETE", f"/sites/{omada.sites['Airport']}", by="viewer")
    await omada.call("GET", "/customers?page=1&pageSize=10", by="msp owner", under=f"msp/{omada.tenants['msp']}")
    for number in range(3):
        await omada.send(f"X{number}", f"/openapi/v1/{OMADAC_ID}/batch", {}, "no-token")
        await omada.send("GET", f"/openapi/v1/{OMADAC_ID}/nothing/{number}")
        await omada.send("GET", f"/openapi/v1/{OMADAC_ID}/sites", token="no-token")
        await omada.call("GET", "/roles", under=UNKNOWN_ID[:-1] + str(number))
    await omada.send("GET", "/api/info")
    page = (await omada.world.application.observation.write_figures()).decode()
    seen = read_figures(page)

    def of(operation: str, tenant: str, outcome: str) -> float:
        return seen.of(CALLS, api="omada", operation=operation, tenant=tenant, outcome=outcome)

    assert of("GET /sites", "omada", "done") == of("GET /sites/{siteId}", "omada", "done") == 1
    assert of("DELETE /sites/{siteId}", "omada", "refused") == 1
    assert of("GET /msp/customers", "msp", "done") == 1
    assert (of("GET /sites", "", "refused"), of("GET /roles", "", "refused"), of("GET /api/info", "", "done")) == (
        3,
        3,
        1,
    )
    assert seen.of(CALLS, operation="none", outcome="refused") == 6
    assert seen.of(CALLS) == seen.of("mintmark_management_call_duration_seconds_count") == 17
    assert seen.labels(CALLS, "tenant") == {"", "omada", "msp"}
