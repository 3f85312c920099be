"""The mistakes of a tired person: each costs one clear line, and nothing is changed."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cli.running import Done, must_run, run_mintmark, run_process
from tests.endpoints.servers import find_free_port

OTHER_KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
FILES = {
    "unknown.toml": "worker = 2\n",
    "wrong_type.toml": 'workers = "2"\n',
    "wrong_value.toml": 'log_format = "xml"\n',
    "not.toml": "workers =\n",
    "empty": "",
    "file": "a file where a folder is wanted\n",
    "secret.txt": "a secret\n",
}


@pytest.fixture(scope="session")
def desk(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment with things gone wrong around it."""
    desk = Path(shutil.copytree(made, tmp_path_factory.mktemp("mistakes") / "desk"))
    for name, text in FILES.items():
        (desk / name).write_text(text)
    for name in ("keyless", "foreign", "open"):
        shutil.copytree(desk / "var", desk / name)
    (desk / "keyless" / "master.key").unlink()
    (desk / "foreign" / "master.key").write_text(OTHER_KEY + "\n")
    (desk / "open" / "master.key").chmod(0o644)
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 2 -subj /CN=localhost -keyout"
    for key, protection in (("tls.key", "-nodes"), ("locked.key", "-passout pass:word"), ("other.key", "-nodes")):
        words = shlex.split(f"openssl {request} {key} -out {key}.crt {protection}")
        subprocess.run(words, cwd=desk, check=True, capture_output=True)
    dialect = must_run("dialect", "show", "omada", cwd=desk)
    for name, (old, new) in {
        "bad_wire": ('codec = "seconds"', 'codec = "second"'),
        "bad_rules": ("lifetime_s = 7200", "lifetime = 7200"),
        "twice": ("", ""),
    }.items():
        (desk / name).mkdir()
        named = dialect if name == "twice" else dialect.replace('dialect = "omada"', 'dialect = "mine"')
        (desk / name / "mine.toml").write_text(named.replace(old, new))
    return desk


def assert_one_clear_line(done: Done, said: str) -> None:
    assert done.code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("mintmark: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert said in done.stderr


MISTAKES = [
    # where the deployment is
    ("serve --state-dir nowhere --listen http://127.0.0.1:18999", "no database yet; run: mintmark init"),
    ("client list --state-dir nowhere", "nowhere/mintmark.db: there is no database yet; run: mintmark init"),
    ("init --state-dir file", "state_dir file: File exists"),
    ("init --state-dir file/deeper", "state_dir file/deeper: Not a directory"),
    ("serve --demo --state-dir file/deeper --listen http://127.0.0.1:18999", "state_dir file/deeper: Not a directory"),
    # the master key
    ("tenant list --state-dir keyless", "keyless/master.key: the master key is not there. Restore it"),
    ("init --state-dir keyless", "keyless/master.key: the master key is not there. Restore it"),
    ("tenant list --state-dir foreign", "foreign/master.key: this is not the master key of"),
    ("serve --demo --state-dir foreign --listen http://127.0.0.1:18999", "this is not the master key of"),
    ("tenant list --state-dir open", "run: chmod 600 open/master.key"),
    # settings
    ("serve --settings absent.toml", "absent.toml: cannot be read: No such file or directory"),
    ("serve --settings unknown.toml", "unknown.toml: worker: unknown setting; did you mean workers?"),
    ("serve --settings wrong_type.toml", "wrong_type.toml: workers: Expected `int`, got `str`"),
    ("serve --settings wrong_value.toml", "wrong_value.toml: log_format: must be text or json"),
    ("serve --settings not.toml", "not.toml: not a TOML file"),
    # listeners
    ("serve --workers 0", "command line: workers: must be from 1 to 512"),
    ("serve --listen 127.0.0.1:8080", "listen: '127.0.0.1:8080' is not of the form http://HOST:PORT"),
    ("serve --listen http://127.0.0.1:99999", "listen: 'http://127.0.0.1:99999': Port out of range"),
    ("serve --listen http://127.0.0.1:0", "port 0 is none; name the port"),
    ("serve --listen http://0.0.0.0:18999", "plain HTTP off loopback would show secrets"),
    ("serve --demo --listen http://0.0.0.0:18999", "http://0.0.0.0:18999: the demo's secrets are public"),
    ("serve --demo --listen https://[::]:18999", "https://[::]:18999: the demo's secrets are public"),
    ("serve --listen https://203.0.113.9:18999", "https://203.0.113.9:18999: Cannot assign requested address"),
    ("serve --trusted-proxy 10.0.0.300 --workers 2", "trusted_proxies: '10.0.0.300' does not appear to be"),
    # certificates
    ("serve --listen https://127.0.0.1:18999", "an https listener needs tls_certificate and tls_private_key"),
    (
        "serve --listen https://127.0.0.1:18999 --tls-certificate absent --tls-private-key tls.key",
        "tls_certificate: absent: No such file or directory",
    ),
    (
        "serve --listen https://127.0.0.1:18999 --tls-certificate empty --tls-private-key tls.key",
        "tls_certificate empty, tls_private_key tls.key: not PEM",
    ),
    (
        "serve --listen https://127.0.0.1:18999 --tls-certificate tls.key.crt --tls-private-key other.key",
        "this key is not the certificate's",
    ),
    (
        "serve --listen https://127.0.0.1:18999 --tls-certificate locked.key.crt --tls-private-key locked.key",
        "tls_private_key: is encrypted",
    ),
    # tenants
    ("client list --tenant nope", "there is no tenant 'nope'; the tenants are: acme"),
    ("tenant suspend nope", "there is no tenant 'nope'"),
    ("tenant create acme --issuer https://other.example", "tenant 'acme': its id is taken by 'acme'"),
    ("tenant create Acme! --issuer https://acme.example", "tenant id 'Acme!'"),
    ("tenant create new --issuer acme.example", "issuer 'acme.example': wanted is an http or https URL"),
    (
        "tenant create new --issuer 'https://acme.example/?a'",
        "wanted is an http or https URL without query or fragment",
    ),
    ("tenant create new --issuer 'https://acme.example\n'", "wanted is an http or https URL without query or fragment"),
    ("tenant create new --issuer https://a.example --dialect omad", "the dialects are: ciam, oauth2, omada"),
    ("tenant create new --issuer https://a.example --host 'a b'", "host 'a b'"),
    ("tenant create new --issuer https://a.example --set form", "--set 'form': wanted is KEY=VALUE"),
    ("tenant create new --issuer https://a.example --set form=xml", "token rule form: Invalid enum value 'xml'"),
    ("tenant create new --issuer https://a.example --set lifetime=5", "unknown field `lifetime`"),
    ("tenant create new --issuer https://a.example --set lifetime_s=0", "lifetime_s: must be from 1 to"),
    # clients
    ("client create --tenant acme --client-id billing", "tenant 'acme' has a client 'billing' already"),
    ("client create --tenant acme --client-id 'a\nb'", "client_id: wanted are 1 to 255 printable ASCII"),
    ("client create --tenant acme --scope 'a\"b'", "scope: 'a\"b' is no scope-token (RFC 6749 section 3.3)"),
    ("client create --tenant acme --client-secret-file absent", "absent: the secret cannot be read"),
    ("client create --tenant acme --client-secret-file empty", "client_secret: wanted are 1 to 1024 octets"),
    ("client create --tenant acme --set alg=none", "token rule alg: Invalid enum value 'none'"),
    ("client show --tenant acme nope", "tenant 'acme' has no client 'nope'"),
    ("client remove-secret --tenant acme billing nope", "client 'billing' has no secret 'nope'"),
    ("client import --tenant acme absent.jsonl", "absent.jsonl: cannot be read: No such file"),
    # dialects
    ("dialect show nope", "there is no dialect 'nope'; the dialects are: ciam, oauth2"),
    ("dialect check absent.toml", "absent.toml: cannot be read: No such file"),
    # asking for a token
    ("token notaurl --client-id a --client-secret-file secret.txt", "url: must be http:// or https://"),
    ("token http://api.example --client-id a --client-secret-file secret.txt", "use https"),
    ("token http://127.0.0.1:9 --client-id a", "no client secret: give --client-secret-file FILE"),
    ("token http://127.0.0.1:9 --client-id a --client-secret-env NOWHERE", "NOWHERE is not set"),
    ("token http://127.0.0.1:9 --client-id a --client-secret-file absent", "absent: No such file"),
    ("token http://127.0.0.1:9 --client-id a --client-secret-file secret.txt --dialect omad", "one of ciam, oauth2"),
    ("token http://127.0.0.1:9 --client-id a --client-secret-file secret.txt", "no answer from the token endpoint"),
]


@pytest.mark.parametrize(("words", "said"), MISTAKES, ids=[words.replace("\n", "~") for words, _ in MISTAKES])
def test_a_mistake_costs_one_clear_line(desk, words, said):
    free = str(find_free_port())
    done = run_mintmark(*shlex.split(words.replace("18999", free)), cwd=desk)
    assert_one_clear_line(done, said.replace("18999", free))


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MINTMARK_WORKER", "2", "MINTMARK_WORKER: unknown setting; did you mean workers?"),
        ("MINTMARK_WORKERS", "two", "MINTMARK_WORKERS: workers: Expected `int`, got `str`"),
        ("MINTMARK_MASTER_KEY", "c2hvcnQ", "must hold 32 octets in base64url"),
        ("MINTMARK_MASTER_KEY", "not a key", "master_key: not base64url"),
        ("MINTMARK_MASTER_KEY", OTHER_KEY, "MINTMARK_MASTER_KEY: this is not the master key of"),
        ("MINTMARK_DIALECTS_DIR", "nowhere", "nowhere: dialects_dir is not a folder"),
        ("MINTMARK_DIALECTS_DIR", "bad_wire", "bad_wire/mine.toml: wire.success.members[2].codec: unknown codec"),
        ("MINTMARK_DIALECTS_DIR", "bad_rules", "bad_rules: dialect mine: rules.token: Object contains unknown field"),
        ("MINTMARK_DIALECTS_DIR", "twice", "twice/mine.toml: dialect: 'omada' is defined already"),
        ("MINTMARK_DATABASE_URL", "sqlite:///file", "file is not a SQLite database"),
    ],
)
def test_a_wrong_environment_variable_is_named(desk, variable, value, said):
    assert_one_clear_line(run_mintmark("tenant", "list", cwd=desk, env={variable: value}), said)


def test_a_taken_port_is_named(desk):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = run_mintmark("serve", "--listen", url, cwd=desk)
    assert_one_clear_line(done, f"listen: {url}: Address already in use")


def test_octets_that_are_no_text_are_refused(desk):
    assert_one_clear_line(run_process("client", "create", "--name", os.fsdecode(b"\xff"), cwd=desk), "not UTF-8")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable for root")
def test_an_unwritable_state_dir_is_named(made, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert_one_clear_line(run_mintmark("init", "--state-dir", locked, cwd=tmp_path), "Permission denied")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "serv",
        "client",
        "client mint",
        "serve --workers two",
        "client list --limit 0",
        "client list --limit 99999999999999999999",
        "client create --method private_key_jwt",
        "keys rotate --alg HS256",
        "tenant create",
        "token http://127.0.0.1:9 --client-id a --client-secret word",
    ],
)
def test_a_wrong_command_line_ends_with_2_and_shows_the_usage(desk, words):
    done = run_mintmark(*shlex.split(words), cwd=desk)
    assert done.code == 2
    assert done.stderr.startswith("usage: mintmark")
    assert "error: " in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


GOOD_LINE = b'{"client_id":"first","client_secret":"its secret"}\n'


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (b'{"client_id":"second"}', "Object missing required field `client_secret`"),
        (b'{"client_id":"second","client_secret":"s","scopes":[]}', "unknown field `scopes`"),
        (b'{"client_id":"second","client_secret":"s","scope":["a b"]}', "scope: 'a b' is no scope-token"),
        (b'{"client_id":"second","client_secret":""}', "client_secret: wanted are 1 to 1024 octets"),
        (b'{"client_id":"","client_secret":"s"}', "client_id: wanted are 1 to 255 printable ASCII"),
        (b'{"client_id":"first","client_secret":"s"}', "client_id 'first' stands twice"),
        (b'{"client_id":"billing","client_secret":"s"}', "tenant 'acme' has a client 'billing' already"),
        (b'{"client_id":"\xff","client_secret":"s"}', "not UTF-8"),
        (b'{"client_id":"second"', "truncated"),
    ],
)
def test_a_faulty_line_of_an_import_is_named_and_no_line_is_taken(made, desk, second, said):
    (desk / "clients.jsonl").write_bytes(GOOD_LINE + second + b"\n")
    done = run_mintmark("client", "import", "--tenant", "acme", "clients.jsonl", cwd=desk)
    assert_one_clear_line(done, "clients.jsonl:2: ")
    assert said in done.stderr
    assert "first" not in must_run("client", "list", "--tenant", "acme", cwd=desk)


def test_a_secret_in_a_faulty_line_is_not_shown(desk):
    (desk / "clients.jsonl").write_text('{"client_id":"x","client_secret":"hush-hush","scope":"hush-hush"}\n')
    done = run_mintmark("client", "import", "--tenant", "acme", "clients.jsonl", cwd=desk)
    assert_one_clear_line(done, "clients.jsonl:1: Expected `array`, got `str`")
    assert "hush" not in done.stderr
