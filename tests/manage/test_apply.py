"""A file says what is to be there; applying it does that, and no more."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from mintmark.admin.actor import Actor
from mintmark.admin.administration import Administration, Outdated
from mintmark.admin.client_secrets import add_secret
from mintmark.admin.clients import ClientChanges, ClientRequest, change_client, register_client, require_client
from mintmark.admin.declaration import DeclarationRefused
from mintmark.admin.plan import execute
from mintmark.admin.tenants import show_tenant
from mintmark.authentication.secrets import generate_secret
from mintmark.protocol.errors import StoreUnavailable
from mintmark.store import transaction
from tests.endpoints.deployments import Deployment
from tests.endpoints.in_process import InProcess
from tests.endpoints.servers import Request
from tests.manage.declaring import ACME, Desk, changes, describe

MADE = generate_secret().reveal()
OTHER = generate_secret().reveal()
BILLING = (
    ACME
    + """
[tenants.acme.clients.billing]
scope = ["read"]
secret = { env = "BILLING" }
"""
)


@pytest.fixture
def desk(bare_deployment: Deployment, tmp_path: Path) -> Desk:
    return Desk(bare_deployment.copy_to(tmp_path), tmp_path, {"BILLING": MADE, "CHOSEN": "open sesame"})


def test_a_file_makes_what_it_names(desk: Desk):
    text = BILLING.replace(
        'issuer = "https://acme.example"', 'issuer = "https://acme.example"\nhosts = ["ACME.example"]'
    )
    assert describe(desk.plan(text)) == ["create tenant acme", "create client acme/billing"]
    assert desk.apply(text) == []

    async def look(administration: Administration):
        client = await require_client(administration, "acme", "billing")
        return await show_tenant(administration, "acme"), client

    tenant, client = desk.administer(look)
    assert (tenant.hosts, client.scope, len(client.secrets)) == (("acme.example",), ("read",), 1)


def test_a_second_time_there_is_nothing_to_do(desk: Desk):
    text = BILLING + '\n[tenants.acme.clients.chosen]\nsecret = { env = "CHOSEN", label = "by hand" }\n'
    text += "\n[tenants.acme.clients.made]\nsecrets = [{ generate = true }, { generate = true, label = 'b' }]\n"
    assert len(desk.apply(text)) == 2
    before = desk.dump()
    assert desk.plan(text).steps == ()
    assert desk.apply(text) == []
    assert desk.dump() == before


def test_a_rehearsal_changes_nothing(desk: Desk):
    before = desk.dump()
    assert len(desk.plan(BILLING).steps) == 2
    assert desk.dump() == before


def test_what_a_file_does_not_say_stays_as_it_is(desk: Desk):
    desk.apply(BILLING)
    plan = desk.plan('[tenants.acme.clients.billing]\nclient_name = "Billing job"\nscope = ["read"]\n')
    assert changes(plan) == {"client_name": ("", "Billing job")}
    desk.administer(lambda one: register_client(one, ClientRequest(tenant_id="acme", client_id="other")))
    assert desk.plan(BILLING).steps == ()


def test_members_of_a_tenant_change_and_are_recorded_in_one_act(desk: Desk):
    desk.apply(BILLING)
    text = BILLING + '\n[tenants.acme.clients.late]\nsecret = { env = "CHOSEN" }\n'
    desk.apply(text.replace("[tenants.acme]", '[tenants.acme]\ntitle = "Acme"\nis_suspended = true', 1))
    rows = desk.rows("SELECT kind, subject, correlation_id FROM audit_record ORDER BY seq DESC LIMIT 2")
    assert [row[:2] for row in rows] == [("register_client", "client acme/late"), ("change_tenant", "tenant acme")]
    assert rows[0][2] == rows[1][2] != ""


def test_what_no_verb_changes_is_refused_with_its_line(desk: Desk):
    desk.apply(BILLING)
    assert desk.faults(BILLING.replace('"oauth2"', '"omada"')) == [
        "2: dialect: is 'oauth2' and cannot be changed",
    ]


def test_clients_are_pruned_where_the_file_says_so(desk: Desk):
    more = '\n[tenants.acme.clients.old]\nsecret = { env = "CHOSEN" }\n'
    desk.apply(BILLING + more)
    assert desk.plan(BILLING).steps == ()
    pruning = BILLING.replace("[tenants.acme]", '[tenants.acme]\nprune = ["clients"]', 1)
    plan = desk.plan(pruning)
    assert (describe(plan), plan.deletes) == (["delete client acme/old"], True)
    assert describe(desk.plan(BILLING, prune=True)) == ["delete client acme/old"]
    desk.apply(pruning)
    assert desk.rows("SELECT client_id FROM client WHERE tenant_id = 'acme'") == [("billing",)]
    # Of a tenant that the file does not name, nothing is ever deleted.
    assert desk.rows("SELECT client_id FROM client WHERE tenant_id = 'admin'") == [("admin",)]


def test_a_new_value_is_one_more_secret_and_pruning_ends_the_old(desk: Desk):
    desk.apply(BILLING)
    desk.environment["BILLING"] = OTHER
    [step] = desk.plan(BILLING).steps
    assert (step.act, step.noun, [change.after for change in step.changes]) == ("create", "secret", ["env BILLING"])
    assert [one.act for one in desk.plan(BILLING, prune=True).steps] == ["delete", "create"]
    desk.apply(BILLING, prune=True)
    assert desk.plan(BILLING, prune=True).steps == ()
    assert desk.rows("SELECT count(*) FROM client_secret WHERE client_id = 'billing'") == [(1,)]


def test_a_label_and_an_expiry_change_without_a_change_of_the_secret(desk: Desk):
    desk.apply(BILLING)
    labelled = BILLING.replace('"BILLING"', '"BILLING", label = "a", expires_at = 2099-01-01T00:00:00Z')
    assert changes(desk.plan(labelled)) == {"label": ("", "a"), "expires_at": (None, "2099-01-01T00:00:00+00:00")}
    hashed = desk.rows("SELECT hash FROM client_secret WHERE client_id = 'billing'")
    desk.apply(labelled)
    assert desk.rows("SELECT hash FROM client_secret WHERE client_id = 'billing'") == hashed
    assert desk.plan(labelled).steps == ()


def test_a_secret_whose_time_is_past_is_nothing_to_do(desk: Desk):
    desk.apply(BILLING)
    text = BILLING.replace(
        'secret = { env = "BILLING" }',
        'secrets = [{ env = "BILLING" }, { env = "GONE", expires_at = 2020-01-01T00:00:00Z }]',
    )
    assert desk.plan(text).steps == ()


@pytest.mark.parametrize("dialect", ["oauth2", "wso2", "oneaccess", "omada", "ciam"])
def test_secrets_turn_over_under_the_rules_of_every_system(desk: Desk, dialect: str):
    text = BILLING.replace('"oauth2"', f'"{dialect}"\ntoken_rules = {{ alg = "ES256" }}')
    for moment in range(3):
        desk.environment["BILLING"] = generate_secret().reveal()
        desk.apply(text, prune=True, at=1_800_000_000 + moment)
        assert desk.plan(text, prune=True, at=1_800_000_000 + moment).steps == ()
        assert desk.rows("SELECT count(*) FROM client_secret WHERE client_id = 'billing'") == [(1,)]


@pytest.mark.parametrize("reference", ['env = "BILLING"', 'generate = true, label = "made"'])
def test_a_secret_that_is_alive_ends_where_the_file_says_that_its_time_is_past(desk: Desk, reference: str):
    text = BILLING.replace('secret = { env = "BILLING" }', f'secrets = [{{ {reference} }}, {{ env = "CHOSEN" }}]')
    desk.apply(text)
    ended = text.replace(reference, f"{reference}, expires_at = 2020-01-01T00:00:00Z")
    plan = desk.plan(ended)
    assert [(step.act, step.noun) for step in plan.steps] == [("delete", "secret")]
    desk.apply(ended)
    assert desk.rows("SELECT kind FROM client_secret WHERE client_id = 'billing'") == [("argon2id",)]
    assert desk.plan(ended).steps == ()


def test_a_secret_beyond_the_limit_is_refused_with_its_line(desk: Desk):
    references = ", ".join(f'{{ env = "S{number}" }}' for number in range(6))
    desk.environment.update({f"S{number}": generate_secret().reveal() for number in range(6)})
    text = BILLING.replace('secret = { env = "BILLING" }', f"secrets = [{references}]")
    [fault] = desk.faults(text)
    assert fault.startswith("5: client 'billing' has 5 live secrets")


def test_where_a_new_secret_takes_the_place_of_the_old_a_client_has_one(desk: Desk):
    one = BILLING.replace('"oauth2"', '"oneaccess"\ntoken_rules = { alg = "ES256" }')
    two = one.replace('secret = { env = "BILLING" }', 'secrets = [{ env = "BILLING" }, { env = "CHOSEN" }]')
    assert desk.faults(two) == ["6: secrets: in this system a client has one"]
    desk.apply(one)
    assert desk.faults(two) == ["6: secrets: in this system a client has one"]
    desk.environment["BILLING"] = OTHER
    plan = desk.plan(one)
    assert ([step.act for step in plan.steps], plan.deletes) == (["delete", "create"], True)


def test_a_moment_that_toml_cannot_write_is_exported_as_a_number(desk: Desk):
    desk.apply(BILLING.replace('"BILLING"', '"BILLING", expires_at = 300000000000'))
    text = desk.export("acme")
    assert "expires_at = 300000000000 }" in text
    assert desk.plan(text.replace("SECRET_OF_ACME_BILLING", "BILLING")).steps == ()


def test_a_made_secret_is_told_once_and_the_file_of_it_is_for_the_owner_alone(desk: Desk):
    text = ACME + "\n[tenants.acme.clients.a]\nsecret = { generate = true }\n"
    text += '\n[tenants.acme.clients.b]\nsecret = { generate = true, file = "b.secret" }\n'
    shown, filed = desk.apply(text)
    file = desk.folder / "b.secret"
    assert (shown.file, filed.file) == (None, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == filed.client_secret.reveal() + "\n"
    given = text.replace("generate = true, ", "").replace("{ generate = true }", '{ env = "A" }')
    desk.environment["A"] = shown.client_secret.reveal()
    assert desk.plan(given).steps == ()


def test_a_made_secret_is_never_written_over_a_file(desk: Desk):
    (desk.folder / "b.secret").write_text("mine")
    text = ACME + '\n[tenants.acme.clients.b]\nsecret = { generate = true, file = "b.secret" }\n'
    [fault] = desk.faults(text)
    assert fault.startswith("5: file b.secret: it is there already")
    assert desk.faults(text.replace("b.secret", "no/b.secret")) == ["5: file no/b.secret: there is no such folder"]
    assert (desk.folder / "b.secret").read_text() == "mine"


def test_no_value_of_a_secret_is_in_a_plan(desk: Desk):
    text = BILLING + '\n[tenants.acme.clients.chosen]\nsecret = { env = "CHOSEN" }\n'
    shown = [step.changes for step in desk.plan(text).steps]
    assert MADE not in str(shown)
    assert "sesame" not in str(shown)
    desk.apply(text)
    records = str(desk.rows("SELECT * FROM audit_record"))
    assert MADE not in records
    assert "sesame" not in records


def test_an_msp_comes_before_its_customers_and_sites_before_who_may_see_them(desk: Desk):
    text = """
[tenants.a-customer]
dialect = "omada"
issuer = "https://id.example/t/a-customer"
identifier = "a"
msp_id = "the-msp"
token_rules = { alg = "ES256" }
sites."Head office" = { region = "Germany", time_zone = "Europe/Berlin", scenario = "Office" }
clients.app = { role = "viewer_id", sites = ["Head office"] }

[tenants.the-msp]
dialect = "omada"
issuer = "https://id.example/t/the-msp"
identifier = "m"
is_msp = true
token_rules = { alg = "ES256" }
clients.hub = { role = "super_admin_id", customers = ["a-customer"] }
"""
    assert len(desk.apply(text)) == 2
    assert desk.plan(text).steps == ()
    [plan] = [desk.plan(text.replace('"Office"', '"Hotel"').replace("viewer_id", "admin_id"))]
    assert describe(plan) == ["change site a-customer/Head office", "change client a-customer/app"]
    assert desk.faults(text.replace('sites = ["Head office"]', 'sites = ["Nowhere"]'))[0].startswith(
        "9: sites: there is"
    )


def test_the_place_of_the_default_tenant_moves_in_one_plan(desk: Desk):
    first = ACME + "is_default = true\n"
    desk.apply(first)
    other = ACME.replace("acme", "beta") + "is_default = true\n"
    desk.apply(other + first.replace("true", "false"))
    assert desk.rows("SELECT tenant_id FROM tenant WHERE is_default") == [("beta",)]


def test_who_comes_second_is_told(desk: Desk):
    desk.apply(BILLING)

    async def race(administration: Administration):
        plan = await desk.plan_of(administration, BILLING.replace('["read"]', '["write"]'))
        await change_client(administration, "acme", "billing", ClientChanges(client_name="other"))
        await execute(administration, plan)

    with pytest.raises(Outdated, match="somebody else changed client acme/billing meanwhile; nothing was changed"):
        desk.administer(race)
    assert desk.rows("SELECT scope FROM client WHERE client_id = 'billing'") == [('["read"]',)]


def test_of_two_who_create_the_same_one_wins(desk: Desk):
    async def race(administration: Administration):
        plans = [await desk.plan_of(administration, BILLING) for _ in range(2)]
        return await asyncio.gather(*(execute(administration, plan) for plan in plans), return_exceptions=True)

    ends = desk.administer(race)
    assert sorted(type(one).__name__ for one in ends) == ["Outdated", "list"]
    assert desk.rows("SELECT count(*) FROM audit_record WHERE tenant_id = 'acme'") == [(2,)]


def test_a_secret_that_was_added_meanwhile_counts_as_a_change(desk: Desk):
    desk.apply(BILLING)

    async def race(administration: Administration):
        plan = await desk.plan_of(administration, BILLING.replace('["read"]', '["write"]'))
        await add_secret(administration, "acme", "billing")
        await execute(administration, plan)

    with pytest.raises(Outdated):
        desk.administer(race)


def test_a_plan_that_would_hold_others_up_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transaction, "MAX_HELD_S", -1.0)
    with pytest.raises(StoreUnavailable, match="nothing was changed"):
        desk.apply(BILLING)
    assert desk.rows("SELECT count(*) FROM tenant WHERE tenant_id = 'acme'") == [(0,)]


def test_an_actor_without_the_permission_applies_nothing(desk: Desk):
    desk.apply(ACME)

    async def run(administration: Administration):
        reading = frozenset({"tenants:read", "clients:read", "sites:read"})
        actor = Actor(name="client:acme/reader", permissions=reading, tenants=None)
        limited = administration.on_behalf_of(actor)
        return await execute(limited, await desk.plan_of(limited, BILLING))

    with pytest.raises(DeclarationRefused, match=r":5: this needs the permission clients:write"):
        desk.administer(run)


async def test_a_server_that_runs_knows_what_was_applied(application: InProcess, tmp_path: Path):
    desk = Desk(Deployment(tmp_path, {}), tmp_path, {"BILLING": MADE})
    text = BILLING.replace("https://acme.example", "https://id.example/t/acme")
    await execute(application.administration, await desk.plan_of(application.administration, text))
    await application.application.refresh()
    body = f"grant_type=client_credentials&client_id=billing&client_secret={MADE}".encode()
    headers = {"host": "id.example", "content-type": "application/x-www-form-urlencoded"}
    answer = await application.send(Request("POST", "/t/acme/oauth2/token", headers, body))
    assert (answer.status, answer.json["scope"]) == (200, "read")
