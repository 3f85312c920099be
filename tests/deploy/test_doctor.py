"""`mintmark doctor`: each thing that can be wrong is made wrong, and the line that says so is there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mintmark.admin.diagnosis import Case, Finding, check_files, diagnose, judge_space
from mintmark.settings import load_settings
from tests.cli.running import MINTMARK, Done, command_environment, run_mintmark
from tests.endpoints.deployments import Deployment
from tests.endpoints.servers import Server, find_free_port
from tests.postgresql import PASSWORD, Postgres, run_postgres

LEVELS = {"ok", "warn", "fail"}


def consult(folder: Path, *words: str, **settings: str) -> Done:
    """Run the doctor over the `var` in a folder; by default its listener is free."""
    given = {"listen": f"http://127.0.0.1:{find_free_port()}", **settings}
    environment = {f"MINTMARK_{name.upper()}": value for name, value in given.items()}
    done = run_mintmark("doctor", *words, cwd=folder, env=environment)
    assert done.stderr == ""
    assert PASSWORD not in done.stdout
    return done


def found(done: Done, level: str, check: str) -> list[str]:
    """What stands behind a level and a check."""
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert {line[0] for line in lines} <= LEVELS
    return [rest.removeprefix(check).strip() for one, rest in lines if one == level and rest.startswith(check + "  ")]


@pytest.fixture
def folder(own_deployment: Deployment) -> Path:
    return own_deployment.state_dir.parent


def test_a_deployment_in_order_passes_and_says_so_line_by_line(folder: Path):
    done = consult(folder)
    assert done.code == 0
    assert {line.split()[0] for line in done.stdout.splitlines()} <= {"ok", "warn"}
    for check in ("settings", "database", "schema", "encoding", "audit", "master key", "files", "disk", "listener"):
        assert found(done, "ok", check), check


def test_it_speaks_json_with_the_same_findings(folder: Path):
    (folder / "var").chmod(0o755)
    done = consult(folder, "--json")
    findings = [Finding(**one) for one in json.loads(done.stdout)]
    assert done.code == 1
    assert Finding("fail", "files", "var: mode 755 lets others at it", "chmod 700 var") in findings
    assert {finding.level for finding in findings if finding.check != "files"} <= {"ok", "warn"}


def tell(statement: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with contextlib.closing(sqlite3.connect(folder / "var" / "mintmark.db")) as connection, connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute(statement)

    return change


def tell_both(*statements: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for statement in statements:
            tell(statement)(folder)

    return change


def mode(name: str, bits: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).chmod(bits)


def write(name: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text(text)

    return change


FAULTS: dict[str, tuple[Callable[[Path], None], str, str, str]] = {
    "an unknown setting": (write("mintmark.toml", "worker = 2"), "fail", "settings", "did you mean workers?"),
    "no database": (lambda folder: (folder / "var/mintmark.db").unlink(), "fail", "database", "there is no file"),
    "no folder": (lambda folder: shutil.rmtree(folder / "var"), "fail", "database", "there is no directory var"),
    "no SQLite": (write("var/mintmark.db", "text" * 1000), "fail", "database", "is not a SQLite database"),
    "another's tables": (tell("DROP TABLE alembic_version"), "fail", "database", "are not Mintmark's"),
    "a later schema": (
        tell_both(
            "UPDATE alembic_version SET version_num = '9'",
            "UPDATE deployment_fact SET value = '9' WHERE name = 'oldest_program'",
        ),
        "fail",
        "schema",
        "from a later release",
    ),
    "an empty database": (write("var/mintmark.db", ""), "fail", "schema", "it is empty - run `mintmark init`"),
    "another's key": (write("var/master.key", "A" * 43), "fail", "master key", "this is not the master key"),
    "no key": (lambda folder: (folder / "var/master.key").unlink(), "fail", "master key", "is not there"),
    "an open key": (mode("var/master.key", 0o640), "fail", "files", "chmod 600 var/master.key"),
    "an open database": (mode("var/mintmark.db", 0o644), "fail", "files", "chmod 600 var/mintmark.db"),
    "no root key": (tell("DELETE FROM deployment_fact"), "fail", "master key", "its root key is not there"),
    "an unsigned log": (
        tell(
            "INSERT INTO audit_record SELECT 1000000, 1000, kind, actor, tenant_id, subject, source, token,"
            " correlation_id, previous, hash, body_digest, body FROM audit_record LIMIT 1"
        ),
        "warn",
        "audit",
        "look for audit_broken in its log",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_on_disk_has_its_line(folder: Path, name: str):
    break_it, level, check, said = FAULTS[name]
    break_it(folder)
    done = consult(folder)
    assert [line for line in found(done, level, check) if said in line], done.stdout
    assert done.code == (1 if level == "fail" else 0)


def test_what_cannot_be_looked_at_is_said_to_be_unknown(folder: Path):
    (folder / "var/mintmark.db").unlink()
    assert found(consult(folder), "warn", "schema") == ["not known: the database could not be looked at"]


def test_it_changes_nothing(folder: Path):
    (folder / "var/mintmark.db").unlink()
    before = sorted(path.name for path in (folder / "var").iterdir())
    consult(folder)
    assert sorted(path.name for path in (folder / "var").iterdir()) == before


@pytest.mark.parametrize(("free", "level"), [(2 * 1024**3, "ok"), (500 * 1024**2, "warn"), (50 * 1024**2, "fail")])
def test_a_disk_that_runs_full_is_told_of_in_time(free: int, level: str):
    assert judge_space(free).level == level


def test_few_open_files_are_told_of(folder: Path):
    command = ["sh", "-c", f"ulimit -n 500; exec {MINTMARK} doctor"]
    done = subprocess.run(command, cwd=folder, env=command_environment(), capture_output=True, text=True, check=False)
    lines = found(Done(done.returncode, done.stdout, done.stderr), "warn", "open files")
    assert lines == [
        "at most 500: enough for 436 connections - "
        "raise the hard limit to 10064: LimitNOFILE= in the unit, --ulimit nofile= for a container"
    ]


def test_an_address_is_free_ours_or_anothers(folder: Path, server: Server):
    assert ": free" in found(consult(folder), "ok", "listener")[0]
    for url in (server.url, f"https://127.0.0.1:{server.tls_port}"):
        certificate, key = server.state_dir / "localhost.crt", server.state_dir / "localhost.key"
        done = consult(folder, listen=url, tls_certificate=str(certificate), tls_private_key=str(key))
        assert found(done, "ok", "listener") == [f"{url}: a server of ours answers"]
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.close()
        url = f"http://127.0.0.1:{find_free_port()}"
    with socket.create_server(("127.0.0.1", int(url.rpartition(":")[2]))) as stranger:
        stranger.settimeout(0)
        assert "Address already in use" in found(consult(folder, listen=url), "fail", "listener")[0]


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("http://0.0.0.0:18092", "plain HTTP off loopback"),
        ("https://203.0.113.9:18999", "Cannot assign requested address"),
        ("127.0.0.1:8080", "is not of the form"),
    ],
)
def test_an_address_that_serve_would_refuse_is_refused_here(folder: Path, listen: str, said: str):
    assert said in found(consult(folder, listen=listen), "fail", "listener")[0]


def make_pair(folder: Path, *, ends_in_days: float, name: str | None = "id.example") -> dict[str, str]:
    """Make a certificate and its key, and return the settings that name them."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "id.example")])
    begins, ends = now - timedelta(days=90), now + timedelta(days=ends_in_days)
    built = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), begins, ends)
    if name is not None:
        built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    files = {"tls_certificate": folder / "tls.crt", "tls_private_key": folder / "tls.key"}
    files["tls_certificate"].write_bytes(built.sign(key, SHA256()).public_bytes(Encoding.PEM))
    files["tls_private_key"].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files["tls_private_key"].chmod(0o600)
    return {"listen": f"https://127.0.0.1:{find_free_port()}", **{name: str(file) for name, file in files.items()}}


@pytest.mark.parametrize(
    ("days", "level", "said"), [(-1, "fail", "expired at"), (20, "warn", "expires at"), (60, "ok", "valid until")]
)
def test_a_certificate_is_judged_by_when_it_ends(folder: Path, days: float, level: str, said: str):
    done = consult(folder, **make_pair(folder, ends_in_days=days))
    assert said in found(done, level, "certificate")[0]


@pytest.mark.parametrize(
    ("name", "level"), [("id.example", "ok"), ("*.example", "ok"), ("other.example", "warn"), (None, "warn")]
)
def test_a_certificate_is_judged_by_the_name_that_callers_use(folder: Path, name: str | None, level: str):
    pair = make_pair(folder, ends_in_days=60, name=name)
    assert len(found(consult(folder, public_url="https://id.example", **pair), level, "certificate")) >= 1


def test_a_key_of_another_certificate_or_open_to_others_is_told_of(folder: Path):
    pair = make_pair(folder, ends_in_days=60)
    (folder / "tls.key").chmod(0o644)
    assert f"chmod 600 {folder / 'tls.key'}" in found(consult(folder, **pair), "fail", "files")[0]
    (folder / "other").mkdir()
    pair["tls_private_key"] = make_pair(folder / "other", ends_in_days=60)["tls_private_key"]
    assert "this key is not the certificate's" in found(consult(folder, **pair), "fail", "certificate")[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as another user")
@pytest.mark.parametrize(("bits", "levels"), [(0o700, {"fail"}), (0o755, {"fail", "warn"})])
def test_a_user_who_is_not_the_owner_is_told_whose_the_files_are(folder: Path, bits: int, levels: set[str]):
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        state_dir = Path(shutil.copytree(folder / "var", Path(place) / "var"))
        state_dir.chmod(bits)
        case = Case(load_settings(None, {"state_dir": state_dir}, {}))
        os.seteuid(65534)
        try:
            findings = list(check_files(case))
        finally:
            os.seteuid(0)
    assert {finding.level for finding in findings} == levels
    assert any("belongs to uid 0" in finding.said for finding in findings)


# PostgreSQL: `postgres` of all tests does not sync, and says so.


@pytest.fixture(scope="module")
def sound() -> Iterator[Postgres]:
    """A server as it comes, with few connections."""
    yield from run_postgres(max_connections="50", wal_retrieve_retry_interval="100ms")


@pytest.fixture(scope="module")
def on_server(sound: Postgres, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A deployment that the tests leave as they found it."""
    folder, settings = tmp_path_factory.mktemp("server"), {"database_url": sound.create(is_empty=True)}
    assert run_mintmark("init", cwd=folder, env={"MINTMARK_DATABASE_URL": settings["database_url"]}).code == 0
    return folder, settings


def test_a_deployment_on_postgresql_in_order_passes(on_server):
    folder, settings = on_server
    done = consult(folder, **settings)
    assert done.code == 0, done.stdout
    assert found(done, "ok", "database")[0].startswith("PostgreSQL 1")
    assert found(done, "ok", "role") == ["takes writes"]
    assert found(done, "ok", "clock") == ["with the database's"]
    assert found(done, "ok", "durability")
    assert found(done, "ok", "encoding") == ["UTF8"]


def test_too_many_workers_and_nodes_for_the_server_are_told_of(on_server):
    folder, settings = on_server
    said = found(consult(folder, workers="2", **settings), "ok", "pool")
    assert said == ["24 connections wanted by 1 nodes of 2 workers, and for commands; 47 to be had"]
    done = consult(folder, "--nodes", "3", workers="2", **settings)
    assert found(done, "fail", "pool") == [
        "68 connections wanted by 3 nodes of 2 workers, and for commands; only 47 to be had - "
        "raise max_connections by 21, or run fewer workers or nodes"
    ]


@pytest.mark.parametrize(("ahead_s", "level"), [(0, "ok"), (3, "warn"), (-3, "warn"), (8, "fail"), (-8, "fail")])
def test_a_clock_that_differs_from_the_databases_is_told_of(on_server, ahead_s: float, level: str):
    folder, settings = on_server
    case = Case(load_settings(None, {"state_dir": folder / "var", **settings}, {}), clock=lambda: time.time() + ahead_s)
    [finding] = [one for one in diagnose(case) if one.check == "clock"]
    assert finding.level == level
    assert ("ahead of" if ahead_s > 0 else "behind" if ahead_s < 0 else "with") in finding.said


@pytest.mark.parametrize(
    ("name", "value", "check", "said"),
    [
        ("synchronous_commit", "off", "durability", "synchronous_commit is off: answered tokens can be lost"),
        ("default_transaction_read_only", "on", "role", "it only reads"),
    ],
)
def test_a_database_that_is_set_to_lose_or_to_refuse_is_told_of(on_server, sound: Postgres, name, value, check, said):
    folder, settings = on_server
    database = settings["database_url"].rpartition("/")[2]
    sound.tell(f"ALTER DATABASE {database} SET {name} = {value}")
    done = consult(folder, **settings)
    sound.tell(f"ALTER DATABASE {database} RESET {name}")
    assert said in found(done, "fail", check)[0]


def test_a_server_that_does_not_sync_is_told_of(tmp_path: Path, postgres: Postgres):
    lines = found(consult(tmp_path, database_url=postgres.create()), "fail", "durability")
    assert [line.split()[0] for line in lines] == ["fsync", "full_page_writes"]


def test_an_encoding_that_is_not_utf_8_is_told_of(tmp_path: Path, sound: Postgres):
    sound.tell("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    done = consult(tmp_path, database_url=sound.url("ascii"))
    assert found(done, "fail", "encoding")[0].startswith("SQL_ASCII - make the database anew")
    assert found(done, "fail", "schema") == ["it is empty - run `mintmark init`"]


def test_a_file_with_the_databases_password_is_not_for_others(on_server):
    folder, settings = on_server
    (folder / "mintmark.toml").write_text(f'database_url = "{settings["database_url"]}"')
    (folder / "mintmark.toml").chmod(0o644)
    assert "chmod 600 mintmark.toml" in found(consult(folder), "warn", "files")[0]
    (folder / "mintmark.toml").chmod(0o600)
    assert found(consult(folder), "warn", "files") == []
    (folder / "mintmark.toml").unlink()


def test_a_database_that_is_away_is_told_of_without_its_password(tmp_path: Path):
    url = f"postgresql://mintmark:{PASSWORD}@127.0.0.1:{find_free_port()}/mintmark"
    done = consult(tmp_path, database_url=url)
    assert "Connection refused" in done.stdout
    assert done.code == 1


def test_a_standby_is_told_of(on_server, sound: Postgres):
    folder, settings = on_server
    sound.set("fsync", "off")  # its end then takes no time
    sound.become_standby()
    assert "this is a standby" in found(consult(folder, **settings), "fail", "role")[0]
