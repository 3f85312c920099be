"""The master key seals one thing, the deployment's root key; all that is sealed or hashed hangs on that one.

The master key lives in a file or in the environment, never in the database. A wrong one does not open the root key,
and so is known before anything is done with it; a new one needs the root key alone sealed again.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from mintmark.protocol.errors import MintmarkError, SettingsError

KEY_OCTETS: Final = 32
NONCE_OCTETS: Final = 12
CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
"""Where systemd puts what `LoadCredential=` names: a folder that the service's user alone can enter."""
SEAL_VERSION: Final = b"\x01"


class SealBroken(MintmarkError):
    """A sealed value does not open: another master key, or the row was changed."""


class SealingKey:
    """Seals what must be read again, under a key derived from 32 octets (HKDF-SHA-256, RFC: 5869)."""

    __slots__ = ("_aead",)

    def __init__(self, octets: bytes) -> None:
        if len(octets) != KEY_OCTETS:
            raise SettingsError(f"the master key has {len(octets)} octets; it must have {KEY_OCTETS}")
        self._aead = AESGCM(derive_key(octets, b"mintmark seal v1"))

    def seal(self, octets: bytes, purpose: bytes) -> bytes:
        """Encrypt and authenticate (AES-256-GCM). `purpose` must be given again to open."""
        nonce = os.urandom(NONCE_OCTETS)
        return SEAL_VERSION + nonce + self._aead.encrypt(nonce, octets, purpose)

    def open(self, sealed: bytes, purpose: bytes) -> bytes:
        """Return what was sealed. Raises: SealBroken."""
        nonce, text = sealed[1 : 1 + NONCE_OCTETS], sealed[1 + NONCE_OCTETS :]
        try:
            if sealed[:1] != SEAL_VERSION:
                raise SealBroken("a sealed value is of another release")
            return self._aead.decrypt(nonce, text, purpose)
        except (InvalidTag, ValueError) as error:
            raise SealBroken("a sealed value does not open under this master key") from error


def derive_key(octets: bytes, info: bytes) -> bytes:
    """Return 32 octets of key material for one use. RFC: 5869 section 2.3."""
    return HKDFExpand(algorithm=SHA256(), length=KEY_OCTETS, info=info).derive(octets)


def parse_master_key(text: str, origin: str) -> SealingKey:
    """Read a master key from its text form, 32 octets in base64url. `origin` names it in errors.

    Raises:
        SettingsError: the text is of another form.
    """
    stripped = text.strip().rstrip("=")
    try:
        octets = base64.b64decode(stripped + "=" * (-len(stripped) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise SettingsError(f"{origin}: not base64url") from error
    if len(octets) != KEY_OCTETS:
        raise SettingsError(f"{origin}: must hold {KEY_OCTETS} octets in base64url (43 characters)")
    return SealingKey(octets)


def read_master_key(path: Path) -> SealingKey:
    """Read the master key's file. Raises: SettingsError (absent, unreadable, open to others, malformed)."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii")
    except FileNotFoundError as error:
        raise SettingsError(
            f"{path}: the master key is not there. Restore it from your backup, or name it with"
            " MINTMARK_MASTER_KEY_FILE; without it the secrets and keys in the database cannot be used"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: the master key cannot be read") from error
    if mode & others_may(path):
        raise SettingsError(f"{path}: others may read the master key; run: chmod 600 {path}")
    return parse_master_key(text, str(path))


def others_may(path: Path) -> int:
    """Return the bits of a secret file's mode that would let others at it.

    systemd lets the service's user at a credential by an access control list, which shows as the group's bits.
    """
    folder = os.environ.get(CREDENTIALS)
    return 0o007 if folder and path.absolute().parent == Path(folder) else 0o077


def create_master_key(path: Path) -> SealingKey:
    """Make a new master key in a file of mode 0600, never over an old one. Raises: SettingsError."""
    text = base64.urlsafe_b64encode(secrets.token_bytes(KEY_OCTETS)).decode().rstrip("=")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise SettingsError(f"{path}: the master key cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    return parse_master_key(text, str(path))
