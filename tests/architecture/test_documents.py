"""The documents against the code: commands that exist, a page of proofs that is current, locks without an index."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mintmark.cli import NOUNS, build_parser
from tests.architecture.conformance_page import COMMAND, PAGE
from tests.architecture.source_code import ROOT

CODE = re.compile(r"```.*?```|^ {4}.*?$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
MINTMARK = re.compile(r"(?:^|[\s`$(/])mintmark (?!\[)([a-z][^\n`|;&)#]*)")
MAKE = re.compile(r"(?:^|[`$])\s*make ([a-z]+)", re.MULTILINE)
SKIPPED = {"node_modules", ".venv", ".cache", ".git", "var"}


def documents() -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*.md")) if not SKIPPED & set(path.relative_to(ROOT).parts)]


def code_in(path: Path) -> Iterator[str]:
    text = re.sub(r"\\\n\s*", " ", path.read_text("utf-8"))
    return (match.group() for match in CODE.finditer(text))


def commands_in(path: Path) -> Iterator[list[str]]:
    """The words behind `mintmark` in code, up to the end of the command."""
    for code in code_in(path):
        for match in MINTMARK.finditer(code):
            yield match.group(1).split()


def choices_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    actions = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    return dict(actions[0].choices) if actions else {}


def fault_of(words: list[str]) -> str | None:
    """What is wrong with a command as a document writes it, or None."""
    if words[0] not in NOUNS:
        return f"there is no command {words[0]!r}"
    parser = choices_of(build_parser(words))[words[0]]
    verbs = choices_of(parser)
    if verbs and len(words) > 1 and words[1][0] not in "-.…|[<":
        if words[1] not in verbs:
            return f"{words[0]} has no command {words[1]!r}"
        parser = verbs[words[1]]
    known = {option for action in parser._actions for option in action.option_strings}
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    return f"unknown options {sorted(options - known)}" if known and not verbs and options - known else None


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_names_only_commands_that_exist(path: Path):
    faults = {" ".join(words): fault for words in commands_in(path) if (fault := fault_of(words))}

    assert faults == {}


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_names_only_make_verbs_that_exist(path: Path):
    verbs = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {verb for code in code_in(path) for verb in MAKE.findall(code)}

    assert named - verbs == set()


def test_a_command_that_does_not_exist_would_be_noticed():
    assert fault_of(["client", "destroy"]) == "client has no command 'destroy'"
    assert fault_of(["grow"]) == "there is no command 'grow'"
    assert fault_of(["serve", "--turbo"]) == "unknown options ['--turbo']"
    assert fault_of(["client", "create", "--tenant", "default", "--set", "form=opaque"]) is None


def test_the_page_of_proven_sections_is_current(tmp_path: Path):
    page = tmp_path / "page.md"
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", f"--rfc-page={page}"]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert collected.returncode == 0, collected.stdout[-2000:]
    assert (ROOT / PAGE).read_text("utf-8") == page.read_text("utf-8"), f"write it again: {COMMAND}"


LOCKS = [*sorted((ROOT / "requirements").glob("*.txt")), *sorted((ROOT / "tests").glob("foreign/*/*lock*.json"))]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_lock_pins_hashes_and_names_no_index(path: Path):
    text = path.read_text("utf-8")

    assert "sha256:" in text or "sha512-" in text
    assert not re.search(r"index-url|find-links|trusted-host|\"resolved\"", text)
    assert not re.search(r"https?://[^\s\"]*(?:pypi|pythonhosted|npmjs|simple)", text)
