"""C2SP tlog-cosignature: what a witness signs, as messages and raw signatures (`note` gives them names and lines).

Both kinds say "as of `time` (POSIX seconds) this is the largest consistent tree of this origin that I have seen". The
bytes after the key id on a signature line are a uint64 big-endian time, then the signature.

- Ed25519, type 0x04, 8 + 64 bytes, over ``cosignature/v1\\ntime <time>\\n`` and the whole note text.
- ML-DSA-44, type 0x06, 8 + 2,420 bytes, over ``subtree/v1\\n\\0``, the cosigner's name and the log's origin (each with
  a length byte before it; the time stands between them), uint64 start 0 and end = tree size, and the 32-byte root.

Check: ``note_signature``.
"""

import importlib
from types import ModuleType
from typing import Protocol, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from counterfoil.core.errors import EvidenceError, InputError, UnsupportedError
from counterfoil.core.merkle import check_hash

MAX_COSIGNATURE_TIME = 2**63 - 1
ED25519_COSIGNATURE_BYTES = 8 + 64
MLDSA44_PUBLIC_BYTES = 1_312
MLDSA44_COSIGNATURE_BYTES = 8 + 2_420


class _MlDsaKey(Protocol):
    def verify(self, signature: bytes, data: bytes) -> None: ...


def ed25519_message(text: str, timestamp: int) -> bytes:
    """What an Ed25519 witness signs at `timestamp` (seconds) for a checkpoint's note text."""
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


def mldsa44_message(cosigner: str, timestamp: int, origin: str, size: int, root: bytes) -> bytes:
    """What an ML-DSA-44 witness called `cosigner` signs at `timestamp` (seconds) for a checkpoint."""
    check_hash(root)
    name, log = cosigner.encode(), origin.encode()
    if not 1 <= len(name) <= 255 or not 1 <= len(log) <= 255:
        raise EvidenceError("note_signature", "an ML-DSA-44 cosignature needs names of 1 to 255 bytes")
    return b"".join(
        (
            b"subtree/v1\n\x00",
            bytes((len(name),)) + name,
            timestamp.to_bytes(8, "big"),
            bytes((len(log),)) + log,
            (0).to_bytes(8, "big") + size.to_bytes(8, "big"),
            root,
        )
    )


def cosign(private: Ed25519PrivateKey, text: str, timestamp: int) -> bytes:
    """The time and Ed25519 signature (72 bytes) of a witness over a checkpoint's note text."""
    if not 0 <= timestamp <= MAX_COSIGNATURE_TIME:
        raise InputError("time_out_of_range", "a cosignature's time is 0 to 2^63-1 seconds")
    return timestamp.to_bytes(8, "big") + private.sign(ed25519_message(text, timestamp))


def timestamp_of(blob: bytes, length: int) -> int:
    """The time (seconds) of a cosignature that must have `length` bytes."""
    timestamp = int.from_bytes(blob[:8], "big")
    if len(blob) != length or timestamp > MAX_COSIGNATURE_TIME:
        raise EvidenceError("note_signature", f"a cosignature has {length} bytes and a time below 2^63")
    return timestamp


def check_ed25519_cosignature(public: bytes, text: str, blob: bytes) -> int:
    """The time (seconds) of a valid Ed25519 cosignature over a note text."""
    timestamp = timestamp_of(blob, ED25519_COSIGNATURE_BYTES)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(blob[8:], ed25519_message(text, timestamp))
    except (InvalidSignature, ValueError):
        raise EvidenceError("note_signature", "an Ed25519 cosignature does not verify") from None
    return timestamp


def load_mldsa(module: str = "cryptography.hazmat.primitives.asymmetric.mldsa") -> ModuleType:
    """The ML-DSA part of `cryptography`, which older releases do not have."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UnsupportedError("this installation of cryptography has no ML-DSA-44") from None


def check_mldsa44_cosignature(public: bytes, message: bytes, blob: bytes) -> None:
    """`blob` holds a valid ML-DSA-44 signature over `message` (`mldsa44_message` at the blob's time)."""
    module = load_mldsa()
    try:
        key = cast(_MlDsaKey, module.MLDSA44PublicKey.from_public_bytes(public))
        key.verify(blob[8:], message)
    except (InvalidSignature, ValueError):
        raise EvidenceError("note_signature", "an ML-DSA-44 cosignature does not verify") from None
