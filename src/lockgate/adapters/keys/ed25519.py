"""Ed25519 by the `cryptography` library."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


class Ed25519Signer:
    """`Signer`."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @property
    def key(self) -> bytes:
        return self._private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes, the same for the same message."""
        return self._private.sign(message)

    @classmethod
    def make(cls) -> Ed25519Signer:
        """A new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def of_pem(cls, pem: bytes) -> Ed25519Signer:
        """The key that a PEM file (PKCS #8, not encrypted) holds. Raises ValueError for anything else."""
        try:
            private = load_pem_private_key(pem, password=None)
        except TypeError:
            raise ValueError("it is encrypted") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError("it is no Ed25519 key")
        return cls(private)

    def pem(self) -> bytes:
        """The private key as `of_pem` reads it. Never to be printed."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def check(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the key (32 bytes) made that signature of the message."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
