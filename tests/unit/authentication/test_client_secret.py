"""A presented secret against what is stored of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote_plus

import argon2
import msgspec
import pytest

from mintmark.authentication import client_secret
from mintmark.authentication.client_secret import MAX_SECRET_LENGTH, SecretVerifier, hash_chosen_secret
from mintmark.authentication.keyed_hash import KeyedHash
from mintmark.authentication.secrets import generate_client_id, generate_secret, is_generated
from mintmark.protocol.secret import Secret
from mintmark.store.records import SecretKind, SecretRecord

KEYED_HASH = KeyedHash(b"k" * 32)


def stored(secret: str, kind: SecretKind = "argon2id") -> SecretRecord:
    text = Secret(secret)
    hashed = hash_chosen_secret(text) if kind == "argon2id" else KEYED_HASH.hash_secret(text.encoded())
    return SecretRecord(secret_id="1", tenant_id="t", client_id="c", kind=kind, hash=hashed)


@pytest.fixture
async def verifier() -> AsyncIterator[SecretVerifier]:
    made = SecretVerifier(KEYED_HASH)
    yield made
    made.close()


async def is_right(verifier: SecretVerifier, presented: str, *rows: SecretRecord) -> bool:
    return await verifier.verify((Secret(presented),), rows, "mintmark") is not None


@pytest.mark.rfc("6749", "2.3.1")
@pytest.mark.parametrize("secret", ["s", "50%+off", "\u00e9\u4e2d\U0001f511", "\0", " ", "a" * MAX_SECRET_LENGTH])
async def test_the_secret_itself_is_right_and_others_are_wrong(verifier: SecretVerifier, secret: str):
    row = stored(secret)

    assert await is_right(verifier, secret, row)
    assert not await is_right(verifier, secret + "x", row)
    assert not await is_right(verifier, secret[:-1], row)
    assert not await is_right(verifier, row.hash, row)


async def test_any_live_secret_of_a_client_is_right(verifier: SecretVerifier):
    first, second = generate_secret().reveal(), generate_secret().reveal()
    rows = [stored(first, "hmac-sha256"), stored(second, "hmac-sha256"), stored("chosen")]

    assert [await is_right(verifier, secret, *rows) for secret in (first, second, "chosen", "x")] == [True] * 3 + [
        False
    ]


async def test_one_right_reading_is_enough(verifier: SecretVerifier):
    row = stored("a%20b")

    assert await verifier.verify((Secret("a b"), Secret("a%20b")), (row,), "mintmark")
    assert not await verifier.verify((Secret("a b"), Secret("a+b")), (row,), "mintmark")


class Yes(argon2.PasswordHasher):
    """Gives every secret one hash, and so finds each right."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self._only = super().hash("the only one")

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        return self._only


async def test_all_chosen_secrets_of_a_client_are_right_for_one_slow_hash(verifier: SecretVerifier):
    first = stored("first")
    second = msgspec.structs.replace(first, hash=hash_chosen_secret(Secret("second"), first.hash))
    rows = (second, first)

    assert [await verifier.verify((Secret(text),), rows, "mintmark") for text in ("first", "second", "third")] == [
        first,
        second,
        None,
    ]


def test_chosen_secrets_share_a_salt_only_when_they_are_one_clients():
    first = hash_chosen_secret(Secret("s"))

    assert hash_chosen_secret(Secret("s"), first) == first
    assert hash_chosen_secret(Secret("s")) != first


async def test_a_secret_hashed_with_other_parameters_is_still_right(verifier: SecretVerifier):
    weaker = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("of old")

    assert await is_right(verifier, "of old", msgspec.structs.replace(stored("x"), hash=weaker))


async def test_work_that_is_done_for_nobody_proves_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client_secret, "HASHER", Yes())
    verifier = SecretVerifier(KEYED_HASH)
    generated = stored(generate_secret().reveal(), "hmac-sha256")

    assert not await is_right(verifier, "a guess")
    assert not await is_right(verifier, "a guess", generated)
    assert not await is_right(verifier, "a guess", generated)
    assert await is_right(verifier, "a guess", stored("chosen"))
    verifier.close()


async def test_a_keyed_hash_of_another_master_key_is_wrong(verifier: SecretVerifier):
    secret = generate_secret()
    row = SecretRecord(
        secret_id="1",
        tenant_id="t",
        client_id="c",
        kind="hmac-sha256",
        hash=KeyedHash(b"o" * 32).hash_secret(secret.encoded()),
    )

    assert not await is_right(verifier, secret.reveal(), row)


def test_a_generated_secret_is_recognised_by_its_form_and_checksum():
    secret = generate_secret().reveal()

    assert is_generated(Secret(secret), "mintmark")
    for altered in (secret[:-1], secret + "0", secret.replace("mms_", "mmx_"), secret[:10] + "-_" + secret[12:], "\n"):
        assert altered == secret or not is_generated(Secret(altered), "mintmark")
    assert is_generated(generate_secret("hex32"), "hex32")
    assert not is_generated(Secret("F" * 32), "hex32")


@pytest.mark.rfc("6749", "10.10")
def test_generated_secrets_and_ids_are_written_alike_in_every_encoding():
    for text in (generate_secret().reveal(), generate_secret("hex32").reveal(), generate_client_id()):
        assert quote_plus(text) == text
    assert len({generate_secret().reveal() for _ in range(100)}) == 100
