"""The systemd unit and the Containerfile: well formed, of this repository, and what they run does run so."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mintmark.settings import Settings
from tests.architecture.source_code import ROOT
from tests.cli.running import MINTMARK, command_environment
from tests.deploy.balancers import DEPLOY
from tests.endpoints.deployments import Deployment
from tests.endpoints.servers import PATIENCE_S, Server, find_free_port

PROGRAM = "/opt/mintmark/bin/mintmark"
UNIT = (DEPLOY / "mintmark.service").read_text("utf-8")
BALANCED = (DEPLOY / "haproxy.cfg").read_text("utf-8")
CONTAINER = (DEPLOY / "Containerfile").read_text("utf-8")


def settings_of(unit: str, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)


def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not there; the unit's command is run below all the same")
    unit = tmp_path / "mintmark.service"
    unit.write_text(UNIT.replace(PROGRAM, str(MINTMARK)))
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert unit.name not in done.stderr
    judged: list[str | Path] = [analyze, "security", "--offline=true", "--threshold=20", "--no-pager", unit]
    done = subprocess.run(judged, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


FORBID = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
libc.prctl(65, 1, 0, 0, 0)  # PR_SET_MDWE: no memory that is written and run; older kernels do not know it
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_the_units_command_runs_as_the_unit_has_it(own_deployment: Deployment, tmp_path: Path):
    [command], state_dir = settings_of(UNIT, "ExecStart"), own_deployment.state_dir
    credentials, notify, file = tmp_path / "credentials", tmp_path / "notify", tmp_path / "mintmark.toml"
    credentials.mkdir(mode=0o700)
    shutil.move(state_dir / "master.key", credentials / "master.key")
    (credentials / "master.key").chmod(0o440)
    file.write_text(f'listen = ["http://127.0.0.1:{find_free_port()}"]')
    places = {"/etc/mintmark/mintmark.toml": file, "/var/lib/mintmark": state_dir, "%d": credentials}
    given = " ".join(settings_of(UNIT, "Environment"))
    for old, new in places.items():
        given = given.replace(old, str(new))
    told = {"NOTIFY_SOCKET": str(notify), "CREDENTIALS_DIRECTORY": str(credentials)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(notify))
        systemd.settimeout(PATIENCE_S)
        with subprocess.Popen(
            [sys.executable, "-c", FORBID, *shlex.split(command.replace(PROGRAM, str(MINTMARK)))],
            cwd="/",
            env=command_environment({**dict(one.split("=", 1) for one in given.split()), **told}),
            stdout=subprocess.DEVNULL,
        ) as process:
            assert systemd.recv(100) == b"READY=1"
            process.terminate()
            assert systemd.recv(100) == b"STOPPING=1"
            assert process.wait(PATIENCE_S) == 0


def test_the_unit_waits_longer_for_the_end_than_the_server_takes():
    [waits], [advised] = settings_of(UNIT, "TimeoutStopSec"), re.findall(r"shutdown_delay_s = (\d+)", BALANCED)
    assert int(waits) > int(advised) + Settings().shutdown_grace_s


def test_the_image_copies_what_is_there_and_what_the_build_makes():
    copied = [line.split()[1] for line in CONTAINER.splitlines() if line.startswith("COPY ") and "--from" not in line]
    assert copied == ["requirements/server.txt", "dist/mintmark-*.whl"]
    assert (ROOT / copied[0]).is_file()
    assert 'name = "mintmark"' in (ROOT / "pyproject.toml").read_text()


def test_the_image_names_no_index_runs_as_nobody_special_and_checks_its_locks():
    assert not re.search(r"index-url|find-links|trusted-host|simple/", CONTAINER)
    assert "--require-hashes" in CONTAINER
    [user] = re.findall(r"^USER (.*)$", CONTAINER, re.MULTILINE)
    assert int(user) > 0
    assert re.findall(r"^VOLUME (.*)$", CONTAINER, re.MULTILINE) == re.findall(r"MINTMARK_STATE_DIR=(\S+)", CONTAINER)


def test_the_images_probe_tells_a_ready_server_from_one_that_is_not(server: Server):
    [probe] = re.findall(r'CMD \["python", "-c", "(.*)"\]', CONTAINER)
    codes = [
        subprocess.run(
            [sys.executable, "-c", probe.replace("9464", str(port))], capture_output=True, check=False
        ).returncode
        for port in (server.port, find_free_port())
    ]
    assert codes == [0, 1]
