"""The way of a client of a controller, by curl against the demo on the vendor's own port: id, token, sites, batch."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from mintmark.admin.demo import CUSTOMERS, DEMO
from tests.cli.running import PATIENCE_S

pytestmark = [pytest.mark.foreign, pytest.mark.usefixtures("vendor_demo")]

BASE = "https://localhost:8043"
MSP = next(row for row in DEMO if row.tenant.tenant_id == "msp")
SITE = {"name": "Depot", "region": "Germany", "timeZone": "Europe/Berlin", "scenario": "Office"}


def curl(path: str, *words: str, token: str = "") -> Any:
    shown = ["-H", f"Authorization: AccessToken={token}"] if token else []
    command = ["curl", "-sS", "-k", *shown, *words, BASE + path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def send(path: str, body: object, token: str = "") -> Any:
    return curl(path, "-X", "POST", "-H", "content-type:application/json", "-d", json.dumps(body), token=token)


def ask_for_token(line: str) -> str:
    """Run a line as the demo prints it."""
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    token: str = json.loads(done.stdout)["result"]["accessToken"]
    return token


def test_a_client_learns_the_id_gets_a_token_and_lists_and_makes_sites():
    omadac_id = curl("/api/info")["result"]["omadacId"]
    demo = next(row for row in DEMO if row.tenant.identifier == omadac_id)
    token = ask_for_token(demo.curl)
    sites = curl(f"/openapi/v1/{omadac_id}/sites?page=1&pageSize=1000", token=token)
    assert sites["errorCode"] == 0
    assert [one["name"] for one in sites["result"]["data"]] == ["Default"]
    made = send(f"/openapi/v1/{omadac_id}/sites", SITE, token)
    assert (made["errorCode"], made["msg"]) == (0, "Success.")
    removal = {"method": "DELETE", "path": f"/openapi/v1/{omadac_id}/sites/{made['result']['siteId']}"}
    batch = send(f"/openapi/v1/{omadac_id}/batch", {"actions": [removal, removal, removal]}, token)
    assert [one["errorCode"] for one in batch["result"]["response"]] == [0, -1300, -1619]


def test_an_msps_client_reaches_its_customers():
    token = ask_for_token(MSP.curl)
    under = f"/openapi/v1/msp/{MSP.tenant.identifier}"
    customers = curl(f"{under}/customers?page=1&pageSize=10", token=token)["result"]["data"]
    assert {one["customerId"] for one in customers} == {one.identifier for one in CUSTOMERS}
    for customer in customers:
        sites = curl(f"/openapi/v1/{customer['customerId']}/sites?page=1&pageSize=10", token=token)["result"]
        assert [one["name"] for one in sites["data"]] == ["Default"]
    elsewhere = curl(f"/openapi/v1/{curl('/api/info')['result']['omadacId']}/roles", token=token)
    assert elsewhere == {"errorCode": -7131, "msg": "Controller ID not exist."}
