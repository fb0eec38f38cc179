"""C2SP signed-note: a text, a blank line, and lines with signatures over the text.

    This is an example message.

    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=

- UTF-8, no ASCII control character but newline. The text ends in a newline and may hold blank lines: it is cut from
  the signatures at the last ``\\n\\n``. A line: em dash (U+2014), space, key name, space, base64(key id || signature).
- A key name is not empty and has no Unicode space and no ``+``.
- A key id is the first 4 bytes of SHA-256(name || 0x0A || type || public key); of ECDSA (type 0x02) SHA-256(SPKI);
  of type 0x05 SHA-256(name || 0x0A || 0x05 || SHA-256(SPKI)). It is always computed again, never believed.
- A verifier key (vkey) is ``<name>+<8 hex digits of key id>+<base64(type || public key)>``.
- Opening: a signature whose name and id are not both of a known key is ignored; one of a known key must verify, or
  the whole note is rejected; without any verified signature the note is rejected.

We verify types 0x01 (Ed25519 over the text), 0x04 and 0x06 (cosignatures, see `cosignature`); other vkeys are parsed
but open nothing. Checks: ``note_malformed``, ``note_unsigned``, ``note_signature``, ``vkey``.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from counterfoil.core import cosignature
from counterfoil.core.encoding import decode_base64, decode_hex, encode_base64, parse_decimal
from counterfoil.core.errors import EvidenceError, InputError, UnsupportedError

ED25519 = 0x01
ECDSA = 0x02
ED25519_COSIGNATURE = 0x04
RFC6962_TREE_HEAD = 0x05
MLDSA44_COSIGNATURE = 0x06

MAX_NOTE_BYTES = 1_048_576
MAX_SIGNATURES = 100
MAX_KEY_NAME_BYTES = 1_024

_ED25519_BYTES = 32
_PUBLIC_BYTES = {
    ED25519: _ED25519_BYTES,
    ED25519_COSIGNATURE: _ED25519_BYTES,
    MLDSA44_COSIGNATURE: cosignature.MLDSA44_PUBLIC_BYTES,
}
_KEY_TYPES = frozenset((*_PUBLIC_BYTES, ECDSA, RFC6962_TREE_HEAD))


def is_key_name(name: str) -> bool:
    """Whether `name` may name a key: not empty, no Unicode space, no plus, no control character, UTF-8."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= MAX_KEY_NAME_BYTES and not any(ch.isspace() or ch == "+" or ch < " " for ch in name)


def compute_key_id(name: str, algorithm: int, public: bytes) -> bytes:
    """The 4 bytes that, with the name, identify a key."""
    if algorithm == ECDSA:
        return hashlib.sha256(public).digest()[:4]
    if algorithm == RFC6962_TREE_HEAD:
        public = hashlib.sha256(public).digest()
    return hashlib.sha256(name.encode() + b"\n" + bytes((algorithm,)) + public).digest()[:4]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name and id under which it signs notes; `algorithm` is the C2SP type byte."""

    name: str
    key_id: bytes
    algorithm: int
    public: bytes


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line; `blob` is what follows the key id. `timestamp` (seconds) where it is known to be there."""

    name: str
    key_id: bytes
    blob: bytes
    timestamp: int | None = None

    def line(self) -> str:
        """The line as it stands in a note, with its newline."""
        return f"— {self.name} {encode_base64(self.key_id + self.blob)}\n"


@dataclass(frozen=True, slots=True)
class VerifiedSignature:
    """A known key that signed; `timestamp` in seconds for cosignatures."""

    key: VerifierKey
    timestamp: int | None


@dataclass(frozen=True, slots=True)
class Note:
    """An opened note: its text, the keys that verified (each once) and how many lines nobody knows."""

    text: str
    verified: tuple[VerifiedSignature, ...]
    unknown: int

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """The keys that verified."""
        return tuple(signature.key for signature in self.verified)


class Signer(Protocol):
    """Whatever signs a note's text."""

    def sign(self, text: str) -> Signature: ...


def make_key(name: str, algorithm: int, public: bytes) -> VerifierKey:
    """A verifier key with its id computed."""
    if not is_key_name(name):
        raise EvidenceError("vkey", "a key name is not empty and has no space, plus or control character")
    if algorithm not in _KEY_TYPES:
        raise EvidenceError("vkey", f"unknown key type 0x{algorithm:02x}")
    if len(public) != _PUBLIC_BYTES.get(algorithm, len(public)) or not public:
        raise EvidenceError("vkey", f"a public key of type 0x{algorithm:02x} cannot have {len(public)} bytes")
    return VerifierKey(name, compute_key_id(name, algorithm, public), algorithm, public)


def parse_vkey(text: str) -> VerifierKey:
    """The key of a vkey string, whose declared id must be the computed one."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise EvidenceError("vkey", "not of the form name+id+key")
    name, key_id, key = parts
    try:
        declared, data = decode_hex(key_id, 4), decode_base64(key)
    except EvidenceError as error:
        raise EvidenceError("vkey", error.message) from None
    found = make_key(name, data[0] if data else 0, data[1:])
    if found.key_id != declared:
        raise EvidenceError("vkey", f"declares id {key_id}, but its key has id {found.key_id.hex()}")
    return found


def format_vkey(key: VerifierKey) -> str:
    """``<name>+<id>+<base64(type || public key)>``."""
    return f"{key.name}+{key.key_id.hex()}+{encode_base64(bytes((key.algorithm,)) + key.public)}"


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """Signs texts with Ed25519 (type 0x01) under a name."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)
    verifier_key: VerifierKey = field(init=False)

    def __post_init__(self) -> None:
        public = self.private.public_key().public_bytes_raw()
        object.__setattr__(self, "verifier_key", make_key(self.name, ED25519, public))

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> "NoteSigner":
        """The signer whose private key is this 32-byte seed (RFC 8032)."""
        return cls(name, private_key_of(seed))

    @property
    def vkey(self) -> str:
        """The public side, to be handed to verifiers."""
        return format_vkey(self.verifier_key)

    def sign(self, text: str) -> Signature:
        """The signature over a note's text."""
        return Signature(self.name, self.verifier_key.key_id, self.private.sign(text.encode()))


@dataclass(frozen=True, slots=True)
class Cosigner:
    """Cosigns checkpoints with Ed25519 (type 0x04) under a name, at a time."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)
    verifier_key: VerifierKey = field(init=False)

    def __post_init__(self) -> None:
        public = self.private.public_key().public_bytes_raw()
        object.__setattr__(self, "verifier_key", make_key(self.name, ED25519_COSIGNATURE, public))

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> "Cosigner":
        """The cosigner whose private key is this 32-byte seed (RFC 8032)."""
        return cls(name, private_key_of(seed))

    @property
    def vkey(self) -> str:
        """The public side, to be handed to verifiers."""
        return format_vkey(self.verifier_key)

    def sign(self, text: str, timestamp: int) -> Signature:
        """The cosignature over a checkpoint's text at `timestamp` (POSIX seconds)."""
        blob = cosignature.cosign(self.private, text, timestamp)
        return Signature(self.name, self.verifier_key.key_id, blob, timestamp)


def private_key_of(seed: bytes) -> Ed25519PrivateKey:
    """The Ed25519 private key of a 32-byte seed."""
    if len(seed) != _ED25519_BYTES:
        raise InputError("bad_key", f"an Ed25519 seed has {_ED25519_BYTES} bytes")
    return Ed25519PrivateKey.from_private_bytes(seed)


def _is_clean(text: str) -> bool:
    return not any(ch < " " and ch != "\n" for ch in text)


def format_note(text: str, signatures: Iterable[Signature]) -> bytes:
    """The note of a text and its signatures (at least one)."""
    lines = "".join(signature.line() for signature in signatures)
    if not text.endswith("\n") or not lines or not _is_clean(text):
        raise InputError("bad_note", "a note's text ends in a newline, has no control characters and is signed")
    return f"{text}\n{lines}".encode()


def sign(text: str, signers: Iterable[Signer]) -> bytes:
    """The note of a text, signed by each signer."""
    if not text.endswith("\n") or not _is_clean(text):
        raise InputError("bad_note", "a note's text ends in a newline and has no control characters")
    return format_note(text, [signer.sign(text) for signer in signers])


def _malformed(message: str) -> EvidenceError:
    return EvidenceError("note_malformed", message)


def _parse_line(line: str) -> Signature:
    name, _, data = line.removeprefix("— ").partition(" ")
    if not line.startswith("— ") or not is_key_name(name):
        raise _malformed("a line after the text is no signature")
    try:
        blob = decode_base64(data)
    except EvidenceError as error:
        raise _malformed(f"a signature is {error.message}") from None
    if len(blob) < 5:
        raise _malformed("a signature is too short to hold a key id and anything more")
    return Signature(name, blob[:4], blob[4:])


def parse_note(note: bytes) -> tuple[str, list[Signature]]:
    """The text and the signature lines, verifying none."""
    if len(note) > MAX_NOTE_BYTES:
        raise _malformed(f"{len(note)} bytes are over the limit of {MAX_NOTE_BYTES}")
    try:
        content = note.decode()
    except UnicodeDecodeError:
        raise _malformed("not UTF-8") from None
    if not _is_clean(content):
        raise _malformed("has a control character")
    # SPEC: signed-note - the text is separated from the signatures by the last empty line.
    text, separator, block = content.rpartition("\n\n")
    if not separator or not block.endswith("\n"):
        raise _malformed("no blank line and signature lines after the text")
    lines = block[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise _malformed(f"{len(lines)} signatures are over the limit of {MAX_SIGNATURES}")
    return text + "\n", [_parse_line(line) for line in lines]


def _verify(key: VerifierKey, text: str, blob: bytes) -> int | None:
    """The timestamp (cosignatures) or None of a signature that verifies."""
    if key.algorithm == ED25519:
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(blob, text.encode())
        except (InvalidSignature, ValueError):
            raise EvidenceError("note_signature", f"the signature of {key.name} does not verify") from None
        return None
    if key.algorithm == ED25519_COSIGNATURE:
        return cosignature.check_ed25519_cosignature(key.public, text, blob)
    if key.algorithm == MLDSA44_COSIGNATURE:
        return _verify_mldsa44(key, text, blob)
    raise UnsupportedError(f"signatures of type 0x{key.algorithm:02x} ({key.name}) are not supported")


def _verify_mldsa44(key: VerifierKey, text: str, blob: bytes) -> int:
    timestamp = cosignature.timestamp_of(blob, cosignature.MLDSA44_COSIGNATURE_BYTES)
    origin, *rest = text.split("\n")
    if len(rest) < 3:
        raise EvidenceError("note_signature", f"{key.name} cosigned a text that is no checkpoint")
    try:
        size, root = parse_decimal(rest[0]), decode_base64(rest[1])
    except EvidenceError:
        raise EvidenceError("note_signature", f"{key.name} cosigned a text that is no checkpoint") from None
    message = cosignature.mldsa44_message(key.name, timestamp, origin, size, root)
    cosignature.check_mldsa44_cosignature(key.public, message, blob)
    return timestamp


def open_note(note: bytes, keys: Sequence[VerifierKey]) -> Note:
    """The note, if at least one of `keys` signed it and no signature of theirs is bad."""
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        identity = (key.name, key.key_id)
        if identity in known:
            raise InputError("ambiguous_key", f"two keys have the name {key.name} and the id {key.key_id.hex()}")
        known[identity] = key
    text, signatures = parse_note(note)
    verified: dict[tuple[str, bytes], VerifiedSignature] = {}
    unknown: set[Signature] = set()
    for signature in signatures:
        identity = (signature.name, signature.key_id)
        if identity in known:
            # SPEC: signed-note - a signature of a known key MUST be verified, and a bad one rejects the whole note.
            timestamp = _verify(known[identity], text, signature.blob)
            verified.setdefault(identity, VerifiedSignature(known[identity], timestamp))
        else:
            unknown.add(signature)
    if not verified:
        raise EvidenceError("note_unsigned", "no known key signed this note")
    return Note(text, tuple(verified.values()), len(unknown))
