"""Clients in few octets: nothing of them is lost, and what many have in common is kept once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mintmark.authentication import packing
from mintmark.authentication.packing import Packing
from mintmark.store.records import ClientRecord, SecretRecord

NAMES = st.lists(st.text(max_size=8), max_size=3).map(tuple)
SECONDS = st.integers(0, 2**40)
GENERATED = st.fixed_dictionaries(
    {"kind": st.just("hmac-sha256"), "hash": st.binary(min_size=32, max_size=32).map(bytes.hex)}
)
CHOSEN = st.fixed_dictionaries({"kind": st.just("argon2id"), "hash": st.text(max_size=20)})
SECRETS = st.builds(
    lambda made, others: {**made, **others},
    st.one_of(GENERATED, CHOSEN),
    st.fixed_dictionaries(
        {
            "secret_id": st.text(max_size=8),
            "label": st.text(max_size=8),
            "created_at": SECONDS,
            "expires_at": st.none() | SECONDS,
            "last_used_at": st.none() | SECONDS,
        }
    ),
)
OTHERS: dict[str, st.SearchStrategy[Any]] = {
    "client_name": st.text(max_size=8),
    "is_disabled": st.booleans(),
    "grant_types": NAMES,
    "authentication_methods": NAMES,
    "scope": NAMES,
    "audience": NAMES,
    "token_rules": st.dictionaries(st.text(max_size=4), st.integers(0, 9) | st.lists(st.text(max_size=2))),
    "created_at": SECONDS,
    "generation": st.integers(0, 2**62 - 1),
    "resources": NAMES,
    "role": st.text(max_size=4),
    "all_sites": st.booleans(),
    "sites": NAMES,
    "all_customers": st.booleans(),
    "customers": NAMES,
    "version": st.integers(1, 2**31),
}


def client(client_id: str = "c", secrets: Any = (), **others: Any) -> ClientRecord:
    own: dict[str, Any] = {"tenant_id": "t", "client_id": client_id}
    return ClientRecord(**own, secrets=tuple(SecretRecord(**own, **secret) for secret in secrets), **others)


@given(secrets=st.lists(SECRETS, max_size=3), others=st.fixed_dictionaries(OTHERS))
def test_what_is_unpacked_is_what_was_packed(secrets: list[dict[str, Any]], others: dict[str, Any]):
    packing, packed = Packing(), client("some id", secrets, **others)
    assert packing.unpack(packing.pack(packed), "some id") == packed


def test_every_member_of_a_client_is_drawn_above():
    drawn = {"tenant_id", "client_id", "secrets"} | set(OTHERS)
    assert drawn == set(ClientRecord.__struct_fields__)


def test_clients_of_one_kind_share_what_they_have_in_common():
    packing = Packing()
    one, two = (packing.unpack(packing.pack(client(name, scope=("read", "write"))), name) for name in "ab")
    assert one.scope is two.scope
    assert (one.client_id, two.client_id) == ("a", "b")


def test_an_ordinary_client_takes_few_octets():
    secret = {"secret_id": "0" * 16, "kind": "hmac-sha256", "hash": "ab" * 32, "created_at": 2**31}
    packed = Packing().pack(client("c" * 36, [secret], scope=("read", "write"), generation=2**62 - 1))
    assert len(packed) <= 96


def test_a_client_of_one_kind_too_many_is_packed_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packing, "MAX_KINDS", 1)
    memory = Packing()
    first, second = client("a", scope=("read",)), client("b", scope=("write",))
    packed = [memory.pack(first), memory.pack(second), memory.pack(replace(first, client_id="c"))]
    assert len(memory._kinds) == 1
    assert len(packed[1]) > 2 * len(packed[0])
    assert memory.unpack(packed[1], "b") == second
    assert memory.unpack(packed[2], "c").scope is memory.unpack(packed[0], "a").scope
