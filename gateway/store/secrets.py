"""Secrets at rest: sealed with AES-256-GCM, each bound to the row it belongs to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.contracts.errors import SettingsError

_KEY_BYTES = 32
_NONCE_BYTES = 12
PASSPHRASE_CHARACTERS_MIN = 32
WRONG_KEY = (
    "the secrets in the store cannot be read with CAMPAIGN_SECRET_KEY: add the key they were encrypted with to its "
    "comma list, after the new one"
)
#: Salt of passphrases: fixed, since every process of an installation must come to the same key.
_SALT = b"campaign-event-gateway"


class Vault:
    """Seals with its first key, opens with any of them."""

    def __init__(self, keys: list[bytes]) -> None:
        assert keys, "a vault has at least one key"
        self._ciphers = {_name_of(key): AESGCM(key) for key in keys}
        self._first = _name_of(keys[0])

    def seal(self, text: str, purpose: str) -> str:
        """The text encrypted, to be opened for the same purpose only."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._first].encrypt(nonce, text.encode(), purpose.encode())
        return f"{self._first}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, purpose: str) -> str:
        """What was sealed. SettingsError when no key of ours opens it: never garbage."""
        name, _, body = sealed.partition(":")
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise SettingsError(WRONG_KEY)
        try:
            data = base64.b64decode(body, validate=True)
            return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], purpose.encode()).decode()
        except (InvalidTag, ValueError):
            raise SettingsError(f"the secret of {purpose} in the store was altered: set it again") from None

    def is_current(self, sealed: str) -> bool:
        """Whether it is sealed with the first key."""
        return sealed.startswith(f"{self._first}:")


def parse_keys(text: str) -> list[bytes]:
    """The keys of a comma list: 32 bytes in hex or base64 each, or a passphrase of 32 characters or more."""
    return [_parse_key(part.strip()) for part in text.split(",")]


def read_key_file(path: Path) -> list[bytes]:
    """The key kept beside a SQLite store; empty where there is none."""
    try:
        return parse_keys(path.read_text().strip())
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the key file {path} cannot be read: {error}") from None


def make_key_file(path: Path) -> bytes:
    """A new random key in a file that only its owner can read, on the disk before anything is sealed with it."""
    key = os.urandom(_KEY_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, key.hex().encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SettingsError(f"the key file {path} cannot be written: {error.strerror or error}") from None
    return key


def _parse_key(part: str) -> bytes:
    if len(part) == 2 * _KEY_BYTES:
        try:
            return bytes.fromhex(part)
        except ValueError:
            pass
    try:
        key = base64.b64decode(part.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=") + "=", validate=True)
        if len(key) == _KEY_BYTES:
            return key
    except (ValueError, binascii.Error):
        pass
    if len(part) < PASSPHRASE_CHARACTERS_MIN:
        raise SettingsError(
            "CAMPAIGN_SECRET_KEY is a comma list of 32-byte keys in hex or base64, or of passphrases of "
            f"{PASSPHRASE_CHARACTERS_MIN} characters or more"
        )
    return hashlib.scrypt(part.encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=_KEY_BYTES)


def _name_of(key: bytes) -> str:
    """Tells keys apart without telling anything about them."""
    return hashlib.sha256(b"name of key:" + key).hexdigest()[:12]
