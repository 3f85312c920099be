"""The commands that do what they were asked: their help, their JSON, and what they never show."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from mintmark.cli import NOUNS
from tests.cli.running import MINTMARK, command_environment, must_run, run_mintmark, run_process

COMMANDS = [
    "tenant create",
    "tenant list",
    "tenant suspend",
    "tenant resume",
    "client create",
    "client import",
    "client list",
    "client show",
    "client disable",
    "client enable",
    "client remove",
    "client add-secret",
    "client remove-secret",
    "dialect list",
    "dialect show",
    "dialect check",
    "keys list",
    "keys rotate",
    "keys revoke",
    "keys reseal",
    "client update",
    "client reset-secret",
    "tenant invalidate-tokens",
    "keys reset-encryption",
]


def every_octet_below(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("command", ["", *NOUNS, *COMMANDS])
def test_help_shows_an_example(tmp_path, command):
    done = run_mintmark(*command.split(), "--help", cwd=tmp_path)
    assert (done.code, done.stderr) == (0, "")
    _, _, examples = done.stdout.partition("example")
    assert f"mintmark {command}".strip() in examples


@pytest.mark.parametrize("words", ["--version", "--help", "tenant list", "token --help"])
def test_a_command_as_a_shell_runs_it(made, words):
    done = run_process(*words.split(), cwd=made)
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("tenant list --json", {"tenant_id", "dialect", "issuer", "is_default"}),
        ("client list --tenant acme --json", {"client_id", "scope", "secrets", "is_disabled"}),
        ("keys list --json", {"kid", "alg", "state", "public_jwk"}),
        ("dialect list --json", {"dialect", "title", "token_endpoint"}),
    ],
)
def test_a_list_in_json_is_an_array_of_objects(made, words, names):
    rows = json.loads(must_run(*words.split(), cwd=made))
    assert rows
    assert all(names <= row.keys() for row in rows)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("tenant create new --issuer https://new.example --json", {"tenant_id", "issuer"}),
        ("client create --tenant acme --json", {"client_id", "client_secret"}),
        ("client show --tenant acme billing --json", {"client_id", "secrets"}),
        ("client add-secret --tenant acme billing --json", {"secret_id", "client_secret"}),
        ("keys rotate --tenant acme --alg EdDSA --json", {"kid", "alg"}),
        ("keys reset-encryption --tenant acme", {"kty", "k", "kid"}),
    ],
)
def test_one_thing_in_json_is_an_object(folder, words, names):
    assert names <= json.loads(must_run(*words.split(), cwd=folder)).keys()


def test_init_twice_changes_nothing(folder):
    before = {file.name: file.read_bytes() for file in (folder / "var").iterdir()}
    must_run("init", cwd=folder)
    assert {name: (folder / "var" / name).read_bytes() for name in before} == before


def test_the_master_key_is_for_its_owner_alone(made):
    assert (made / "var" / "master.key").stat().st_mode & 0o777 == 0o600
    assert (made / "var").stat().st_mode & 0o077 == 0


def test_a_generated_secret_is_shown_once_and_kept_nowhere(folder):
    made = json.loads(must_run("client", "create", "--tenant", "acme", "--json", cwd=folder))
    shown = must_run("client", "show", "--tenant", "acme", made["client_id"], "--json", cwd=folder)
    assert made["client_secret"] not in shown
    assert "hash" not in shown
    assert made["client_id"].encode() in every_octet_below(folder)
    assert made["client_secret"].encode() not in every_octet_below(folder)


def test_a_chosen_secret_is_neither_shown_nor_kept(folder):
    (folder.parent / "secret.txt").write_text("correct horse battery\n")
    words = "client create --tenant acme --client-id chosen --client-secret-file ../secret.txt"
    assert must_run(*words.split(), cwd=folder) == "client_id: chosen\n"
    assert b"correct horse" not in every_octet_below(folder)


def test_keys_list_shows_no_private_part(made):
    shown = must_run("keys", "list", "--json", cwd=made)
    assert not {"sealed", "d", "p", "q", "k"} & set().union(*(key["public_jwk"] | key for key in json.loads(shown)))


def test_a_page_of_clients_begins_behind_the_last(folder):
    lines = [json.dumps({"client_id": f"c{number}", "client_secret": "s" * 32}) for number in range(3)]
    (folder / "clients.jsonl").write_text("\n".join(lines))
    assert must_run("client", "import", "--tenant", "acme", "clients.jsonl", cwd=folder) == "3 clients registered\n"
    page = must_run(*shlex.split("client list --tenant acme --after c0 --limit 1 --json"), cwd=folder)
    assert [client["client_id"] for client in json.loads(page)] == ["c1"]


def test_a_reader_that_goes_away_is_no_fault(made):
    shell = f"{shlex.quote(str(MINTMARK))} dialect show oauth2 | head -n 1"
    environment = command_environment()
    done = subprocess.run(["sh", "-c", shell], cwd=made, env=environment, capture_output=True, text=True, check=False)
    assert (done.stderr, done.stdout.count("\n")) == ("", 1)
