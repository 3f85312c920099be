"""What was exported is applied without a change: to an empty deployment it gives the same, and to its own nothing."""

from __future__ import annotations

import re
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mintmark.admin.declared_lines import find_lines
from mintmark.authentication.secrets import generate_secret
from mintmark.dialects.catalogue import load_dialects
from tests.endpoints.deployments import Deployment
from tests.manage.declaring import Desk

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), max_size=12)
WORD = st.from_regex(r"[a-z]{1,6}", fullmatch=True)
CLIENT_ID = st.from_regex(r"[ -~]{1,12}", fullmatch=True)
SCOPE = st.lists(st.from_regex(r"[!#-\[\]-~]{1,8}", fullmatch=True), max_size=3)
JSON = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
EXPIRY = st.none() | st.integers(4_000_000_000, 4_100_000_000)


def members(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=values)


SECRET = st.fixed_dictionaries({"label": PRINTABLE, "expires_at": EXPIRY})
CLIENT = members(
    client_name=PRINTABLE,
    is_disabled=st.booleans(),
    scope=SCOPE,
    audience=st.lists(WORD, max_size=2),
    resources=st.lists(WORD, max_size=2),
    grant_types=st.sampled_from([[], ["client_credentials"]]),
    authentication_methods=st.sampled_from([[], ["client_secret_post"]]),
    token_rules=members(lifetime_s=st.integers(1, 99), audience=st.lists(WORD, min_size=1, max_size=2)),
    role=st.sampled_from(["viewer_id", "admin_id"]),
)
SITE = st.fixed_dictionaries(
    {"region": TEXT, "time_zone": TEXT, "scenario": TEXT},
    optional={"site_type": st.integers(0, 3), "details": st.dictionaries(TEXT, JSON, max_size=2)},
)
TENANT = st.fixed_dictionaries(
    {
        "dialect": st.sampled_from(sorted(load_dialects())),
        "members": members(
            title=TEXT,
            description=TEXT,
            is_suspended=st.booleans(),
            allows_registration=st.booleans(),
            identifier=WORD,
        ),
        "clients": st.dictionaries(CLIENT_ID, st.tuples(CLIENT, st.lists(SECRET, min_size=1, max_size=5)), max_size=3),
        "sites": st.dictionaries(st.text(min_size=1, max_size=9), SITE, max_size=2),
        "seen": st.sampled_from(["all", "some", "none"]),
        "is_customer": st.booleans(),
    }
)
DEPLOYMENT = st.dictionaries(WORD, TENANT, min_size=1, max_size=3)
MAX_LIVE = {"oneaccess": 1, "wso2": 2}


def declare(deployment: dict[str, Any]) -> dict[str, Any]:
    """Return the tenants as a file would say them. The last is the msp of those that are customers."""
    names = [name for name in deployment if name != "admin"]
    customers = [name for name in names[:-1] if deployment[name]["is_customer"]]
    tenants = {name: declare_tenant(name, deployment[name]) for name in names}
    for name in customers:
        tenants[name]["msp_id"] = names[-1]
    if customers:
        tenants[names[-1]]["is_msp"] = True
    for name in names[:1]:
        tenants[name]["is_default"] = True
    for name, tenant in tenants.items():
        named = customers if tenant.get("is_msp") else sorted(tenant["sites"])
        seen = privileges(deployment[name]["seen"], "customers" if tenant.get("is_msp") else "sites", named)
        tenant["clients"] = {client_id: {**client, **seen} for client_id, client in tenant["clients"].items()}
    return tenants


def declare_tenant(name: str, tenant: dict[str, Any]) -> dict[str, Any]:
    declared = {"dialect": tenant["dialect"], "issuer": f"https://{name}.example", **tenant["members"]}
    declared |= {"token_rules": {"alg": "ES256"}, "hosts": [f"{name}.example", f"a.{name}.example:8443"]}
    if "identifier" in declared:
        declared["identifier"] = f"{name}-{declared['identifier']}"
    most = MAX_LIVE.get(tenant["dialect"], 5)
    clients = {
        client_id: {**members, "secrets": secrets[:most]} for client_id, (members, secrets) in tenant["clients"].items()
    }
    return {**declared, "sites": tenant["sites"], "clients": clients}


def privileges(seen: str, noun: str, named: list[str]) -> dict[str, Any]:
    if seen == "all":
        return {"all_sites": True, "all_customers": True}
    return {noun: named[:2]} if seen == "some" else {}


def variables_of(text: str) -> list[str]:
    return re.findall(r'\benv = "(SECRET_OF_[A-Z0-9_]+)"', text)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(deployment=DEPLOYMENT)
def test_an_export_applied_to_an_empty_deployment_is_exported_as_the_same_text(
    bare_deployment: Deployment, deployment: dict[str, Any]
):
    with tempfile.TemporaryDirectory() as folder:
        first, second = (empty(bare_deployment, Path(folder) / name) for name in ("first", "second"))
        fill(first, deployment)
        text = first.export()
        assert set(find_lines(text)) == set(keys_of(tomllib.loads(text)))

        second.environment.update({name: generate_secret().reveal() for name in variables_of(text)})
        second.apply(text, prune=True)

        assert second.export() == text
        assert second.plan(text, prune=True).steps == ()


def empty(bare: Deployment, folder: Path) -> Desk:
    folder.mkdir()
    return Desk(bare.copy_to(folder), folder, {})


def fill(desk: Desk, deployment: dict[str, Any]) -> None:
    """Make a deployment from a file that is written in another way than exports are."""
    desk.apply(inline_file(desk, declare(deployment)))


def inline_file(desk: Desk, tenants: dict[str, Any]) -> str:
    for tenant in tenants.values():
        for client in tenant["clients"].values():
            client["secrets"] = [reference(desk, secret) for secret in client["secrets"]]
    return f"tenants = {toml(tenants)}\n"


def reference(desk: Desk, secret: dict[str, Any]) -> dict[str, Any]:
    name = f"S{len(desk.environment)}"
    desk.environment[name] = generate_secret().reveal()
    return {"env": name, **{key: value for key, value in secret.items() if value is not None}}


def toml(value: Any, key: str = "") -> str:
    """Write TOML in another way than the export does: every character of a text as its number."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{toml(name)}={toml(one, name)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(toml(one) for one in value) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
    if key == "expires_at":
        return f"2{value % 1000:03d}-05-01T00:00:00+02:00" if value % 1000 > 100 else "2100-01-01T00:00:00.5Z"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def keys_of(read: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    entries = read.items() if isinstance(read, dict) else enumerate(read) if isinstance(read, list) else ()
    for name, value in entries:
        yield (*above, name)
        yield from keys_of(value, (*above, name))


def test_the_export_of_the_demo_and_more_applies_to_its_own_deployment_without_a_change(
    full_deployment: Deployment, tmp_path: Path
):
    desk = Desk(full_deployment.copy_to(tmp_path), tmp_path, {})
    text = desk.export()
    assert text.count("[tenants.") > 20
    silent = re.sub(r"^secrets? = (\{.*\}|\[\n(.*\n)*?\])\n", "", text, flags=re.MULTILINE)
    assert desk.plan(silent).steps == ()
    assert desk.plan(silent, prune=True).steps == ()


def test_one_tenant_is_exported_alone(full_deployment: Deployment, tmp_path: Path):
    desk = Desk(full_deployment.copy_to(tmp_path), tmp_path, {})
    text = desk.export("omada")
    assert set(tomllib.loads(text)["tenants"]) == {"omada"}
    assert text[text.index("\n[") :] in desk.export()


def test_an_export_holds_neither_a_secret_nor_a_hash(full_deployment: Deployment, tmp_path: Path):
    desk = Desk(full_deployment.copy_to(tmp_path), tmp_path, {})
    text = desk.export()
    for (hashed,) in desk.rows("SELECT hash FROM client_secret"):
        assert hashed not in text
    for secret in full_deployment.secrets.values():
        assert secret not in text
