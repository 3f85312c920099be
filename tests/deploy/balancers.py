"""HAProxy and nginx as `deploy/` configures them, with nothing changed but addresses and files."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from mintmark.http.certificate import ensure_certificate
from tests.architecture.source_code import ROOT
from tests.endpoints.servers import PATIENCE_S, find_free_port

DEPLOY = ROOT / "deploy"
NODES = ("10.0.0.11:8080", "10.0.0.12:8080")
"""As the samples name them."""
UP = "2"


def find_program(name: str) -> str:
    """Return a program of Debian's package of the same name; where root may install it, install it."""
    path = os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin"
    if shutil.which(name, path=path) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", name]
        for command in (["apt-get", "update", "-qq"], install):
            subprocess.run(command, capture_output=True, check=False, timeout=300)
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"{name} is not there, and could not be installed: only root may")
    return found


class Balancer(NamedTuple):
    """One that runs."""

    name: str
    port: int
    certificate: Path
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "balancer.log").read_text()

    def wait_for_nodes(self) -> None:
        """Wait until HAProxy sends requests to both. nginx looks by itself when it sends one."""
        deadline = time.monotonic() + PATIENCE_S
        while self.name == "haproxy" and _states(self.folder / "stats") != [UP, UP]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _states(control: Path) -> list[str]:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(control))
        asking.sendall(b"show servers state nodes\n")
        answer = b"".join(iter(lambda: asking.recv(65_536), b"")).decode()
    return [line.split()[5] for line in answer.splitlines()[2:] if line]


def configure(sample: str, changes: Mapping[str, str], nodes: Iterable[str]) -> str:
    """Return a sample with its addresses and files replaced; each must be there."""
    text = (DEPLOY / sample).read_text("utf-8")
    for old, new in {**changes, **dict(zip(NODES, nodes, strict=True))}.items():
        assert old in text, f"{sample} no longer says {old!r}"
        text = text.replace(old, new)
    return text


def make_certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "balancer.crt", folder / "balancer.key"
    ensure_certificate(certificate, key)
    (folder / "balancer.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
    return certificate, key


@contextmanager
def run_haproxy(folder: Path, nodes: Iterable[str]) -> Iterator[Balancer]:
    port, (certificate, _) = find_free_port(), make_certificate(folder)
    changes = {"bind :443": f"bind 127.0.0.1:{port}", "/etc/haproxy/mintmark.pem": str(folder / "balancer.pem")}
    file, control = folder / "haproxy.cfg", folder / "control.cfg"
    file.write_text(configure("haproxy.cfg", changes, nodes))
    control.write_text(f"global\n    stats socket {folder / 'stats'} level admin\n")
    command = [find_program("haproxy"), "-db", "-f", str(file), "-f", str(control)]
    with _running(command, folder, port):
        yield Balancer("haproxy", port, certificate, folder)


@contextmanager
def run_nginx(folder: Path, nodes: Iterable[str]) -> Iterator[Balancer]:
    port, (certificate, key) = find_free_port(), make_certificate(folder)
    changes = {
        "listen 443": f"listen 127.0.0.1:{port}",
        "/etc/nginx/mintmark.crt": str(certificate),
        "/etc/nginx/mintmark.key": str(key),
        "http {": f"http {{ access_log {folder}/access.log; client_body_temp_path {folder}/body;"
        + "".join(f" {kind}_temp_path {folder}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi")),
    }
    file = folder / "nginx.conf"
    file.write_text(configure("nginx.conf", changes, nodes))
    options = f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;"
    command = [find_program("nginx"), "-p", str(folder), "-c", str(file), "-g", options]
    with _running(command, folder, port):
        yield Balancer("nginx", port, certificate, folder)


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    with (folder / "balancer.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait_for(port, process, folder / "balancer.log")
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return
