"""`mintmark token`, as a person or a script calls it."""

from __future__ import annotations

import argparse
import io
import json

import pytest

from mintmark.cli import token
from mintmark.protocol.errors import MintmarkError, SettingsError
from tests.sdk.token_server import SECRET, running_server
from tests.unit.dialects.sixth_dialect import SIXTH


def call(*arguments: str) -> int:
    parser = argparse.ArgumentParser("mintmark", allow_abbrev=False)
    token.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["token", *arguments])
    return parsed.func(parsed)


@pytest.fixture
def secret_file(tmp_path) -> str:
    path = tmp_path / "secret.txt"
    path.write_text(SECRET + "\n", "utf-8")
    return str(path)


@pytest.fixture
def options(server, secret_file) -> list[str]:
    return [server.origin, "--client-id", "my-client", "--client-secret-file", secret_file]


def test_the_bare_token_is_printed(options, capsys):
    assert call(*options) == 0
    assert capsys.readouterr().out == "token-1\n"


def test_the_header_is_printed_for_curl(options, capsys):
    call(*options, "--header")
    assert capsys.readouterr().out == "Authorization: Bearer token-1\n"


def test_all_members_are_printed_as_json(options, capsys):
    call(*options, "--json", "--scope", "read")
    members = {"access_token": "token-1", "token_type": "Bearer", "expires_in": 3600, "scope": "read"}
    assert json.loads(capsys.readouterr().out) == members


def test_any_dialect_may_be_asked(secret_file, capsys):
    with running_server("omada") as server:
        options = ["--client-id", "my-client", "--client-secret-file", secret_file, "--header"]
        call(server.origin, "--dialect", "omada", "--tenant-identifier", "x", *options)
    assert capsys.readouterr().out == "Authorization: AccessToken=token-1\n"


def test_the_secret_may_come_from_the_environment(server, monkeypatch, capsys):
    monkeypatch.setenv("MY_SECRET", SECRET)
    call(server.origin, "--client-id", "my-client", "--client-secret-env", "MY_SECRET")
    assert capsys.readouterr().out == "token-1\n"


def test_the_secret_may_come_from_stdin(server, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(SECRET + "\n"))
    call(server.origin, "--client-id", "my-client", "--client-secret-file", "-")
    assert capsys.readouterr().out == "token-1\n"


def test_a_person_is_asked_for_the_secret(server, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda prompt: SECRET)
    call(server.origin, "--client-id", "my-client")
    assert capsys.readouterr().out == "token-1\n"


def test_a_script_without_a_secret_is_told_the_options(server, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(SettingsError, match="--client-secret-file"):
        call(server.origin, "--client-id", "my-client")


@pytest.mark.parametrize(
    "option",
    [
        ["--client-secret-file", "/nowhere/secret.txt"],
        ["--client-secret-env", "NOT_SET_ANYWHERE"],
    ],
)
def test_a_secret_that_cannot_be_read_names_its_option(server, option):
    with pytest.raises(SettingsError, match=option[0]):
        call(server.origin, "--client-id", "my-client", *option)


@pytest.mark.parametrize("option", [["--client-secret", SECRET], [f"--client-secret={SECRET}"]])
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(option, capsys):
    with pytest.raises(SystemExit):
        call("https://id.example", "--client-id", "my-client", *option)
    shown = capsys.readouterr().err
    assert "ps" in shown
    assert SECRET not in shown


def test_the_help_says_why_there_is_no_such_option_and_gives_examples(capsys):
    with pytest.raises(SystemExit):
        call("--help")
    shown = capsys.readouterr().out
    assert "could read it with ps" in shown
    assert "  mintmark token https://id.example --client-id billing" in shown


def test_a_refusal_is_one_line_with_the_code(server, tmp_path):
    path = tmp_path / "wrong"
    path.write_text("wr0ng")
    with pytest.raises(MintmarkError, match=r"invalid_client: .* \(status 401\)") as caught:
        call(server.origin, "--client-id", "my-client", "--client-secret-file", str(path))
    assert "wr0ng" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dialect_file_of_ones_own_is_spoken(tmp_path, secret_file, server):
    path = tmp_path / "sixth.toml"
    path.write_text(SIXTH)
    options = ["--client-id", "my-client", "--client-secret-file", secret_file, "--tenant-identifier", "acme"]
    with pytest.raises(MintmarkError):
        call(server.origin, "--dialect-file", str(path), *options)
    assert server.lines == ["/v3/session/open?kind=client_credentials&org=acme"]


def test_an_unreadable_authorities_file_is_named(options):
    with pytest.raises(SettingsError, match="nowhere"):
        call(*options, "--ca", "/nowhere/ca.pem")
