"""Laws that hold for all values: what goes in comes out, and a batch ends as if each call had been alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mintmark.protocol.errors import AlreadyExists
from mintmark.store.records import ClientRecord, SecretRecord, TenantRecord, TokenRecord
from mintmark.store.sql_store import SqlStore

from .samples import NOW, digest, first_generation, refresh, token

SECONDS = st.integers(0, 2**40)
NAMES = st.lists(st.text(), max_size=4).map(tuple)
RULES = st.dictionaries(
    st.text(), st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists)
)
SECRETS = st.builds(
    SecretRecord,
    secret_id=st.just("s"),
    tenant_id=st.just("t"),
    client_id=st.just("c"),
    kind=st.sampled_from(["hmac-sha256", "argon2id"]),
    hash=st.text(),
    label=st.text(),
    created_at=SECONDS,
    expires_at=st.none() | SECONDS,
)
CLIENTS = st.builds(
    ClientRecord,
    tenant_id=st.just("t"),
    client_id=st.just("c"),
    client_name=st.text(),
    is_disabled=st.booleans(),
    grant_types=NAMES,
    authentication_methods=NAMES,
    scope=NAMES,
    audience=NAMES,
    token_rules=RULES,
    secrets=st.lists(SECRETS, max_size=1).map(tuple),
    created_at=SECONDS,
    resources=NAMES,
)
TENANTS = st.builds(
    TenantRecord,
    tenant_id=st.just("t"),
    dialect=st.text(),
    issuer=st.text(),
    hosts=st.lists(st.text(), unique=True, max_size=4).map(tuple),
    identifier=st.none() | st.text(),
    is_default=st.booleans(),
    is_suspended=st.booleans(),
    token_rules=RULES,
    created_at=SECONDS,
)
TOKENS = st.builds(
    TokenRecord,
    st.binary(min_size=32, max_size=32),
    st.text(),
    st.text(),
    st.sampled_from(["access", "refresh"]),
    st.text(),
    st.text(),
    SECONDS,
    SECONDS,
    SECONDS,
    SECONDS,
    st.none() | st.binary(min_size=32, max_size=32),
    st.none() | SECONDS,
)
CALLS = st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=4), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def shared_url(migrated: Path) -> str:
    return f"sqlite:///{migrated.with_name('laws.db')}"


@pytest.fixture(scope="module", autouse=True)
def shared_database(migrated: Path, shared_url: str) -> None:
    migrated.with_name("laws.db").write_bytes(migrated.read_bytes())


@settings(max_examples=40, deadline=None)
@given(tenant=TENANTS, client=CLIENTS)
def test_registrations_come_out_as_they_went_in(shared_url: str, tenant: TenantRecord, client: ClientRecord) -> None:
    async def write_and_read() -> tuple[TenantRecord | None, ClientRecord | None]:
        store = SqlStore.open(shared_url)
        if await store.tenants.find("t"):
            changes = msgspec.structs.asdict(tenant)
            for name in ("tenant_id", "created_at", "generation", "version"):
                del changes[name]
            await store.tenants.change("t", changes)
            await store.clients.remove("t", "c")
        else:
            await store.tenants.add(tenant, [])
        await store.clients.add([client])
        found = await store.tenants.find("t"), await store.clients.find("t", "c")
        await store.close()
        return found

    found_tenant, found_client = asyncio.run(write_and_read())
    assert found_tenant is not None
    found_tenant = msgspec.structs.replace(found_tenant, created_at=tenant.created_at)
    assert (first_generation(found_tenant), first_generation(found_client)) == (tenant, client)


@settings(max_examples=30, deadline=None)
@given(records=st.lists(TOKENS, unique_by=lambda record: record.digest, max_size=20))
def test_tokens_come_out_as_they_went_in(shared_url: str, records: list[TokenRecord]) -> None:
    async def write_and_read() -> list[TokenRecord | None]:
        store = SqlStore.open(shared_url)
        store._opened.commit._session.connection.exec_driver_sql("DELETE FROM token")  # type: ignore[attr-defined]
        await store.tokens.add(records)
        found = [await store.tokens.find(record.digest) for record in records]
        await store.close()
        return found

    assert asyncio.run(write_and_read()) == records


@settings(max_examples=40, deadline=None)
@given(calls=CALLS)
def test_parallel_calls_end_as_if_each_had_been_alone(shared_url: str, calls: list[list[int]]) -> None:
    """Some order explains the answers: who was told yes has all of his, who was told no has a reason."""

    async def add_all() -> tuple[list[object], set[int]]:
        store = SqlStore.open(shared_url)
        store._opened.commit._session.connection.exec_driver_sql("DELETE FROM token")  # type: ignore[attr-defined]
        adding = [store.tokens.add([token(str(number)) for number in call]) for call in calls]
        answers = await asyncio.gather(*adding, return_exceptions=True)
        there = {number for number in range(31) if await store.tokens.find(token(str(number)).digest)}
        await store.close()
        return list(answers), there

    answers, there = asyncio.run(add_all())
    added = [number for call, answer in zip(calls, answers, strict=True) if answer is None for number in call]
    assert sorted(added) == sorted(there)
    for call, answer in zip(calls, answers, strict=True):
        is_refused_with_reason = len(set(call)) < len(call) or not there.isdisjoint(call)
        assert answer is None or (isinstance(answer, AlreadyExists) and is_refused_with_reason)


class Model:
    """What rotation, revocation and age do to tokens, as a dictionary would have it."""

    def __init__(self) -> None:
        self.tokens: dict[bytes, TokenRecord] = {}

    def add(self, record: TokenRecord) -> None:
        self.tokens[record.digest] = record

    def keep(self, is_kept: Callable[[TokenRecord], bool]) -> int:
        before = len(self.tokens)
        self.tokens = {key: record for key, record in self.tokens.items() if is_kept(record)}
        return before - len(self.tokens)

    def purge(self, now: int) -> int:
        return self.keep(lambda record: record.expires_at > now)

    def remove_family(self, family: bytes) -> int:
        return self.keep(lambda record: family not in (record.family, record.digest))

    def rotate(self, digest: bytes, new: TokenRecord, now: int, leeway_s: int) -> str:
        record = self.tokens.get(digest)
        if record is None or record.kind == "access":
            return "unknown"
        if record.expires_at <= now:
            return "expired"
        if record.used_at is None:
            self.add(msgspec.structs.replace(record, used_at=now))
            self.add(new)
            return "rotated"
        if record.used_at + leeway_s >= now:
            return "spent"
        self.remove_family(record.family or record.digest)
        return "reused"


WHICH = st.integers(0, 5)
AT = st.integers(0, 20)
STEPS = st.lists(
    st.tuples(st.just("rotate"), WHICH, AT, st.integers(0, 5))
    | st.tuples(st.just("remove"), WHICH)
    | st.tuples(st.just("remove_family"), st.integers(0, 1))
    | st.tuples(st.just("purge"), AT),
    max_size=20,
)


def of_step(number: int) -> TokenRecord:
    """The even ones are refresh tokens of two families, which the first two name by their digests."""
    kind = "access" if number == 5 else "refresh"
    return refresh(str(number), str(number % 2), kind=kind, expires_at=NOW + 12 + number)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_tokens_live_and_die_as_in_a_model(shared_url: str, steps: list[tuple[object, ...]]) -> None:
    async def live() -> None:
        store, model, next_number = SqlStore.open(shared_url), Model(), 6
        store._opened.commit._session.connection.exec_driver_sql("DELETE FROM token")  # type: ignore[attr-defined]
        await store.tokens.add([of_step(number) for number in range(6)])
        for number in range(6):
            model.add(of_step(number))
        for step in steps:
            match step:
                case ("rotate", int(which), int(at), int(leeway_s)):
                    use = digest(str(which)), NOW + at, leeway_s
                    new, next_number = of_step(next_number), next_number + 1
                    answer = await store.tokens.rotate(use[0], [new], *use[1:])
                    assert answer == model.rotate(use[0], new, *use[1:])
                case ("remove", int(which)):
                    removed = await store.tokens.remove(digest(str(which)))
                    assert removed == (model.tokens.pop(digest(str(which)), None) is not None)
                case ("remove_family", int(which)):
                    family = digest(str(which))
                    assert await store.tokens.remove_family(family) == model.remove_family(family)
                case ("purge", int(at)):
                    assert await store.upkeep.purge(NOW + at, 1000) == model.purge(NOW + at)
        found = [await store.tokens.find(digest(str(number))) for number in range(next_number)]
        assert {record.digest: record for record in found if record} == model.tokens
        await store.close()

    asyncio.run(live())
