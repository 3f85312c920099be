"""The keyed hash of this deployment: for secrets of full entropy, and for the mark of a token's generation.

Its keys come from the deployment's root key, which stays when the master key changes.
"""

from __future__ import annotations

from hashlib import blake2b, sha256
from typing import Final

from mintmark.authentication.comparison import is_same
from mintmark.authentication.master_key import derive_key

KEY_OCTETS: Final = 32
STAMP_OCTETS: Final = 6
HEAD_OCTETS: Final = 16 - STAMP_OCTETS
UUID4_FIXED: Final = 0x00000000_0000_4000_8000
UUID4_FREE: Final = 0xFFFFFFFF_FFFF_0FFF_3FFF
"""The bits of version and variant in the first ten octets of a UUID, and all others. RFC: 9562 section 5.4."""
BLOCK_OCTETS: Final = 64
INNER_PAD: Final = bytes.maketrans(bytes(range(256)), bytes(octet ^ 0x36 for octet in range(256)))
OUTER_PAD: Final = bytes.maketrans(bytes(range(256)), bytes(octet ^ 0x5C for octet in range(256)))
"""RFC: 2104 section 2."""


def name_generation(tenant_id: str, client_id: str, tenant_generation: int, client_generation: int) -> bytes:
    """Return the octets to which a token's mark binds it."""
    return f"{tenant_id}\n{client_id}\n{tenant_generation}\n{client_generation}".encode()


class KeyedHash:
    """HMAC-SHA-256 for secrets, keyed BLAKE2b (RFC: 7693) for marks, under keys derived from 32 octets."""

    __slots__ = ("_inner", "_outer", "_stamp")

    def __init__(self, octets: bytes) -> None:
        block = derive_key(octets, b"mintmark secret hash v1").ljust(BLOCK_OCTETS, b"\0")
        self._inner = sha256(block.translate(INNER_PAD))
        self._outer = sha256(block.translate(OUTER_PAD))
        stamp_key = derive_key(octets, b"mintmark generation stamp v1")
        self._stamp = blake2b(key=stamp_key, digest_size=STAMP_OCTETS)

    def hash_secret(self, octets: bytes) -> str:
        """Return the HMAC-SHA-256 under which a generated secret is kept, as 64 lower-case hex.

        Both halves have taken in the key at the start. The interpreter's own `hmac.digest` lets go of the global lock
        each time, and wins it back from the thread that writes at many times the cost of the hash.
        RFC: 2104 sections 2 and 4.
        """
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(octets)
        outer.update(inner.digest())
        return outer.hexdigest()

    def stamp_jti(self, octets: bytes, bound_to: bytes) -> bytes:
        """Return 16 octets for a `jti`: ten of those given, as a version 4 UUID has them, and a mark of six.

        The mark binds the token to what is given with it (`name_generation`), although no claim names it: a verifier
        that knows the present generation sees whether the token is of it.
        """
        number = int.from_bytes(octets[:HEAD_OCTETS]) & UUID4_FREE | UUID4_FIXED
        head = number.to_bytes(HEAD_OCTETS)
        stamp = self._stamp.copy()
        stamp.update(head + bound_to)
        return head + stamp.digest()

    def is_stamped(self, octets: bytes, bound_to: bytes) -> bool:
        """Tell whether the octets of a `jti` bear the mark for this."""
        return is_same(self.stamp_jti(octets, bound_to), octets)
