"""The router's tables against a model that asks every tenant in turn, in the order that the router promises."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from mintmark.dialects.catalogue import load_dialects
from mintmark.endpoints.route import Route, ServedTenant
from mintmark.grants.rules import parse_rules
from mintmark.http.router import METADATA, Router
from mintmark.store.records import TenantRecord

DIALECTS = load_dialects()
RULES = {name: parse_rules(dialect.definition, name) for name, dialect in DIALECTS.items()}
NAMES = ["a", "b", "c", "d"]
HOSTS = ["h1", "h2:8443", "h3"]
PATHS = sorted({path for dialect in DIALECTS.values() for path in dialect.endpoints.values()} | {*METADATA, "/x"})


@st.composite
def tenants(draw: st.DrawFn) -> list[ServedTenant]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    default = draw(st.sampled_from([*names, None]))
    hosts = draw(st.lists(st.sampled_from([*names, None]), min_size=3, max_size=3))
    return [
        ServedTenant(
            TenantRecord(
                tenant_id=name,
                dialect=(dialect := draw(st.sampled_from(sorted(DIALECTS)))),
                issuer=f"https://id.example/t/{name}",
                hosts=tuple(host for host, owner in zip(HOSTS, hosts, strict=True) if owner == name),
                identifier=draw(st.sampled_from([None, f"id-{name}"])),
                is_default=name == default,
                is_suspended=draw(st.booleans()) and draw(st.booleans()),
                is_administrative=(kind := draw(st.sampled_from(["", "", "administrative", "customer"])))
                == "administrative",
                msp_id="msp" if kind == "customer" else None,
            ),
            DIALECTS[dialect],
            RULES[dialect],
        )
        for name in names
    ]


Meaning = tuple[str, str, str | None, frozenset[str]]
"""An endpoint, a dialect, a tenant, and the identifiers that a message may carry."""


def paths_of(tenant: ServedTenant) -> dict[str, str]:
    return dict.fromkeys(METADATA, "metadata") | {path: name for name, path in tenant.dialect.endpoints.items()}


def alone(tenant: ServedTenant, path: str) -> Meaning | None:
    """What a path means at one tenant."""
    name = paths_of(tenant).get(path)
    if name is None:
        return None
    own = {tenant.record.identifier} - {None} if name != "metadata" else set()
    return name, tenant.dialect.name, tenant.record.tenant_id, frozenset(map(str, own))


def model(served: list[ServedTenant], host: str, path: str) -> Meaning | None:
    live = [tenant for tenant in served if not tenant.record.is_suspended]
    for prefix, rest in [("/t/", ""), *[(name + "/t/", name) for name in METADATA]]:
        if path.startswith(prefix):
            name, slash, behind = path.removeprefix(prefix).partition("/")
            wanted = slash + behind if not rest else rest if not slash else "/nothing"
            return next((alone(one, wanted) for one in live if one.record.tenant_id == name), None)
    for key in (host, host.rpartition(":")[0]):
        owner = next((one for one in served if key in one.record.hosts), None)
        if owner is not None:
            if owner.record.is_suspended:
                return None
            if found := alone(owner, path):
                return found
            break
    having = [one for one in served if path in paths_of(one)]
    owners = [one for one in having if not must_be_named(one)]
    return shared(owners, having, path) if owners else None


def must_be_named(tenant: ServedTenant) -> bool:
    record = tenant.record
    return not record.is_default and (record.is_administrative or record.msp_id is not None)


def shared(owners: list[ServedTenant], having: list[ServedTenant], path: str) -> Meaning | None:
    """A path of several tenants: the only one, the default, or whomever the message names."""
    chosen = owners[0] if len(owners) == 1 else next((one for one in owners if one.record.is_default), None)
    dialects = {one.dialect.name for one in owners}
    dialect = chosen.dialect.name if chosen else min(dialects)
    live = [one for one in having if not one.record.is_suspended]
    named = {one.record.identifier for one in live if one.dialect.name == dialect} - {None}
    name = paths_of(chosen or owners[0])[path]
    if chosen is not None and not chosen.record.is_suspended:
        return name, dialect, chosen.record.tenant_id, frozenset(map(str, named))
    if name != "token" or not named or (chosen is None and len(dialects) > 1):
        return None
    return name, dialect, None, frozenset(map(str, named))


@settings(max_examples=150, derandomize=True, deadline=None)
@given(served=tenants(), suspended=st.sampled_from(NAMES))
def test_a_suspension_moves_nothing_to_another_tenant(served: list[ServedTenant], suspended: str):
    after = [suspend(one) if one.record.tenant_id == suspended else one for one in served]
    for host in [*HOSTS, "other"]:
        for path in PATHS:
            old, new = Router(served).find(host, path), Router(after).find(host, path)
            if new is not None and new.tenant is not None:
                assert old is not None
                assert old.tenant is not None
                assert new.tenant.record.tenant_id == old.tenant.record.tenant_id, (host, path)


def suspend(tenant: ServedTenant) -> ServedTenant:
    return msgspec.structs.replace(tenant, record=msgspec.structs.replace(tenant.record, is_suspended=True))


def test_a_suspended_tenants_host_answers_nothing_in_anothers_dialect():
    records = [
        TenantRecord(tenant_id="live", dialect="omada", issuer="https://id.example", is_default=True),
        TenantRecord(
            tenant_id="gone",
            dialect="omada",
            issuer="https://x.example",
            hosts=("x.example",),
            is_suspended=True,
        ),
    ]
    router = Router([ServedTenant(one, DIALECTS[one.dialect], RULES[one.dialect]) for one in records])

    assert router.owner_of_unknown_path("x.example:8443", "/openapi/v1/x") is None
    assert router.owner_of_unknown_path("id.example", "/openapi/v1/x") is DIALECTS["omada"]


def meaning_of(route: Route | None) -> Meaning | None:
    if route is None:
        return None
    tenant_id = route.tenant.record.tenant_id if route.tenant else None
    return route.endpoint, route.dialect.name, tenant_id, frozenset(route.by_identifier)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(served=tenants())
def test_every_host_and_path_means_what_the_model_says(served: list[ServedTenant]):
    router = Router(served)
    prefixed = [f"/t/{name}{path}" for name in NAMES for path in ("/oauth2/token", METADATA[0], "/x", "", "/")]
    inserted = [f"{name}/t/{tenant}" for name in METADATA for tenant in [*NAMES, "", "a/", "a/x"]]
    for host in [*HOSTS, "h1:99", "h2", "other", ""]:
        for path in [*PATHS, *prefixed, *inserted]:
            found, expected = meaning_of(router.find(host, path)), model(served, host, path)
            assert without_identifiers(found) == without_identifiers(expected), (host, path)
            if found and expected and found[0] == "token":
                assert found == expected, (host, path)


def without_identifiers(meaning: Meaning | None) -> tuple[object, ...] | None:
    """Identifiers count where a message can carry one: at the token endpoint."""
    return meaning[:3] if meaning else None


@settings(max_examples=60, derandomize=True, deadline=None)
@given(served=tenants())
def test_only_a_live_tenants_dialect_claims_unknown_paths(served: list[ServedTenant]):
    dialect = Router(served).owner_of_unknown_path("", "/openapi/v1/x")
    claims = [one for one in served if one.dialect.name == "omada" and not must_be_named(one)]
    has_omada = any(not one.record.is_suspended for one in claims)

    assert (dialect is not None) == has_omada
    assert Router(served).owner_of_unknown_path("", "/elsewhere") is None
