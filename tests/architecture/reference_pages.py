"""The parts of the pages that are written from the code: settings, metrics, reasons and each dialect's answers.

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
from mintmark.endpoints.check import with_telling_status
from mintmark.metrics.catalogue import FAMILIES
from mintmark.protocol.errors import REASONS

COMMAND = "python -m tests.architecture.reference_pages"
DOCS = Path("docs")
UNITS = {
    "workers": "processes",
    "client_cache_size": "clients",
    "database_readers": "connections",
    "database_reads_waiting": "reads",
    "database_writes_waiting": "writes",
    "failures_per_client": "failures a minute",
    "failures_per_source": "failures a minute",
    "open_api_calls_per_s": "calls a second",
}
"""Beside these a name tells its unit: `_s` is seconds."""
ELSEWHERE = {
    "introspection": ("missing_token",),
    "revocation": ("missing_token", "token_of_another_client"),
    "resource": ("no_token_shown", "expired_token", "invalid_token", "insufficient_scope"),
}
"""The reasons that the token endpoint never has, by the endpoints that have them."""


def settings_table() -> str:
    [tree] = ast.parse(inspect.getsource(settings.Settings)).body
    assert isinstance(tree, ast.ClassDef)
    meanings = {
        ast.unparse(field.target): " ".join(ast.literal_eval(text.value).split())
        for field, text in pairwise(tree.body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }
    rows = [
        (
            f"`{name}`",
            _default(name),
            UNITS.get(name, "seconds" if name.endswith("_s") else ""),
            settings.describe_range(name).replace(" seconds", "") if name in settings.RANGES else "",
            meanings[name],
        )
        for name in settings.FIELDS
    ]
    return _table(("setting", "default", "unit", "bounds", "meaning"), rows)


def _default(name: str) -> str:
    value = settings.FIELDS[name].default
    if value is None or value in ("", ()):
        return "none"
    return ", ".join(f"`{one}`" for one in (value if isinstance(value, tuple) else (value,)))


def metrics_table() -> str:
    rows = [(f"`{one.name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels), one.text) for one in FAMILIES]
    return _table(("metric", "kind", "labels", "meaning"), rows)


def reasons_table() -> str:
    rows = [(f"`{reason}`", f"`{row.error.code}`", row.description) for reason, row in REASONS.items()]
    return _table(("reason", "code", "sentence"), rows)


def answers_of(dialect: Dialect) -> Callable[[], str]:
    """The answers of the token endpoint, then those that other endpoints have of their own."""

    def write() -> str:
        never = {reason for reasons in ELSEWHERE.values() for reason in reasons}
        usual = {reason: _answer(dialect, reason, "token") for reason in REASONS if reason not in never}
        own = {
            endpoint: {
                reason: answer
                for reason in REASONS
                if (answer := _answer(dialect, reason, endpoint)) != usual.get(reason)
                and (reason in reasons or (reason in usual and endpoint != "resource"))
            }
            for endpoint, reasons in ELSEWHERE.items()
        }
        rows = [("check" if one == "resource" else one, *row) for one, found in own.items() for row in _rows(found)]
        headings = ("reasons", "status", "body")
        return f"{_table(headings, _rows(usual))}\n\n{_table(('endpoint', *headings), rows)}"

    return write


def _answer(dialect: Dialect, reason: str, endpoint: str) -> tuple[int, str]:
    error = REASONS[reason].error(reason)
    answer = dialect.encode_error(error, endpoint=endpoint)
    if endpoint == "resource":
        answer = with_telling_status(answer, error)
    return answer.status, answer.body.decode()


def _rows(answers: dict[str, tuple[int, str]]) -> list[tuple[str, str, str]]:
    """One row for each answer, with all reasons that have it."""
    reasons: dict[tuple[int, str], list[str]] = {}
    for reason, answer in answers.items():
        reasons.setdefault(answer, []).append(f"`{reason}`")
    return [(", ".join(names), str(one[0]), f"`{one[1]}`" if one[1] else "none") for one, names in reasons.items()]


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(headings), *[[cell.replace("|", "\\|") for cell in row] for row in rows]]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "running.md": {"settings": settings_table},
    "metrics.md": {"metrics": metrics_table},
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
