"""The strict checks of a dialect file: each fault stops the start and names file and key."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import pytest

from mintmark.dialects.catalogue import dialect_files, load_dialects
from mintmark.dialects.definition import load_definition, parse_definition
from mintmark.protocol.errors import REASONS, SettingsError
from tests.unit.dialects.sixth_dialect import SIXTH


def table_with(path: str, value) -> dict:
    """The sixth dialect's table with one place changed; `-` as the last step appends, None takes away."""
    table = copy.deepcopy(tomllib.loads(SIXTH))
    *steps, last = path.split(".")
    place: Any = table
    for step in steps:
        place = place[int(step)] if isinstance(place, list) else place[step]
    if last == "-":
        place.append(value)
    elif value is None:
        del place[int(last) if isinstance(place, list) else last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return table


def fault_of(path: str, value) -> str:
    with pytest.raises(SettingsError) as caught:
        parse_definition(table_with(path, value), "sixth.toml")
    assert str(caught.value).startswith("sixth.toml: ")
    return str(caught.value)


PARAMETERS, MEMBERS, ROWS = "wire.request.parameters", "wire.success.members", "wire.errors.rows"
REFUSED = {"reads_as": "invalid_client", "status": 403}

FAULTS = {
    "an unknown key at the top": ("colour", "red", "colour"),
    "an unknown key in wire": ("wire.colour", "red", "wire: Object contains unknown field `colour`"),
    "an unknown key in a row": (f"{PARAMETERS}.0.colour", "red", f"{PARAMETERS}[0]"),
    "an unknown key in a success row": (f"{MEMBERS}.0.colour", "red", "wire.success.members[0]"),
    "an unknown key in an error row": (f"{ROWS}.0.colour", "red", "wire.errors.rows[0]"),
    "a missing table": ("wire.success", None, "success"),
    "a missing name": ("dialect", None, "dialect"),
    "a wrong type": ("wire.success.status", "200", "wire.success.status"),
    "an unknown place": (
        f"{PARAMETERS}.0.at",
        ["cookie"],
        "at[0]: Invalid enum value 'cookie'; one of basic, body, query",
    ),
    "no place": (f"{PARAMETERS}.0.at", [], f"{PARAMETERS}[0].at"),
    "an unknown body form": (
        "wire.request.body",
        ["xml"],
        "wire.request.body[0]: Invalid enum value 'xml'; one of form, json",
    ),
    "no body form": ("wire.request.body", [], "wire.request.body"),
    "an unknown parameter": (f"{PARAMETERS}.-", {"canonical": "colour", "at": ["body"]}, "[5].canonical"),
    "no grant_type": (f"{PARAMETERS}.0", None, "grant_type has no row"),
    "no client_id": (f"{PARAMETERS}.1", None, "client_id has no row"),
    "no client_secret": (f"{PARAMETERS}.2", None, "client_secret has no row"),
    "a parameter twice": (f"{PARAMETERS}.-", {"canonical": "scope", "at": ["query"]}, "'scope' stands twice"),
    "a wire name twice": (f"{PARAMETERS}.4.wire", "user", f"{PARAMETERS} (body): 'user' stands twice"),
    "id and secret in two places": (f"{PARAMETERS}.1.at", ["query"], "client_id and client_secret"),
    "a parameter in Basic": (f"{PARAMETERS}.4.at", ["basic"], f"{PARAMETERS}[4].at"),
    "values of another parameter": (f"{PARAMETERS}.4.values", ["a"], f"{PARAMETERS}[4].values"),
    "no token endpoint": ("wire.endpoints.token", None, "wire.endpoints.token"),
    "an unknown endpoint": ("wire.endpoints.colour", "/x", "wire.endpoints.colour"),
    "a relative endpoint": ("wire.endpoints.token", "token", "wire.endpoints.token"),
    "an endpoint with a query": ("wire.endpoints.token", "/token?a=1", "wire.endpoints.token"),
    "no access_token": (f"{MEMBERS}.1", None, "access_token"),
    "an optional expires_in": (f"{MEMBERS}.0.optional", True, "expires_in"),
    "an unknown member": (f"{MEMBERS}.-", {"canonical": "colour", "codec": "string"}, "[3].canonical"),
    "an unknown codec": (f"{MEMBERS}.0.codec", "minutes", f"{MEMBERS}[0].codec"),
    "another member's codec": (f"{MEMBERS}.0.codec", "string", f"{MEMBERS}[0].codec"),
    "a member twice": (f"{MEMBERS}.2.wire", "ttl", "'ttl' stands twice"),
    "an envelope over a constant": ("wire.success.envelope", ["ok"], "wire.success.envelope"),
    "an unknown reason": (f"{ROWS}.0.reasons", ["invalid_request", "because"], f"{ROWS}[0].reasons"),
    "an unknown code": (f"{ROWS}.0.reads_as", "because", f"{ROWS}[0].reads_as"),
    "a reason twice": (f"{ROWS}.3.reasons", ["server_error", "invalid_client"], "'invalid_client' stands twice"),
    "no last resort": (f"{ROWS}.0.reasons", [], "invalid_request has no row"),
    "an unnamed description": ("wire.errors.description", None, f"{ROWS}[0].describe"),
    "a row that nothing tells": (f"{ROWS}.1.body", {"ok": False}, f"{ROWS}[1].body"),
    "look-alike rows": (f"{ROWS}.2.body", {"ok": False, "fault": 2}, f"{ROWS}[2]: looks like"),
    "rows that differ in what is not read": (f"{ROWS}.2.body", {"fault": 2, "why": "x"}, f"{ROWS}[2]: looks like"),
    "no token shown": ("wire.presentation", "Bearer", "wire.presentation"),
    "two tokens shown": ("wire.presentation", "<token><token>", "wire.presentation"),
    "an unknown challenge": ("wire.challenge", {"when": "never", "realm": "host"}, "wire.challenge.when"),
}


@pytest.mark.parametrize(("path", "value", "named"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_by_its_key(path, value, named):
    assert named in fault_of(path, value)


@pytest.mark.rfc("6749", "10.10")
@pytest.mark.parametrize("reason", ["unknown_client", "wrong_secret", "disabled_client"])
def test_a_dialect_cannot_tell_whether_a_client_exists(reason):
    fault = fault_of(f"{ROWS}.-", {"reasons": [reason], "body": {"ok": False, "fault": 4}, **REFUSED})
    assert "unknown_client, wrong_secret, disabled_client must share one row" in fault


def test_all_faults_are_named_at_once():
    table = table_with("wire.presentation", "Bearer")
    del table["wire"]["endpoints"]["token"]
    with pytest.raises(SettingsError) as caught:
        parse_definition(table, "sixth.toml")
    assert str(caught.value).count("sixth.toml: ") == 2


@pytest.mark.parametrize("octets", [b"dialect = ", b"\xff", b"a = 1\na = 2"])
def test_what_is_not_toml_names_the_file(tmp_path, octets):
    path = tmp_path / "broken.toml"
    path.write_bytes(octets)
    with pytest.raises(SettingsError, match=r"broken\.toml: not a TOML file"):
        load_definition(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"nothing\.toml: cannot be read"):
        load_definition(tmp_path / "nothing.toml")


def test_a_users_folder_adds_a_dialect(tmp_path):
    (tmp_path / "sixth.toml").write_text(SIXTH)
    assert load_dialects(tmp_path).keys() == load_dialects().keys() | {"sixth"}


def test_a_dialect_cannot_be_defined_twice(tmp_path):
    (tmp_path / "other.toml").write_text(SIXTH.replace('"sixth"', '"wso2"', 1))
    with pytest.raises(SettingsError, match=r"other\.toml: dialect: 'wso2' is defined already"):
        load_dialects(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match="dialects_dir"):
        load_dialects(tmp_path / "nowhere")


def test_each_file_of_the_program_is_named_after_its_dialect():
    assert [path.stem for path in dialect_files()] == sorted(load_dialects())


def test_every_reason_that_a_dialect_names_is_in_the_closed_list():
    for dialect in load_dialects().values():
        assert {reason for row in dialect.definition.wire.errors.rows for reason in row.reasons} <= REASONS.keys()
