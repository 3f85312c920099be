"""`mintmark registration`: who may register himself, and with what token."""

from __future__ import annotations

import json
from pathlib import Path

from tests.endpoints.deployments import Deployment


def test_an_administrator_allows_registration_and_hands_out_a_token(bare_deployment: Deployment, tmp_path: Path):
    made = bare_deployment.copy_to(tmp_path)
    made.cli("tenant", "create", "acme", "--issuer", "https://id.example/t/acme")
    allowed = made.cli("registration", "allow", "--tenant", "acme")
    limits = ("--tenant", "acme", "--uses", "10", "--scope", "read write", "--label", "branches")
    shown = json.loads(made.cli("registration", "create-token", *limits, "--json"))
    listed = json.loads(made.cli("registration", "list", "--tenant", "acme", "--json"))
    table = made.cli("registration", "list", "--tenant", "acme")
    removed = made.cli("registration", "remove", "--tenant", "acme", shown["token_id"])
    forbidden = made.cli("registration", "forbid", "--tenant", "acme")

    assert (allowed, forbidden) == (
        "clients of tenant acme may register themselves\n",
        "clients of tenant acme may not register themselves\n",
    )
    assert shown["initial_access_token"].startswith("mmi_")
    assert [one["token_id"] for one in listed] == [shown["token_id"]]
    assert (listed[0]["scope"], listed[0]["uses_left"]) == (["read", "write"], 10)
    assert shown["token_id"] in table
    assert shown["initial_access_token"] not in table
    assert removed == f"initial access token {shown['token_id']} removed\n"
