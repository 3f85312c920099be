"""The examples do what they say, as a newcomer runs them: beside a running demo.

Those in TOML are run elsewhere: own_dialect.toml in tests/cli, declarative.toml in tests/manage.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.cli.running import PATIENCE_S, REPOSITORY, run_mintmark

pytestmark = [pytest.mark.foreign, pytest.mark.usefixtures("vendor_demo")]

EXAMPLES = REPOSITORY / "examples"


def run_example(*words: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words], input=stdin, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def test_curl_gets_a_token_in_each_dialect():
    done = run_example(EXAMPLES / "curl.sh")
    assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(answers) == 5
    assert all("access_token" in answer or "accessToken" in answer["result"] for answer in answers)


def test_the_sdk_asks_in_two_dialects_and_is_refused_once():
    done = run_example(sys.executable, EXAMPLES / "python_sdk.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["a", "Omada", "refused:"]
    assert "invalid_client" in done.stdout
    assert "eyJ" not in done.stdout


def ask_the_demo() -> str:
    words = ["token", "http://127.0.0.1:8080", "--client-id", "demo", "--client-secret-env", "SECRET"]
    return run_mintmark(*words, cwd=EXAMPLES, env={"SECRET": "demo-secret-not-for-production"}).stdout


def test_an_api_verifies_a_token_and_refuses_a_changed_one():
    token = ask_the_demo()
    done = run_example(sys.executable, EXAMPLES / "verify_jwt.py", stdin=token)
    assert (done.returncode, done.stdout) == (0, "client demo may: read write\n")
    changed = token.rpartition(".")[0] + "." + ask_the_demo().rpartition(".")[2]
    done = run_example(sys.executable, EXAMPLES / "verify_jwt.py", stdin=changed)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("refused: ")


def test_every_example_is_run():
    tested = {"curl.sh", "python_sdk.py", "verify_jwt.py", "own_dialect.toml", "declarative.toml"}
    assert {file.name for file in EXAMPLES.iterdir() if file.is_file()} == tested
    assert os.access(EXAMPLES / "curl.sh", os.X_OK)
