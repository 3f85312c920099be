"""On which line of a TOML file each key stands: the TOML reader of Python's library does not tell.

A statement is as many lines as that reader needs to take them for a file of their own, so there is no second grammar
here. What stands within a value of several lines is found at the line where its statement begins.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

Path = tuple[str | int, ...]
"""The keys from the top of a file, and places within arrays: `("tenants", "acme", "hosts", 0)`."""

FIRST_LINE: Final = 1
ENDS: Final = ("]", "}", '"""', "'''")
"""One of these is on the last line of a statement of several lines."""


def find_lines(text: str) -> dict[Path, int]:
    """Return the first line of each key of a file that is known to be TOML."""
    lines: dict[Path, int] = {}
    table: Path = ()
    elements: Counter[Path] = Counter()
    for number, statement, read in _statements(text):
        if statement.startswith("["):
            table = _table_of(read, elements, is_array=statement.startswith("[["))
            found: Iterator[Path] = (table[:length] for length in range(1, len(table) + 1))
        else:
            found = (table + path for path in _paths_in(read))
        for path in found:
            lines.setdefault(path, number)
    return lines


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Return the line of a key, or of what is around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, FIRST_LINE)


def _statements(text: str) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Yield each statement's first line, its text, and what it says as a file of its own."""
    begun, statement = FIRST_LINE, ""
    for number, line in enumerate(text.split("\n"), FIRST_LINE):
        is_first = not statement
        begun = number if is_first else begun
        statement += line + "\n"
        if not is_first and not any(end in line for end in ENDS):
            continue
        try:
            read = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        if read:
            yield begun, statement.lstrip(), read
        statement = ""


def _table_of(read: Mapping[str, Any], elements: Counter[Path], *, is_array: bool) -> Path:
    """Return the table that a header opens; in an array of tables, its newest element."""
    *above, last = _names_of(read)
    path: Path = ()
    for name in above:
        path = _within((*path, name), elements)
    path = (*path, last)
    if is_array:
        elements[path] += 1
    return _within(path, elements)


def _names_of(read: Any) -> Iterator[str]:
    while isinstance(read, Mapping) and read:
        [(name, read)] = read.items()
        yield name


def _within(path: Path, elements: Counter[Path]) -> Path:
    return (*path, elements[path] - 1) if path in elements else path


def _paths_in(read: Any, above: Path = ()) -> Iterator[Path]:
    entries = read.items() if isinstance(read, Mapping) else enumerate(read) if isinstance(read, list) else ()
    for name, value in entries:
        path = (*above, name)
        yield path
        yield from _paths_in(value, path)
