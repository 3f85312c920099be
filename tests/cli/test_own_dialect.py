"""A system that nobody here has heard of, spoken after writing one file: a sixth dialect without a line of code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.running import REPOSITORY, Serving, must_run, run_mintmark
from tests.endpoints.servers import find_free_port

HARBOUR = REPOSITORY / "examples" / "own_dialect.toml"

FAULTS = [
    ('dialect = "harbour"', "", "Object missing required field `dialect`"),
    ("[wire.success]", "[wire.succes]", "wire: Object"),
    ('token = "/v3/session"', 'token = "v3/session"', "wire.endpoints.token: a path starts with /"),
    ('jwks = "/v3/keys"', 'keys = "/v3/keys"', "wire.endpoints.keys: unknown endpoint; one of"),
    ('body = ["json"]', 'body = ["xml"]', "wire.request.body[0]: Invalid enum value 'xml'"),
    ('wire = "user"', 'wire = "pass"', "wire.request.parameters (body): 'pass' stands twice"),
    ('canonical = "scope", at = ["body"]', 'canonical = "scop", at = ["body"]', "parameters[3].canonical: unknown"),
    ('codec = "seconds"', 'codec = "minutes"', "wire.success.members[1].codec: unknown codec 'minutes'"),
    ('wire = "ttl"', 'wire = "key"', "wire.success.members: 'key' stands twice"),
    ('"invalid_scope"]', '"invalid_scop"]', "wire.errors.rows[2].reasons: unknown reason 'invalid_scop'"),
    ("fault = 3", "fault = 1", "wire.errors.rows[2]: looks like an earlier row"),
    ("Token <token>", "Token", "wire.presentation: must hold <token> once"),
    ('form = "opaque"', 'form = "paper"', "rules.token.form: Invalid enum value 'paper'"),
    ("lifetime_s = 900", "lifetime_s = 0", "rules.token.lifetime_s: must be from 1 to"),
    ("length = 40", "length = 4", "rules.opaque.length: 24 random bits, at least 128 are needed"),
    ('claim = "sub"', 'claim = "iss"', "rules.jwt.claims: 'iss' stands twice"),
    ("[rules]", "[rules", "not a TOML file"),
]


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """A running server with a tenant of the dialect: its URL, its client's secret and its folder."""
    folder = tmp_path_factory.mktemp("harbour")
    (folder / "dialects").mkdir()
    shutil.copy(HARBOUR, folder / "dialects")
    url = f"http://127.0.0.1:{find_free_port()}"
    (folder / "mintmark.toml").write_text(f'dialects_dir = "dialects"\nlisten = ["{url}"]\n')
    must_run("init", cwd=folder)
    must_run("tenant", "create", "harbour", "--dialect", "harbour", "--issuer", f"{url}/t/harbour", cwd=folder)
    words = "client create --tenant harbour --client-id crane --scope berths:read --json"
    secret = json.loads(must_run(*words.split(), cwd=folder))["client_secret"]
    with Serving(cwd=folder):
        yield f"{url}/t/harbour", secret, folder


def ask(harbour, *more: str, secret: str | None = None):
    url, right, folder = harbour
    words = ["token", url, "--client-id", "crane", "--client-secret-file", "-", "--dialect-file", str(HARBOUR), *more]
    return run_mintmark(*words, cwd=folder, stdin=right if secret is None else secret)


def test_check_finds_no_fault_in_the_example(tmp_path):
    assert must_run("dialect", "check", HARBOUR, cwd=tmp_path) == f"{HARBOUR}: dialect harbour, no faults\n"


@pytest.mark.parametrize(("right", "wrong", "said"), FAULTS, ids=[said for _, _, said in FAULTS])
def test_check_names_file_and_key(tmp_path, right, wrong, said):
    text = HARBOUR.read_text()
    assert right in text
    (tmp_path / "mine.toml").write_text(text.replace(right, wrong, 1))
    done = run_mintmark("dialect", "check", "mine.toml", cwd=tmp_path)
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr.startswith("mintmark: mine.toml: ")
    assert said in done.stderr


def test_it_is_listed_beside_those_that_come_with_the_program(harbour):
    assert "/v3/session" in must_run("dialect", "list", cwd=harbour[2])
    assert must_run("dialect", "show", "harbour", cwd=harbour[2]) == HARBOUR.read_text()


def test_the_command_line_gets_a_token_in_it(harbour):
    done = ask(harbour, "--json")
    answer = json.loads(done.stdout)
    assert answer["access_token"].startswith("hbr_")
    assert (answer["expires_in"], answer["scope"]) == (900, "berths:read")
    assert ask(harbour, "--header").stdout.startswith("Authorization: Token hbr_")


def test_the_wire_is_spelt_as_its_file_says(harbour):
    url, secret, _ = harbour
    answer = httpx.post(f"{url}/v3/session?kind=client_credentials", json={"user": "crane", "pass": secret})
    assert answer.status_code == 201
    assert list(answer.json()) == ["ok", "session"]
    assert list(answer.json()["session"]) == ["key", "ttl", "rights"]


def test_a_wrong_secret_is_told_in_its_words(harbour):
    url, _, _ = harbour
    answer = httpx.post(f"{url}/v3/session?kind=client_credentials", json={"user": "crane", "pass": "wrong"})
    assert (answer.status_code, answer.json()["fault"]) == (403, 2)
    done = ask(harbour, secret="wrong")
    assert (done.code, done.stderr.count("\n")) == (1, 1)
    assert "the server answered invalid_client" in done.stderr


def test_a_server_without_its_file_does_not_start(harbour, tmp_path):
    shutil.copytree(harbour[2] / "var", tmp_path / "var")
    for workers in (1, 2):
        words = ["--listen", f"http://127.0.0.1:{find_free_port()}", "--workers", str(workers)]
        refused = pytest.raises(RuntimeError, match="tenant harbour: its dialect 'harbour' is not there")
        with refused, Serving(*words, cwd=tmp_path):
            pass
