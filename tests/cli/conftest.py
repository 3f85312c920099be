"""Deployments that commands work on: made once, copied for each test that changes its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.running import must_run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `var` holds a tenant `acme` with a client `billing`. Copy it; do not change it."""
    folder = tmp_path_factory.mktemp("made")
    must_run("init", cwd=folder)
    must_run("tenant", "create", "acme", "--issuer", "http://127.0.0.1/t/acme", cwd=folder)
    must_run("client", "create", "--tenant", "acme", "--client-id", "billing", "--scope", "read write", cwd=folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of `made` for one test: commands run in it need no `--state-dir`."""
    return Path(shutil.copytree(made, tmp_path / "work"))
