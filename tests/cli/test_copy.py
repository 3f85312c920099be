"""`mintmark copy` and `mintmark migrate` as somebody sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mintmark.cli.copy import Progress
from tests.cli.running import must_run, run_mintmark


def test_on_a_terminal_one_line_moves(capsys: pytest.CaptureFixture[str]):
    progress = Progress(is_terminal=True)
    progress.tell("copied", "token", 500, 1000)
    progress.tell("copied", "token", 1000, 1000)
    first, second = capsys.readouterr().out.split("\r")[1:]
    assert first.rstrip() == "[###############...............] copied token: 500 of 1000 rows"
    assert second == f"{'[##############################] copied token: 1000 of 1000 rows'.ljust(79)}\n"


def test_elsewhere_a_table_is_a_line(capsys: pytest.CaptureFixture[str]):
    progress = Progress(is_terminal=False)
    progress.tell("copied", "token", 500, 1000)
    progress.tell("copied", "token", 1000, 1000)
    assert capsys.readouterr().out == "copied token: 1000 of 1000 rows\n"


def test_a_database_may_be_made_before_the_deployment_in_it(tmp_path: Path):
    made = must_run("migrate", cwd=tmp_path)
    assert made.startswith("sqlite:///var/mintmark.db: created, with the schema of this release")
    assert not (tmp_path / "var" / "master.key").exists()
    assert "nothing to do" in must_run("migrate", cwd=tmp_path)
    assert "client_secret: " in must_run("init", cwd=tmp_path)
    assert "nothing to do" in must_run("migrate", cwd=tmp_path)


def test_a_copy_says_that_there_is_nothing_to_copy(tmp_path: Path):
    must_run("init", cwd=tmp_path)
    done = run_mintmark("copy", "--from", "sqlite:///none.db", "--to", "sqlite:///to.db", cwd=tmp_path)
    assert (done.code, done.stderr) == (1, "mintmark: sqlite:///none.db: there is no deployment\n")
    assert not (tmp_path / "to.db").exists()
