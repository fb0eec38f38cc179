"""Keys wrapped by keys, as the keystore keeps them.

wrapped = nonce (12) || AES-256-GCM(wrapping key, key, associated data that names what the key is)
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from counterfoil.core.errors import Fault
from counterfoil.store.columns import as_bytes

NONCE_BYTES = 12


def wrap(cipher: AESGCM, key: bytes, aad: bytes, nonce: bytes) -> bytes:
    """`key` wrapped; the nonce is 12 fresh random bytes."""
    return nonce + cipher.encrypt(nonce, key, aad)


def unwrap(cipher: AESGCM, wrapped: bytes, aad: bytes) -> bytes:
    """The key inside; a Fault where it was wrapped by another master key, or changed."""
    data = as_bytes(wrapped) or b""
    try:
        return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], aad)
    except (InvalidTag, ValueError):
        raise Fault("a key in the keystore does not open with this master key: restore the keystore") from None
