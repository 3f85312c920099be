"""Secrets that a declarative file refers to: fetching them, and writing made ones where the file says."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from mintmark.admin.administration import AdministrationError
from mintmark.admin.declaration import DeclaredSecret
from mintmark.protocol.secret import Secret


class MadeForClient(NamedTuple):
    """A secret that was made, for the one time that it is told."""

    tenant_id: str
    client_id: str
    label: str
    client_secret: Secret
    file: pathlib.Path | None
    """Where it is written; None: it is shown."""


class NoSecret(AdministrationError):
    """A reference leads to no secret. Nothing of a secret is in the text."""


class References(NamedTuple):
    """Where references lead: a folder for paths, and the environment."""

    folder: pathlib.Path
    environment: Mapping[str, str] = os.environ

    def fetch(self, secret: DeclaredSecret) -> Secret | None:
        """Return the secret that is referred to; None: it is to be made. Raises: NoSecret."""
        if secret.generate:
            return None
        if secret.env:
            origin, text = f"environment variable {secret.env}", self.environment.get(secret.env)
        else:
            origin, text = f"file {secret.file}", _read(self.folder / secret.file)
        if text is None:
            raise NoSecret(f"{origin}: there is none, or it cannot be read")
        if not text:
            raise NoSecret(f"{origin}: it is empty")
        return Secret(text)

    def target(self, secret: DeclaredSecret) -> pathlib.Path | None:
        """Return the file that a made secret goes to, or None. Raises: NoSecret (there is one, or no such folder)."""
        if not secret.file:
            return None
        file = self.folder / secret.file
        if not file.parent.is_dir():
            raise NoSecret(f"file {secret.file}: there is no such folder")
        if file.exists():
            raise NoSecret(f"file {secret.file}: it is there already, and a made secret is never written over another")
        return file


def describe_reference(secret: DeclaredSecret) -> str:
    """Return where a secret comes from, in words."""
    if secret.generate:
        return f"made, written to {secret.file}" if secret.file else "made, shown once"
    return f"env {secret.env}" if secret.env else f"file {secret.file}"


@contextmanager
def written(made: Iterable[MadeForClient]) -> Iterator[None]:
    """Write made secrets to their files, for the owner alone, and take them away again where the block raises.

    Raises: OSError.
    """
    files: list[pathlib.Path] = []
    try:
        for one in made:
            if one.file is not None:
                _write(one.file, one.client_secret, files)
        yield
    except BaseException:
        for file in files:
            file.unlink(missing_ok=True)
        raise


def _write(file: pathlib.Path, secret: Secret, files: list[pathlib.Path]) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    files.append(file)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(secret.reveal() + "\n")
        opened.flush()
        os.fsync(opened.fileno())


def _read(file: pathlib.Path) -> str | None:
    """Return a file's text less line ends, or None."""
    try:
        return file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        return None
