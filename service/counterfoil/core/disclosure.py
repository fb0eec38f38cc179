"""RFC 9901 disclosures: how a leaf commits to one field of content (RECORD 4).

- A disclosure is the JSON array ``[salt, name, value]``; the salt is base64url of at least 16 random bytes, fresh for
  each field. These exact bytes are kept, so nothing is ever canonicalised.
- encoded = base64url(JSON bytes); digest = base64url(SHA-256(ASCII(encoded))), without padding. The leaf holds
  ``content: {name: digest}``, and the disclosed name must be that key.
- A value over the inline limit is ``{"blob": {"salt", "sha256", "size"}}``: `sha256` (base64) is SHA-256(salt bytes ||
  blob bytes), `salt` as above, `size` in bytes. No unsalted digest of content exists anywhere.

Values may be any JSON, floats too. Checks: ``disclosure``, ``blob``.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from counterfoil.core.encoding import (
    MAX_JSON_INTEGER,
    decode_base64,
    decode_base64url,
    encode_base64,
    encode_base64url,
)
from counterfoil.core.errors import EvidenceError, InputError

SALT_BYTES = 16
MAX_SALT_BYTES = 64
MAX_VALUE_DEPTH = 64
MAX_DISCLOSURE_BYTES = 64 * 1024 * 1024
"""A field never needs more than a whole decompressed request (RECORD 9); larger values are blobs anyway."""

_print = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One disclosed field: its salt (base64url), name and JSON value."""

    salt: str
    name: str
    value: Any


def new_salt(random: Callable[[int], bytes] = os.urandom) -> str:
    """base64url of 16 fresh random bytes."""
    return encode_base64url(random(SALT_BYTES))


def format_disclosure(salt: str, name: str, value: Any) -> bytes:
    """The JSON bytes of a disclosure; they are what is kept, sealed and hashed."""
    try:
        _check_salt(salt)
        return _print([salt, name, value]).encode()
    except (EvidenceError, ValueError, TypeError, RecursionError) as error:
        raise InputError("bad_content", f"field {name!r} cannot be disclosed as JSON", item=name) from error


def encode_disclosure(json_bytes: bytes) -> str:
    """base64url of the JSON bytes."""
    return encode_base64url(json_bytes)


def digest_of(encoded: str) -> str:
    """The digest that the leaf holds for an encoded disclosure."""
    return encode_base64url(hashlib.sha256(encoded.encode("ascii")).digest())


_USUAL_SALT = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]|[A-Za-z0-9_-]{24}")
"""The one spelling of 16 or of 18 bytes: what nearly every salt is, told without decoding it."""


def _check_salt(salt: object) -> None:
    if not isinstance(salt, str):
        raise EvidenceError("disclosure", "the salt is not a string")
    if _USUAL_SALT.fullmatch(salt) is not None:
        return
    try:
        data = decode_base64url(salt)
    except EvidenceError as error:
        raise EvidenceError("disclosure", f"the salt is {error.message}") from None
    if not SALT_BYTES <= len(data) <= MAX_SALT_BYTES:
        raise EvidenceError("disclosure", f"the salt has {len(data)} bytes, not {SALT_BYTES} to {MAX_SALT_BYTES}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _refuse_constant(literal: str) -> None:
    raise ValueError(literal)


_read = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant).decode


def _is_deeper(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        return depth == 0 or any(_is_deeper(child, depth - 1) for child in value.values())
    if isinstance(value, list):
        return depth == 0 or any(_is_deeper(child, depth - 1) for child in value)
    return False


def parse_disclosure(encoded: str) -> Disclosure:
    """The disclosure of its base64url form: an array of three, no key twice, at most 64 deep."""
    if len(encoded) > MAX_DISCLOSURE_BYTES:
        raise EvidenceError("disclosure", f"over the limit of {MAX_DISCLOSURE_BYTES} bytes")
    try:
        text = decode_base64url(encoded).decode()
        parts = _read(text)
    except EvidenceError as error:
        raise EvidenceError("disclosure", error.message) from None
    except (ValueError, RecursionError):
        raise EvidenceError("disclosure", "not JSON with each key once") from None
    if not isinstance(parts, list) or len(parts) != 3:
        raise EvidenceError("disclosure", "not an array of salt, name and value")
    salt, name, value = parts
    _check_salt(salt)
    if not isinstance(name, str) or not name:
        raise EvidenceError("disclosure", "the name is no text")
    # As many opening brackets as levels are needed to be too deep; most values have fewer, and are not walked.
    if text.count("[") + text.count("{") > MAX_VALUE_DEPTH and _is_deeper(value, MAX_VALUE_DEPTH):
        raise EvidenceError("disclosure", f"the value is nested deeper than {MAX_VALUE_DEPTH}")
    return Disclosure(salt, name, value)


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A large value by reference: SHA-256(salt || bytes), the salt's bytes, the blob's size in bytes."""

    sha256: bytes
    salt: bytes
    size: int

    @classmethod
    def of(cls, salt: bytes, chunks: Iterable[bytes]) -> "BlobRef":
        """The reference to the bytes in `chunks`."""
        digest, size = hashlib.sha256(salt), 0
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
        return cls(digest.digest(), salt, size)

    def format(self) -> dict[str, Any]:
        """The JSON value that stands in the disclosure."""
        parts = {"salt": encode_base64url(self.salt), "sha256": encode_base64(self.sha256), "size": self.size}
        return {"blob": parts}

    @classmethod
    def parse(cls, value: Any) -> "BlobRef":
        """The reference of a JSON value ``{"blob": {...}}``."""
        parts = value.get("blob") if isinstance(value, dict) and len(value) == 1 else None
        if not isinstance(parts, dict) or parts.keys() != {"salt", "sha256", "size"}:
            raise EvidenceError("blob", "not a reference with salt, sha256 and size")
        sha256, size = parts["sha256"], parts["size"]
        if not isinstance(sha256, str) or type(size) is not int or not 0 <= size <= MAX_JSON_INTEGER:
            raise EvidenceError("blob", "sha256 is base64 and size a number of bytes")
        try:
            _check_salt(parts["salt"])
            digest, salt = decode_base64(sha256), decode_base64url(parts["salt"])
        except EvidenceError as error:
            raise EvidenceError("blob", error.message) from None
        if len(digest) != hashlib.sha256().digest_size:
            raise EvidenceError("blob", f"sha256 has {len(digest)} bytes")
        return cls(digest, salt, size)


def check_blob(ref: BlobRef, chunks: Iterable[bytes]) -> None:
    """The bytes in `chunks` are those that the reference commits to."""
    found = BlobRef.of(ref.salt, chunks)
    if found.size != ref.size:
        raise EvidenceError("blob", f"has {found.size} bytes, not {ref.size}")
    if found.sha256 != ref.sha256:
        raise EvidenceError("blob", "its bytes do not match sha256")
