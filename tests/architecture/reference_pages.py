"""The parts of the pages that are written from the code: the settings, the reasons and each dialect's answers.

A part stands between two comments: `<!-- written: NAME -->` and `<!-- end of NAME -->`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

from mintmark import settings
from mintmark.dialects.catalogue import load_dialects
from mintmark.dialects.codec import Dialect
from mintmark.protocol.errors import REASONS

COMMAND = "python -m tests.architecture.reference_pages"
DOCS = Path("docs")
UNITS = {
    "workers": "processes",
    "client_cache_size": "clients",
    "failures_per_client": "failures a minute",
    "failures_per_source": "failures a minute",
}
"""Beside these a name tells its unit: `_s` is seconds."""


def settings_table() -> str:
    [tree] = ast.parse(inspect.getsource(settings.Settings)).body
    assert isinstance(tree, ast.ClassDef)
    meanings = {
        ast.unparse(field.target): " ".join(ast.literal_eval(text.value).split())
        for field, text in pairwise(tree.body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }
    rows = [
        (f"`{name}`", _default(name), UNITS.get(name, "seconds" if name.endswith("_s") else ""), meanings[name])
        for name in settings.FIELDS
    ]
    return _table(("setting", "default", "unit", "meaning"), rows)


def _default(name: str) -> str:
    value = settings.FIELDS[name].default
    if value is None or value in ("", ()):
        return "none"
    return ", ".join(f"`{one}`" for one in (value if isinstance(value, tuple) else (value,)))


def reasons_table() -> str:
    rows = [(f"`{reason}`", f"`{row.error.code}`", row.description) for reason, row in REASONS.items()]
    return _table(("reason", "code", "sentence"), rows)


def answers_of(dialect: Dialect) -> Callable[[], str]:
    def write() -> str:
        reasons: dict[tuple[int, str], list[str]] = {}
        for reason, row in REASONS.items():
            answer = dialect.encode_error(row.error(reason))
            reasons.setdefault((answer.status, answer.body.decode()), []).append(f"`{reason}`")
        rows = [(", ".join(names), str(status), f"`{text}`") for (status, text), names in reasons.items()]
        return _table(("reasons", "status", "body"), rows)

    return write


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(headings), *[[cell.replace("|", "\\|") for cell in row] for row in rows]]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "running.md": {"settings": settings_table},
    "errors.md": {
        "reasons": reasons_table,
        **{f"answers of {name}": answers_of(dialect) for name, dialect in load_dialects().items()},
    },
}


def write_page(page: str) -> str:
    """Return a page as it must be: its text, each written part renewed."""
    text = (DOCS / page).read_text("utf-8")
    for name, write in PARTS[page].items():
        part = re.compile(rf"<!-- written: {name} -->.*?<!-- end of {name} -->", re.DOTALL)
        assert len(part.findall(text)) == 1, f"{page} needs one place for {name!r}"
        head, tail = part.split(text)
        text = f"{head}<!-- written: {name} -->\n\n{write()}\n\n<!-- end of {name} -->{tail}"
    return text


if __name__ == "__main__":
    for page in PARTS:
        (DOCS / page).write_text(write_page(page), "utf-8")
