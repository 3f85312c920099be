"""`mintmark audit`, and what the commands leave in the log."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.running import must_run, run_mintmark


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    must_run("init", "--no-administrator", cwd=tmp_path)
    must_run("tenant", "create", "acme", "--issuer", "https://acme.example", cwd=tmp_path)
    must_run("client", "create", "--tenant", "acme", "--client-id", "billing", cwd=tmp_path)
    must_run("client", "update", "--tenant", "acme", "billing", "--name", "Billing job", cwd=tmp_path)
    return tmp_path


def test_the_newest_records_are_shown_the_newest_last(folder: Path):
    lines = must_run("audit", "tail", "-n", "2", cwd=folder).splitlines()

    assert [line.split()[3] for line in lines] == ["KIND", "register_client", "change_client"]
    assert "client acme/billing" in lines[-1]


def test_the_log_comes_as_json_one_record_a_line(folder: Path):
    records = [json.loads(line) for line in must_run("audit", "export", cwd=folder).splitlines()]
    behind = [json.loads(line) for line in must_run("audit", "export", "--after", "2", cwd=folder).splitlines()]

    assert [(one["seq"], one["kind"]) for one in records] == [
        (1, "create_tenant"),
        (2, "register_client"),
        (3, "change_client"),
    ]
    assert behind == records[2:]
    assert all(one["actor"].startswith("local:") for one in records)
    body = records[2]["body"]
    assert (body["before"]["client_name"], body["after"]["client_name"]) == ("", "Billing job")
    assert records[1]["hash"] == records[2]["previous"]


def test_a_tenants_records_are_shown_alone(folder: Path):
    must_run("tenant", "create", "other", "--issuer", "https://other.example", cwd=folder)
    shown = json.loads(must_run("audit", "tail", "--tenant", "other", "--json", cwd=folder))

    assert [one["subject"] for one in shown] == ["tenant other"]


def test_a_whole_log_is_verified_and_its_head_printed(folder: Path):
    told = must_run("audit", "verify", cwd=folder)
    head = told.splitlines()[1].removeprefix("head: ")

    assert told.startswith("3 records, 0 signed checkpoints: all as they were written\n")
    assert must_run("audit", "verify", "--known", head, cwd=folder) == told
    assert json.loads(must_run("audit", "verify", "--json", cwd=folder))["fault"] is None


def test_a_changed_record_is_named_and_the_command_fails(folder: Path):
    with closing(sqlite3.connect(folder / "var" / "mintmark.db")) as connection:
        connection.executescript("UPDATE audit_record SET actor = 'local:nobody' WHERE seq = 2")
    done = run_mintmark("audit", "verify", cwd=folder)
    as_json = run_mintmark("audit", "verify", "--json", cwd=folder)

    assert (done.code, done.stdout) == (1, "")
    assert done.stderr == "mintmark: audit log: record 2 was changed (changed, record 2)\n"
    assert as_json.code == 1
    assert json.loads(as_json.stdout)["fault"]["seq"] == 2


def test_a_break_that_was_looked_into_is_accepted_and_told_of_from_then_on(folder: Path):
    with closing(sqlite3.connect(folder / "var" / "mintmark.db")) as connection:
        connection.executescript("UPDATE audit_record SET actor = 'local:nobody' WHERE seq = 2")
    unexplained = run_mintmark("audit", "accept", "2", cwd=folder)
    accepted = must_run("audit", "accept", "2", "--reason", "a test", cwd=folder)
    told = must_run("audit", "verify", cwd=folder)
    as_json = json.loads(must_run("audit", "verify", "--json", cwd=folder))

    assert unexplained.code == 2
    line = "accepted: record 2 was changed (changed, record 2): a test; the records 2 to 3 are not judged\n"
    assert accepted.startswith(line + "the chain goes on from 3:")
    assert told.startswith(line + "2 records, 0 signed checkpoints: all as they were written\n")
    assert (as_json["fault"], as_json["accepted"][0]["reason"]) == (None, "a test")
    assert "accept_audit_break" in must_run("audit", "tail", "-n", "1", cwd=folder)


def test_a_head_that_is_none_is_refused(folder: Path):
    done = run_mintmark("audit", "verify", "--known", "nonsense", cwd=folder)

    assert (done.code, done.stderr) == (1, "mintmark: known: wanted is SEQ:HASH, as verifying prints it\n")


def test_a_change_of_the_master_key_is_recorded(folder: Path):
    must_run("keys", "reseal", "--new-master-key-file", "new.key", cwd=folder)
    [record] = json.loads(
        must_run("audit", "tail", "-n", "1", "--json", cwd=folder, env={"MINTMARK_MASTER_KEY_FILE": "new.key"})
    )

    assert (record["kind"], record["subject"]) == ("reseal", "deployment sealed_root_key")


def test_the_first_administrator_is_shown_once_and_made_once(tmp_path: Path):
    first = must_run("init", cwd=tmp_path)
    second = must_run("init", cwd=tmp_path)
    [client] = json.loads(must_run("client", "list", "--tenant", "admin", "--json", cwd=tmp_path))

    assert "client_id: admin\nclient_secret: mms_" in first
    assert "client_secret" not in second
    assert (client["audience"], "clients:write" in client["scope"]) == (["urn:mintmark:management"], True)


def test_a_secret_is_rotated_and_the_old_one_named_among_the_expiring(folder: Path):
    words = ("--tenant", "acme", "billing")
    made = json.loads(must_run("client", "rotate-secret", *words, "--overlap", "60", "--json", cwd=folder))
    shown = must_run("client", "show", *words, cwd=folder)
    [expiring] = json.loads(must_run("client", "expiring", "--json", cwd=folder))

    assert made["client_secret"].startswith("mms_")
    assert expiring["secret_id"] != made["secret_id"]
    assert f"secret: {made['secret_id']}, created_at 20" in shown
    assert "scope" not in shown
    assert "('" not in must_run("client", "show", *words, cwd=folder)
    assert must_run("client", "expiring", cwd=folder).startswith("TENANT  CLIENT_ID")


def test_a_tenant_is_changed_and_removed_when_that_is_said_twice(folder: Path):
    changed = must_run("tenant", "change", "acme", "--host", "acme.example", "--title", "Acme Ltd", cwd=folder)
    refused = run_mintmark("tenant", "remove", "acme", cwd=folder)
    must_run("tenant", "remove", "acme", "--yes", cwd=folder)

    assert "hosts: acme.example\n" in changed
    assert "title: Acme Ltd\n" in changed
    assert (refused.code, "--yes" in refused.stderr) == (1, True)
    assert json.loads(must_run("tenant", "list", "--json", cwd=folder)) == []


def test_a_change_that_names_nothing_is_refused(folder: Path):
    assert run_mintmark("tenant", "change", "acme", cwd=folder).code == 1
