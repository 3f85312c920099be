"""The dialects that a server or client knows: those that come with the program, and a user's own files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from mintmark.dialects.codec import Dialect
from mintmark.dialects.definition import load_definition
from mintmark.protocol.errors import SettingsError

BUILTIN: Final = Path(__file__).parent / "builtin"


def dialect_files(folder: Path | None = None) -> Iterator[Path]:
    """Yield the dialect files that come with the program, then those of a user's folder, by name.

    Raises:
        SettingsError: the folder is not there.
    """
    yield from sorted(BUILTIN.glob("*.toml"))
    if folder is not None:
        if not folder.is_dir():
            raise SettingsError(f"{folder}: dialects_dir is not a folder")
        yield from sorted(folder.glob("*.toml"))


def load_dialects(folder: Path | None = None) -> Mapping[str, Dialect]:
    """Load and check every dialect, by name.

    Raises:
        SettingsError: a file is faulty, or two files define one dialect; names file and key.
    """
    dialects: dict[str, Dialect] = {}
    for path in dialect_files(folder):
        definition = load_definition(path)
        if definition.dialect in dialects:
            raise SettingsError(f"{path}: dialect: {definition.dialect!r} is defined already")
        dialects[definition.dialect] = Dialect(definition)
    return dialects
