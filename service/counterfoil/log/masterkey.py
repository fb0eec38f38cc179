"""The master key: one file of 32 random bytes, from which every other secret of the keystore is derived or wrapped.

    counterfoil-master-key-v1 <base64 of 32 bytes>

Derived with HKDF-SHA-256 (RFC 5869), one key for each purpose and log, so that no key serves two ends:

    info = "counterfoil/keystore/v1\\n" purpose "\\n" log_id

The file has mode 0600 and is refused when others may read it. Whoever has it and the keystore can read content; neither
alone is enough.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from counterfoil.core.encoding import decode_base64, encode_base64
from counterfoil.core.errors import EvidenceError, Fault

KEY_BYTES = 32
FILE_NAME = "master.key"
_MAX_FILE_BYTES = 256
_HEADER = "counterfoil-master-key-v1 "


def create_master_key(keys_dir: Path | str, random_bytes: Callable[[int], bytes] = os.urandom) -> bytes:
    """Create the file and return the key; a Fault where there is one already."""
    path = Path(keys_dir) / FILE_NAME
    key = random_bytes(KEY_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Fault(f"{path} exists already") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(f"{_HEADER}{encode_base64(key)}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    return key


def load_master_key(keys_dir: Path | str) -> bytes:
    """Return the key; a Fault that says what is wrong with the file, never what is in it."""
    path = Path(keys_dir) / FILE_NAME
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise Fault(f"{path} is missing: without it no content can be read or sealed; restore it") from None
    if stat.S_IMODE(mode) & 0o077:
        raise Fault(f"{path} may be read by others: set its mode to 0600")
    broken = Fault(f"{path} is not a master key file")
    try:
        line = data.decode("ascii")
        if not line.startswith(_HEADER) or not line.endswith("\n"):
            raise broken
        key = decode_base64(line[len(_HEADER) : -1])
    except (UnicodeDecodeError, EvidenceError):
        raise broken from None
    if len(key) != KEY_BYTES:
        raise broken
    return key


def derive(master_key: bytes, purpose: str, log_id: int) -> bytes:
    """The 32-byte key for one purpose and log."""
    info = f"counterfoil/keystore/v1\n{purpose}\n{log_id}".encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(master_key)
