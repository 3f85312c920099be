"""The source files of this repository, parsed once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "mintmark"

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Module(NamedTuple):
    """One file. `name` is its path below its root, such as `tokens/mint.py`."""

    name: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    def definitions(self) -> Iterator[Definition]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Definition))


@lru_cache
def source_modules() -> tuple[Module, ...]:
    return tuple(read_modules(SOURCE))


@lru_cache
def modules_of_tests() -> tuple[Module, ...]:
    return tuple(read_modules(ROOT / "tests"))


def read_modules(folder: Path) -> Iterator[Module]:
    for path in sorted(folder.rglob("*.py")):
        if "node_modules" not in path.parts:
            text = path.read_text("utf-8")
            yield Module(str(path.relative_to(folder)), text, ast.parse(text))
