"""What the figures were taken on: processor, versions, file system, and how busy the machine was."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.backends.openssl import backend

from bench.broken import BrokenRowError
from bench.tools import NODE_PEER, find_node, glewlwyd_version, node_version

PACKAGES: Final = ("mintmark", "uvicorn", "uvloop", "httptools", "cryptography")
PEER_NODE_AT_LEAST: Final = 22
"""The peer warns at start that it does not support an older node."""


def describe_machine(folder: Path) -> dict[str, Any]:
    """Return the facts about the machine; `folder` is where the databases lie."""
    return {
        "cpu": cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 2),
        "database_file_system": file_system(folder),
    }


def cpu_model() -> str:
    """Return the processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def file_system(folder: Path) -> str:
    """Return the type of the file system that holds a folder."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return max((m for m in mounts if folder.is_relative_to(m[1])), key=lambda m: len(m[1]))[2]


def versions() -> dict[str, str]:
    """Return the versions of all that takes part."""
    found = {name: package_version(name) for name in PACKAGES}
    found |= {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    found |= {
        "openssl": backend.openssl_version_text().split()[1],
        "wrk": wrk_version(),
        "kernel": platform.release(),
    }
    return found | {"node": describe_node(), "oidc-provider": peer_version(), "glewlwyd": glewlwyd_version()}


def package_version(name: str) -> str:
    """Return an installed package's version."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def wrk_version() -> str:
    """Return wrk's version; it has no option for it that ends with status 0."""
    try:
        shown = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return "not installed"
    return shown.split()[1]


def describe_node() -> str:
    """Return node's version, and say so where the peer does not support it."""
    try:
        found = node_version(find_node())
    except BrokenRowError:
        return "not installed"
    unsupported = f" (the peer supports {PEER_NODE_AT_LEAST} and newer)" if found[0] < PEER_NODE_AT_LEAST else ""
    return ".".join(map(str, found)) + unsupported


def peer_version() -> str:
    """Return the locked version of node-oidc-provider."""
    lock = json.loads((NODE_PEER / "package-lock.json").read_text())
    return str(lock["packages"]["node_modules/oidc-provider"]["version"])
