"""A file that is wrong is refused: everything that is wrong with it at once, with lines, and no secret of it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from mintmark.admin.declaration import NEVER_WRITTEN, DeclarationRefused, read_declaration
from mintmark.admin.declared_lines import find_lines
from tests.endpoints.deployments import Deployment
from tests.manage.declaring import ACME, Desk

CLIENT = ACME + "[tenants.acme.clients.billing]\n"
FAULTS = [
    ("tenant = 1", "1: unknown key 'tenant'; did you mean tenants?"),
    ("tenants = 1", "1: tenants: wanted is a table"),
    ("tenants.acme = 1", "1: acme: wanted is a table"),
    (ACME + "isuer = 'x'", "4: unknown key 'isuer'; did you mean issuer?"),
    (ACME + "hosts = 'x'", "4: hosts: wanted is a list of texts"),
    (ACME + "hosts = [\n 'x',\n 1,\n]", "4: hosts: wanted is a list of texts"),
    (ACME + "is_msp = 1", "4: is_msp: wanted is true or false"),
    (ACME + "title = 2026-01-01", "4: title: wanted is a text"),
    (ACME + "prune = ['tenants']", "4: prune: 'tenants' is unknown; known are: clients, secrets, sites"),
    (ACME + "[tenants.acme.token_rules]\nlifetime = 1", "5: unknown key 'lifetime'; did you mean lifetime_s?"),
    (ACME + "[tenants.acme.sites.a]\nsite_type = 'x'", "5: site_type: wanted is a whole number"),
    (ACME + "[tenants.acme.sites.a]\ndetails = { a = [2026-01-01] }", "5: details: a moment is written as a text here"),
    (CLIENT + "\n\nscopes = ['read']", "7: unknown key 'scopes'; did you mean scope?"),
    (CLIENT + "secret = 'mms_literal'", f"5: secret: {NEVER_WRITTEN}"),
    (CLIENT + "client_secret = 'mms_literal'", f"5: client_secret: {NEVER_WRITTEN}"),
    (CLIENT + "secrets = ['mms_literal']", f"5: secrets: {NEVER_WRITTEN}"),
    (CLIENT + "secret.value = 'mms_literal'", f"5: value: {NEVER_WRITTEN}"),
    (CLIENT + "secret = { env = 'A', file = 'b' }", "5: a secret needs one of env, file, and generate = true"),
    (CLIENT + "secret = { generate = false }", "5: a secret needs one of env, file, and generate = true"),
    (CLIENT + "secret = { label = 'a' }", "5: a secret needs one of env, file, and generate = true"),
    (CLIENT + "secret = { env = 'A', expires_at = 2027-01-01 }", "5: expires_at: wanted is a moment and its offset"),
    (CLIENT + "secret = { env = 'A' }\nsecrets = []", "5: secret: write either secret or secrets"),
    (CLIENT + "secret = { env = 'NONE' }", "5: environment variable NONE: there is none"),
    (CLIENT + "secret = { env = 'EMPTY' }", "5: environment variable EMPTY: it is empty"),
    (CLIENT + "secret = { file = 'none' }", "5: file none: there is none, or it cannot be read"),
    (CLIENT + "secrets = []", "4: a new client needs a secret"),
    (CLIENT + "secrets = [{ env = 'A' }, { env = 'A' }]", "5: this secret stands twice"),
    (CLIENT + "secrets = [{ generate = true }, { generate = true }]", "5: another made secret has this label"),
    (CLIENT + "secrets = [{ env = 'A' },\n{ env = 'B', label = \"\\u0007\" }]", "4: label: wanted are up to 255"),
    (CLIENT + "scope = [\n 'a b']", "5: scope: 'a b' is no scope-token"),
    (CLIENT + "customers = ['nobody']", "5: customers: what this tenant's clients name are sites"),
    ("[tenants.acme]\nissuer = 'https://a.example'", "1: a new tenant needs dialect"),
    (ACME.replace("acme]", "Acme]"), "1: tenant id 'Acme': wanted are a-z, 0-9 and -, at most 63"),
    (ACME.replace("oauth2", "oauth3"), "2: there is no dialect 'oauth3'"),
    (ACME.replace("https", "http"), "3: issuer 'http://acme.example': plain http is for loopback only"),
    (ACME + "msp_id = 'nobody'", "1: there is no tenant 'nobody'"),
    (ACME + "token_rules = { form = 'paper' }", "4: tenant acme: token rule form: Invalid enum value 'paper'"),
    (ACME + "[tenants.acme.sites.a]\nregion = 'x'\nscenario = 'y'", "4: a new site needs time_zone"),
    ("a = \n", "1: not a TOML file: Invalid value"),
    ("a = 1\na = 2", "2: not a TOML file: Cannot overwrite a value"),
]


@pytest.fixture(scope="module")
def desk(bare_deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("faults")
    return Desk(bare_deployment.copy_to(folder), folder, {"A": "one", "B": "another", "EMPTY": ""})


@pytest.mark.parametrize(("text", "said"), FAULTS, ids=[said for _, said in FAULTS])
def test_a_fault_is_told_with_its_line(desk: Desk, text: str, said: str):
    before = desk.dump()
    faults = desk.faults(text)
    assert len(faults) == 1, faults
    assert faults[0].startswith(said)
    assert "literal" not in faults[0]
    assert desk.dump() == before


def test_all_that_is_wrong_is_told_at_once(desk: Desk):
    text = """\
[tenants.acme]
dialect = "oauth2"
issuer = "http://acme.example"
hosts = ["a b"]
token_rules = { lifetime_s = 0 }

[tenants.acme.clients.a]
scope = ["a b"]
audience = [" "]
token_rules = { form = "paper" }

[tenants.beta]
dialect = "oauth2"
issuer = "https://beta.example"
hosts = ["a b"]
token_rules = { lifetime_s = 0 }

[tenants.beta.clients.a]
scope = ["a b"]
audience = [" "]
token_rules = { form = "paper" }
secret = { env = "NONE" }
"""
    # Without an issuer there is no acme to judge its client by.
    assert [fault.partition(": ")[0] for fault in desk.faults(text)] == ["3", "15", "16", "19", "20", "21", "22"]


def test_a_wrong_shape_is_told_whole_before_anything_is_looked_up(tmp_path: Path):
    file = tmp_path / "file.toml"
    file.write_text("x = 1\n" + CLIENT + "y = 1\nscope = 1\nsecret = 'a'\n")
    with pytest.raises(DeclarationRefused) as refused:
        read_declaration(file)
    lines = str(refused.value).splitlines()
    assert [line.removeprefix(f"{file}:").partition(":")[0] for line in lines] == ["1", "6", "7", "8"]


def test_a_file_that_cannot_be_read_is_told_by_its_name(tmp_path: Path):
    (tmp_path / "latin.toml").write_bytes(b"a = '\xff'")
    for name, said in (("none.toml", "cannot be read: No such file"), ("latin.toml", "not UTF-8")):
        with pytest.raises(DeclarationRefused, match=said):
            read_declaration(tmp_path / name)


def test_every_key_of_a_file_has_its_line():
    text = '''\
# a comment
"a b".c = 1

x = """
[no.table]
y = 1
"""
[t . "u.v"]   # [comment]
list = [
  # ]
  { deep = 1 },
  { deep = [2, 3] },
]
[[t.rows]]
n = 1
[[t.rows]]
n = 2
inner.m = 3
[[t.rows.more]]
[t.rows.more.last]
'''
    tomllib.loads(text)
    lines = find_lines(text)
    assert lines == {
        ("a b",): 2,
        ("a b", "c"): 2,
        ("x",): 4,
        ("t",): 8,
        ("t", "u.v"): 8,
        ("t", "u.v", "list"): 9,
        ("t", "u.v", "list", 0): 9,
        ("t", "u.v", "list", 0, "deep"): 9,
        ("t", "u.v", "list", 1): 9,
        ("t", "u.v", "list", 1, "deep"): 9,
        ("t", "u.v", "list", 1, "deep", 0): 9,
        ("t", "u.v", "list", 1, "deep", 1): 9,
        ("t", "rows"): 14,
        ("t", "rows", 0): 14,
        ("t", "rows", 0, "n"): 15,
        ("t", "rows", 1): 16,
        ("t", "rows", 1, "n"): 17,
        ("t", "rows", 1, "inner"): 18,
        ("t", "rows", 1, "inner", "m"): 18,
        ("t", "rows", 1, "more"): 19,
        ("t", "rows", 1, "more", 0): 19,
        ("t", "rows", 1, "more", 0, "last"): 20,
    }
