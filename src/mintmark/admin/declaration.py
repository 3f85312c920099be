"""The shape of a declarative file, and its strict reading: every fault of a file is told, each with its line.

What a file says of a tenant, client or site are members, named as records name them; what it does not say stays as it
is. Whether the values are right the verbs judge, not this.
"""

from __future__ import annotations

import difflib
import pathlib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Final, NamedTuple

import msgspec

from mintmark.admin.administration import AdministrationError
from mintmark.admin.declared_lines import Path, find_lines, line_of
from mintmark.grants.rules import TokenRules

PRUNABLE: Final = ("clients", "secrets", "sites")
NEVER_WRITTEN: Final = (
    'a secret is never written in a file; say where it is: { env = "NAME" }, { file = "PATH" } or { generate = true }'
)
LAST_WRITTEN: Final = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())
LINE_TOLD: Final = re.compile(r"\(at line (\d+),")
LIKE_A_SECRET: Final = frozenset({"client_secret", "value", "password", "secret_value", "hash"})


class Fault(NamedTuple):
    """Something wrong, and the keys that it is about."""

    path: Path
    text: str


class DeclarationRefused(AdministrationError):
    """A file cannot be applied; the text names each fault with its line, one a line."""


class DeclaredSecret(msgspec.Struct, frozen=True, kw_only=True):
    """One secret, by reference. Of `env`, `file` and `generate` one is given, or `file` with `generate`."""

    path: Path
    env: str = ""
    """The environment variable that holds it."""
    file: str = ""
    """The file that holds it; with `generate`, that it is written to."""
    generate: bool = False
    """Made, unless a live secret of this label is there."""
    label: str = ""
    expires_at: int | None = None


class DeclaredClient(msgspec.Struct, frozen=True, kw_only=True):
    """One client."""

    path: Path
    client_id: str
    members: Mapping[str, Any]
    secrets: tuple[DeclaredSecret, ...] | None
    """None: the file says nothing of them."""


class DeclaredSite(msgspec.Struct, frozen=True, kw_only=True):
    """One site, by its name."""

    path: Path
    name: str
    members: Mapping[str, Any]


class DeclaredTenant(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant and what is said of its own."""

    path: Path
    tenant_id: str
    members: Mapping[str, Any]
    clients: tuple[DeclaredClient, ...] = ()
    sites: tuple[DeclaredSite, ...] = ()
    prune: tuple[str, ...] = ()
    """Nouns of which those that the file does not name are deleted."""


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says."""

    file: pathlib.Path
    lines: Mapping[Path, int]
    tenants: tuple[DeclaredTenant, ...]

    def refuse(self, faults: Iterable[Fault]) -> DeclarationRefused:
        """Return the error that tells these faults, in the order of their lines."""
        placed = sorted((line_of(self.lines, fault.path), fault.text) for fault in faults)
        return DeclarationRefused("\n".join(f"{self.file}:{line}: {text}" for line, text in dict.fromkeys(placed)))


def read_declaration(file: pathlib.Path) -> Declaration:
    """Read a file. Raises: DeclarationRefused."""
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise DeclarationRefused(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DeclarationRefused(f"{file}: not UTF-8") from error
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        told = LINE_TOLD.search(str(error))
        line = told[1] if told else len(text.splitlines())
        raise DeclarationRefused(f"{file}:{line}: not a TOML file: {error}") from error
    reader = _Reader()
    given = reader.members((), read, {"tenants": _table})
    tenants = tuple(_read_tenant(reader, *one) for one in reader.records(("tenants",), given.get("tenants", {})))
    declaration = Declaration(file=file, lines=find_lines(text), tenants=tenants)
    if reader.faults:
        raise declaration.refuse(reader.faults)
    return declaration


class _Wrong(ValueError):
    """A value is not of its kind; the text says what is wanted, and nothing of the value."""


Kind = Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong("wanted is a text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _Wrong("wanted is a list of texts")
    return tuple(value)


def _hosts(value: Any) -> tuple[str, ...]:
    return tuple(host.lower() for host in _texts(value))


def _name_or_none(value: Any) -> str | None:
    return _text(value) or None


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("wanted is true or false")
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Wrong("wanted is a whole number")
    return value


def _moment(value: Any) -> int:
    """Return seconds; such a number itself is for moments behind the year 9999, which TOML cannot write."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise _Wrong("wanted is a moment and its offset, such as 2027-01-31T00:00:00Z")
    return int(value.timestamp())


def show_moment(seconds: int) -> datetime | int:
    """Return a moment as a file has it."""
    return datetime.fromtimestamp(seconds, UTC) if seconds <= LAST_WRITTEN else seconds


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _Wrong("wanted is a table")
    return value


def _json_table(value: Any) -> Mapping[str, Any]:
    if _holds_time(_table(value)):
        raise _Wrong("a moment is written as a text here")
    return dict(value)


def _holds_time(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, date | time) or any(_holds_time(one) for one in inner)


def _prunable(value: Any) -> tuple[str, ...]:
    names = _texts(value)
    if unknown := [name for name in names if name not in PRUNABLE]:
        raise _Wrong(f"{unknown[0]!r} is unknown; known are: {', '.join(PRUNABLE)}")
    return names


def _secret_table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _Wrong(NEVER_WRITTEN)
    return value


def _secret_tables(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise _Wrong("wanted is a list of tables, one for each secret")
    return [_secret_table(one) for one in value]


TENANT_MEMBERS: Final[Mapping[str, Kind]] = {
    "dialect": _text,
    "issuer": _text,
    "hosts": _hosts,
    "identifier": _text,
    "title": _text,
    "description": _text,
    "is_default": _flag,
    "is_suspended": _flag,
    "is_administrative": _flag,
    "is_msp": _flag,
    "msp_id": _name_or_none,
    "allows_registration": _flag,
    "token_rules": _json_table,
}
CLIENT_MEMBERS: Final[Mapping[str, Kind]] = {
    "client_name": _text,
    "is_disabled": _flag,
    "scope": _texts,
    "audience": _texts,
    "resources": _texts,
    "grant_types": _texts,
    "authentication_methods": _texts,
    "role": _text,
    "all_sites": _flag,
    "sites": _texts,
    "all_customers": _flag,
    "customers": _texts,
    "token_rules": _json_table,
}
SITE_MEMBERS: Final[Mapping[str, Kind]] = {
    "region": _text,
    "time_zone": _text,
    "scenario": _text,
    "site_type": _number,
    "details": _json_table,
}
SECRET_MEMBERS: Final[Mapping[str, Kind]] = {
    "env": _text,
    "file": _text,
    "generate": _flag,
    "label": _text,
    "expires_at": _moment,
}
TOKEN_RULES: Final = tuple(field.name for field in msgspec.structs.fields(TokenRules))
NEW_TENANT_NEEDS: Final = ("dialect", "issuer")
NEW_SITE_NEEDS: Final = ("region", "time_zone", "scenario")


class _Reader:
    """Reads tables and gathers what is wrong with them."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def wrong(self, path: Path, text: str) -> None:
        """Remember a fault."""
        self.faults.append(Fault(path, text))

    def members(self, path: Path, table: Mapping[str, Any], kinds: Mapping[str, Kind]) -> dict[str, Any]:
        """Return the values of a table's known keys; the others, and those of another kind, are faults."""
        read: dict[str, Any] = {}
        for name, value in table.items():
            if name not in kinds:
                self.unknown((*path, name), kinds)
                continue
            try:
                read[name] = kinds[name](value)
            except _Wrong as error:
                self.wrong((*path, name), f"{name}: {error}")
        for name in self.unknown_rules(read):
            self.unknown((*path, "token_rules", name), TOKEN_RULES)
        return read

    def unknown(self, path: Path, known: Iterable[str]) -> None:
        """Remember an unknown key, with what was probably meant."""
        name = str(path[-1])
        if name in LIKE_A_SECRET:
            return self.wrong(path, f"{name}: {NEVER_WRITTEN}")
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"known are: {', '.join(known)}"
        return self.wrong(path, f"unknown key {name!r}; {hint}")

    def unknown_rules(self, read: Mapping[str, Any]) -> list[str]:
        """Return the keys of token rules that no token rule has."""
        return [name for name in read.get("token_rules", ()) if name not in TOKEN_RULES]

    def records(self, path: Path, tables: Mapping[str, Any]) -> list[tuple[Path, str, Mapping[str, Any]]]:
        """Return place, name and table of each record of a table of tables."""
        found: list[tuple[Path, str, Mapping[str, Any]]] = []
        for name, table in tables.items():
            if isinstance(table, dict):
                found.append(((*path, name), name, table))
            else:
                self.wrong((*path, name), f"{name}: wanted is a table")
        return found


def _read_tenant(reader: _Reader, path: Path, tenant_id: str, table: Mapping[str, Any]) -> DeclaredTenant:
    kinds = {**TENANT_MEMBERS, "prune": _prunable, "clients": _table, "sites": _table}
    read = reader.members(path, table, kinds)
    clients = reader.records((*path, "clients"), read.pop("clients", {}))
    sites = reader.records((*path, "sites"), read.pop("sites", {}))
    return DeclaredTenant(
        path=path,
        tenant_id=tenant_id,
        prune=read.pop("prune", ()),
        members=read,
        clients=tuple(_read_client(reader, *one) for one in clients),
        sites=tuple(_read_site(reader, *one) for one in sites),
    )


def _read_site(reader: _Reader, path: Path, name: str, table: Mapping[str, Any]) -> DeclaredSite:
    return DeclaredSite(path=path, name=name, members=reader.members(path, table, SITE_MEMBERS))


def _read_client(reader: _Reader, path: Path, client_id: str, table: Mapping[str, Any]) -> DeclaredClient:
    kinds = {**CLIENT_MEMBERS, "secret": _secret_table, "secrets": _secret_tables}
    read = reader.members(path, table, kinds)
    one, many = read.pop("secret", None), read.pop("secrets", None)
    if one is not None and many is not None:
        reader.wrong((*path, "secret"), "secret: write either secret or secrets")
    secrets = None
    if many is not None:
        secrets = tuple(_read_secret(reader, (*path, "secrets", index), each) for index, each in enumerate(many))
    elif one is not None:
        secrets = (_read_secret(reader, (*path, "secret"), one),)
    return DeclaredClient(path=path, client_id=client_id, members=read, secrets=secrets)


def _read_secret(reader: _Reader, path: Path, table: Mapping[str, Any]) -> DeclaredSecret:
    read = reader.members(path, table, SECRET_MEMBERS)
    given = {name for name in ("env", "file", "generate") if read.get(name)}
    is_faulty = set(table) != set(read)
    if not is_faulty and given not in ({"env"}, {"file"}, {"generate"}, {"generate", "file"}):
        reader.wrong(path, "a secret needs one of env, file, and generate = true (which may name a file to write)")
    return DeclaredSecret(path=path, **read)
