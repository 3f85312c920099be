"""`mintmark apply` and `mintmark export`, as people and pipelines run them; the page and the example are run, too."""

from __future__ import annotations

import json
import re
import shutil
import stat
from pathlib import Path

import pytest

from mintmark.authentication.secrets import generate_secret
from tests.cli.running import REPOSITORY, must_run, run_mintmark
from tests.endpoints.deployments import Deployment

EXAMPLE = REPOSITORY / "examples" / "declarative.toml"
PAGE = REPOSITORY / "docs" / "declarative.md"
ENVIRONMENT = {"BILLING_SECRET": generate_secret().reveal()}
OLD = '[tenants.acme]\nprune = ["clients"]\n[tenants.acme.clients.billing]\n'


@pytest.fixture
def folder(bare_deployment: Deployment, tmp_path: Path) -> Path:
    bare_deployment.copy_to(tmp_path)
    shutil.copy(EXAMPLE, tmp_path / "declarative.toml")
    return tmp_path


def test_the_example_is_planned_applied_and_then_nothing_is_to_do(folder: Path):
    dry = run_mintmark("apply", "declarative.toml", "--dry-run", cwd=folder, env=ENVIRONMENT)
    assert (dry.code, dry.stderr) == (3, "")
    assert dry.stdout.endswith("6 to create, 0 to change, 0 to delete\n")
    assert not (folder / "planner.secret").exists()

    shown = must_run("apply", "declarative.toml", cwd=folder, env=ENVIRONMENT)
    assert shown.startswith(dry.stdout)
    assert len(re.findall(r"^client_secret of acme/reports \(202[67]\): mms_\S+$", shown, re.MULTILINE)) == 2
    assert stat.S_IMODE((folder / "planner.secret").stat().st_mode) == 0o600

    again = run_mintmark("apply", "declarative.toml", "--dry-run", cwd=folder, env=ENVIRONMENT)
    assert (again.code, again.stdout) == (0, "nothing to do\n")


def test_the_page_shows_the_example_as_it_is():
    [block] = re.findall(r"```toml\n(# Two tenants.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert block == EXAMPLE.read_text("utf-8")


def test_the_page_shows_the_plan_as_it_is_printed(folder: Path):
    [block] = re.findall(
        r"\$ mintmark apply examples/declarative.toml --dry-run\n(.*?)```", PAGE.read_text(), re.DOTALL
    )
    dry = run_mintmark("apply", "declarative.toml", "--dry-run", cwd=folder, env=ENVIRONMENT)
    assert block == dry.stdout


def test_what_is_deleted_is_deleted_only_when_told(folder: Path):
    must_run("apply", "declarative.toml", cwd=folder, env=ENVIRONMENT)
    (folder / "less.toml").write_text(OLD)
    refused = run_mintmark("apply", "less.toml", cwd=folder)
    assert (refused.code, refused.stdout) == (1, "delete client acme/reports\n0 to create, 0 to change, 1 to delete\n")
    assert refused.stderr.startswith("mintmark: the plan deletes what is there; where that is meant, say --yes.")
    must_run("apply", "less.toml", "--yes", cwd=folder)
    assert "reports" not in must_run("client", "list", "--tenant", "acme", cwd=folder)


def test_a_plan_is_json_for_a_program(folder: Path):
    done = run_mintmark("apply", "declarative.toml", "--dry-run", "--json", cwd=folder, env=ENVIRONMENT)
    plan = json.loads(done.stdout)
    assert (done.code, plan["is_applied"], plan["made"]) == (3, False, [])
    assert {"act": "create", "noun": "site", "name": "stores/Airport"}.items() <= plan["steps"][2].items()

    applied = json.loads(must_run("apply", "declarative.toml", "--json", cwd=folder, env=ENVIRONMENT))
    assert (applied["steps"], applied["is_applied"]) == (plan["steps"], True)
    assert [sorted(one) for one in applied["made"]] == [
        ["client_id", "client_secret", "label", "tenant_id"],
        ["client_id", "client_secret", "label", "tenant_id"],
        ["client_id", "file", "label", "tenant_id"],
    ]


def test_faults_are_a_line_each_and_nothing_else(folder: Path):
    (folder / "wrong.toml").write_text("[tenants.acme]\nisuer = 1\n[tenants.acme.clients.a]\nsecret = 'literal'\n")
    done = run_mintmark("apply", "wrong.toml", cwd=folder)
    assert (done.code, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first == "mintmark: wrong.toml:2: unknown key 'isuer'; did you mean issuer?"
    assert second.startswith("wrong.toml:4: secret: a secret is never written in a file")
    assert "literal" not in done.stderr


def test_an_export_is_applied_as_it_is(folder: Path):
    must_run("apply", "declarative.toml", cwd=folder, env=ENVIRONMENT)
    text = must_run("export", "--tenant", "stores", cwd=folder)
    assert text.startswith("# A deployment of Mintmark, as `mintmark apply` takes it")
    (folder / "stores.toml").write_text(text)
    secret = {"SECRET_OF_STORES_PLANNER": (folder / "planner.secret").read_text().strip()}
    done = run_mintmark("apply", "stores.toml", "--prune", "--dry-run", cwd=folder, env=secret)
    assert (done.code, done.stdout) == (0, "nothing to do\n")


def test_a_tenant_that_is_not_there_is_not_exported(folder: Path):
    done = run_mintmark("export", "--tenant", "nobody", cwd=folder)
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr.startswith("mintmark: there is no tenant 'nobody'")
