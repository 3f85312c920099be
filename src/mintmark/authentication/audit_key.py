"""The key that signs checkpoints of the audit log: Ed25519, derived from the deployment's root key. RFC: 8032."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mintmark.authentication.master_key import derive_key


class AuditKey:
    """Signs, and tells its own signatures."""

    __slots__ = ("_private", "_public")

    def __init__(self, octets: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(derive_key(octets, b"mintmark audit checkpoint v1"))
        self._public = self._private.public_key()

    def sign(self, octets: bytes) -> bytes:
        """Return the signature, 64 octets."""
        return self._private.sign(octets)

    def is_signed(self, octets: bytes, signature: bytes) -> bool:
        """Tell whether this key made the signature."""
        try:
            self._public.verify(signature, octets)
        except InvalidSignature:
            return False
        return True

    def public_octets(self) -> bytes:
        """Return the public half, 32 octets, for who checks an exported log elsewhere."""
        return self._public.public_bytes_raw()
