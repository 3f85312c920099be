"""Without its master key nothing starts, and nothing is changed. ASVS V11.1, V13.3."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from mintmark.admin.deployment import initialize, open_deployment
from mintmark.authentication.master_key import SealBroken, SealingKey, read_master_key
from mintmark.protocol.errors import SettingsError
from mintmark.settings import load_settings
from tests.endpoints.deployments import Deployment, fingerprint
from tests.endpoints.servers import find_free_port, run_mintmark

OTHER = base64.urlsafe_b64encode(b"o" * 32).decode()


def remove(key: Path) -> None:
    key.unlink()


def replace(key: Path) -> None:
    key.write_text(OTHER)


def open_to_others(key: Path) -> None:
    key.chmod(0o640)


def cut(key: Path) -> None:
    key.write_text(key.read_text()[:20])


def blur(key: Path) -> None:
    key.write_text("not base64url at all, but of some length")


def spoil(key: Path) -> None:
    key.write_bytes(b"\xff\xfe" * 22)


def test_a_credential_of_systemd_shows_the_groups_bit_and_never_that_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    key, elsewhere = tmp_path / "credentials" / "master.key", tmp_path / "master.key"
    key.parent.mkdir()
    for one in (key, elsewhere):
        one.write_text(OTHER)
        one.chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key.parent))
    read_master_key(key)
    with pytest.raises(SettingsError, match="others may read the master key"):
        read_master_key(elsewhere)
    key.chmod(0o444)
    with pytest.raises(SettingsError, match="others may read the master key"):
        read_master_key(key)


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (remove, "the master key is not there"),
    "of another deployment": (replace, "is not the master key of"),
    "readable by others": (open_to_others, "others may read the master key"),
    "too short": (cut, "32 octets in base64url"),
    "no base64url": (blur, "base64url"),
    "no text": (spoil, "cannot be read"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("verb", [open_deployment, initialize], ids=["open", "init"])
async def test_a_faulty_master_key_stops_every_command_and_changes_nothing(
    own_deployment_of_bare: Deployment, name: str, verb
):
    fault, text = FAULTS[name]
    state_dir = own_deployment_of_bare.state_dir
    fault(state_dir / "master.key")
    before = fingerprint(state_dir)

    with pytest.raises(SettingsError, match=text) as raised:
        await verb(load_settings(None, {"state_dir": state_dir}, {}))

    assert "master.key" in str(raised.value)
    assert contents(fingerprint(state_dir)) == contents(before)


@pytest.mark.parametrize("verb", [open_deployment, initialize], ids=["open", "init"])
async def test_an_old_database_is_not_migrated_under_a_wrong_master_key(
    own_deployment_of_bare: Deployment, monkeypatch: pytest.MonkeyPatch, verb
):
    monkeypatch.setattr("mintmark.store.schema.HEAD", "9999")
    state_dir = own_deployment_of_bare.state_dir
    settings = load_settings(None, {"state_dir": state_dir}, {})
    right = (state_dir / "master.key").read_text()
    replace(state_dir / "master.key")
    before = fingerprint(state_dir)
    with pytest.raises(SettingsError, match="is not the master key of"):
        await verb(settings)
    assert contents(fingerprint(state_dir)) == contents(before)

    (state_dir / "master.key").write_text(right)
    monkeypatch.setattr("mintmark.store.schema.run_scripts", take_the_last_step)
    administration = await verb(settings)
    await administration.store.close()


def take_the_last_step(connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")


def contents(found: dict) -> dict:
    """SQLite may leave an empty log beside a database that it has looked into."""
    return {name: what for name, what in found.items() if not (name.endswith(("-wal", "-shm")))}


@pytest.fixture
def own_deployment_of_bare(bare_deployment: Deployment, tmp_path: Path) -> Deployment:
    return bare_deployment.copy_to(tmp_path)


@pytest.mark.parametrize(("name", "demo"), [("missing", True), ("of another deployment", False)])
def test_the_server_does_not_start_without_its_master_key(own_deployment: Deployment, name: str, demo: bool):
    fault, text = FAULTS[name]
    state_dir = own_deployment.state_dir
    fault(state_dir / "master.key")
    before = fingerprint(state_dir)
    words = ["serve", "--state-dir", str(state_dir), "--listen", f"http://127.0.0.1:{find_free_port()}"]

    ended = run_mintmark(*words, *(["--demo"] if demo else []), cwd=state_dir.parent)

    assert ended.returncode == 1
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert contents(fingerprint(state_dir)) == contents(before)


async def test_a_wrong_master_key_of_the_environment_is_named(own_deployment_of_bare: Deployment):
    settings = load_settings(None, {"state_dir": own_deployment_of_bare.state_dir}, {"MINTMARK_MASTER_KEY": OTHER})

    with pytest.raises(SettingsError, match="MINTMARK_MASTER_KEY: this is not the master key"):
        await open_deployment(settings)


async def test_the_right_master_key_may_come_from_the_environment(own_deployment_of_bare: Deployment):
    key = own_deployment_of_bare.state_dir / "master.key"
    settings = load_settings(
        None, {"state_dir": own_deployment_of_bare.state_dir}, {"MINTMARK_MASTER_KEY": key.read_text()}
    )
    key.unlink()

    administration = await open_deployment(settings)
    await administration.store.close()


def test_a_seal_opens_for_its_purpose_and_its_key_alone():
    sealed = SealingKey(b"k" * 32).seal(b"value", b"purpose")

    assert SealingKey(b"k" * 32).open(sealed, b"purpose") == b"value"
    for key, octets, purpose in [
        (b"o" * 32, sealed, b"purpose"),
        (b"k" * 32, sealed, b"another"),
        (b"k" * 32, sealed[:-1] + bytes([sealed[-1] ^ 1]), b"purpose"),
        (b"k" * 32, b"\x02" + sealed[1:], b"purpose"),
        (b"k" * 32, b"", b"purpose"),
    ]:
        with pytest.raises(SealBroken):
            SealingKey(key).open(octets, purpose)


def test_two_seals_of_one_value_differ():
    key = SealingKey(b"k" * 32)

    assert key.seal(b"value", b"") != key.seal(b"value", b"")
