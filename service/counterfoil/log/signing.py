"""The signing keys of the logs: one Ed25519 key a log, in a file of its own.

The file holds one line, the private form of a note key as `golang.org/x/mod/sumdb/note` writes it, so that other
tools of the transparency world can load it:

    PRIVATE+KEY+<name>+<8 hex digits of the key id>+<base64 of 0x01 || 32-byte seed>

The rule: a key is created once and never replaced in place. The file is named by the SHA-256 of the origin, has mode
0600 and is refused when anybody else may read it. The name in the line is the origin (C2SP tlog-checkpoint: the key
name equals the origin), so a file put in another log's place is refused too. No error shows what a file holds.
"""

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from counterfoil.core.encoding import decode_base64, encode_base64
from counterfoil.core.errors import EvidenceError, Fault
from counterfoil.core.note import NoteSigner
from counterfoil.log.heads import file_name_of

SEED_BYTES = 32
MAX_KEY_FILE_BYTES = 4096

_PREFIX = "PRIVATE+KEY+"
_ED25519 = b"\x01"


def create_signer(keys_dir: Path | str, origin: str, random_bytes: Callable[[int], bytes] = os.urandom) -> NoteSigner:
    """Create the key of a log and return its signer; a Fault where the log already has one."""
    seed = random_bytes(SEED_BYTES)
    signer = NoteSigner.from_seed(origin, seed)
    key_id = signer.verifier_key.key_id.hex()
    line = f"{_PREFIX}{origin}+{key_id}+{encode_base64(_ED25519 + seed)}\n"
    path = key_path(keys_dir, origin)
    staged = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        # A hard link, not a rename: it fails where the name is taken, so no key is ever overwritten.
        os.link(staged, path)
    except FileExistsError as error:
        raise Fault(f"the log {origin} already has a key") from error
    finally:
        staged.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return signer


def load_signer(keys_dir: Path | str, origin: str) -> NoteSigner:
    """Return the signer of a log; a Fault that says what is wrong where its key file cannot be used."""
    path = key_path(keys_dir, origin)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_KEY_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise Fault(f"the log {origin} has no key: {path.name} is missing from the key directory") from error
    if stat.S_IMODE(mode) & 0o077:
        raise Fault(f"the key file {path.name} may be read by others: set its mode to 0600")
    return _parse_key(data, origin, path.name)


def key_path(keys_dir: Path | str, origin: str) -> Path:
    """Return where the key of a log is filed."""
    return Path(keys_dir) / file_name_of(origin)


def _parse_key(data: bytes, origin: str, file_name: str) -> NoteSigner:
    broken = Fault(f"the key file {file_name} is not the private note key of {origin}")
    try:
        line = data.decode("ascii")
    except UnicodeDecodeError:
        raise broken from None
    start = f"{_PREFIX}{origin}+"
    if len(data) > MAX_KEY_FILE_BYTES or not line.startswith(start) or not line.endswith("\n"):
        raise broken
    key_id, _, encoded = line[len(start) : -1].partition("+")
    try:
        key = decode_base64(encoded)
    except EvidenceError:
        raise broken from None
    if len(key) != len(_ED25519) + SEED_BYTES or key[:1] != _ED25519:
        raise broken
    signer = NoteSigner.from_seed(origin, key[1:])
    if signer.verifier_key.key_id.hex() != key_id:
        raise broken
    return signer
