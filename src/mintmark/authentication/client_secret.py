"""`client_secret_basic` and `client_secret_post`: a presented secret held against a client's stored hashes.

The work done depends on the form of what was presented, never on whether the client exists, is disabled, or how
its secret is stored: who measures the time learns nothing. RFC: 6749 sections 2.3.1, 10.10.
"""

from __future__ import annotations

import asyncio
import base64
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import argon2

from mintmark.authentication.comparison import find_match
from mintmark.authentication.keyed_hash import KeyedHash
from mintmark.authentication.secrets import SecretForm, generate_secret, is_generated
from mintmark.protocol.errors import TemporarilyUnavailable
from mintmark.protocol.secret import Secret
from mintmark.store.records import SecretRecord

HASHER: Final = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""argon2id with OWASP's parameters of least memory: 19 MiB, two passes."""
THREADS: Final = 2
MAX_WAITING: Final = 64
MAX_REMEMBERED: Final = 10_000
MAX_SECRET_LENGTH: Final = 1024


def hash_chosen_secret(secret: Secret, beside: str | None = None) -> str:
    """Hash a secret that a person chose, slowly: argon2id, as a PHC string.

    Args:
        beside: another one of the same client, whose salt it shares: one computation then judges a presented secret
            by both, and the work done does not tell how many a client has.
    """
    return HASHER.hash(secret.encoded(), salt=None if beside is None else _salt_of(beside))


class SecretVerifier:
    """Checks presented secrets; remembers which person-chosen ones were right, as keyed hashes, in memory only."""

    def __init__(self, keyed_hash: KeyedHash) -> None:
        self._keyed_hash = keyed_hash
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2id")
        self._waiting = 0
        self._remembered: OrderedDict[str, str] = OrderedDict()
        self._nobody = hash_chosen_secret(generate_secret())

    async def verify(
        self, presented: tuple[Secret, ...], stored: tuple[SecretRecord, ...], form: SecretForm
    ) -> SecretRecord | None:
        """Return the stored secret that one reading of the presented secret is, or None.

        Args:
            presented: the readings of one presented secret (form-decoded, and as sent).
            stored: the live secrets of the client, none for a client that does not exist.
            form: the generated form of the tenant.

        Raises:
            TemporarilyUnavailable: too many slow checks are waiting.
        """
        hashes = [self._keyed_hash.hash_secret(secret.encoded()) for secret in presented]
        known = [row.hash if row.kind == "hmac-sha256" else self._remembered.get(row.hash, "") for row in stored]
        right = None
        for keyed in hashes:
            index = find_match(keyed, known)
            right = right if index is None else stored[index]
        if right is not None or all(is_generated(secret, form) for secret in presented):
            return right
        chosen = [row for row in stored if row.kind == "argon2id"]
        # Where there is no chosen secret the work is done all the same, and whatever comes of it proves nothing.
        slow_hashes = tuple(row.hash for row in chosen) or (self._nobody,)
        for secret, keyed in zip(presented, hashes, strict=True):
            index = await self._verify_slowly(slow_hashes, secret)
            if index is not None and chosen:
                right = chosen[index]
                self._remember(right.hash, keyed)
        return right

    async def _verify_slowly(self, slow_hashes: tuple[str, ...], secret: Secret) -> int | None:
        if self._waiting >= MAX_WAITING:
            raise TemporarilyUnavailable("temporarily_unavailable", "too many slow secret checks are waiting")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, partial(_find_slow_match, slow_hashes, secret))
        finally:
            self._waiting -= 1

    def _remember(self, phc: str, keyed: str) -> None:
        """The PHC string is the key: it holds its own salt, so a changed secret never meets an old memory."""
        self._remembered[phc] = keyed
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _find_slow_match(slow_hashes: tuple[str, ...], secret: Secret) -> int | None:
    """Return which of the PHC strings is the secret's, or None. They share a salt, so one computation judges all."""
    octets, first = secret.encoded(), slow_hashes[0]
    is_of_old = HASHER.check_needs_rehash(first)
    hasher = argon2.PasswordHasher.from_parameters(argon2.extract_parameters(first)) if is_of_old else HASHER
    # A longer one cannot be right, and is not hashed whole.
    computed = hasher.hash(octets[:MAX_SECRET_LENGTH], salt=_salt_of(first))
    index = find_match(computed, slow_hashes)
    return index if len(octets) <= MAX_SECRET_LENGTH else None


def _salt_of(phc: str) -> bytes:
    """Return the salt in a PHC string: the last but one of its parts, in base64 without padding."""
    text = phc.rsplit("$", 2)[1]
    return base64.b64decode(text + "=" * (-len(text) % 4))
