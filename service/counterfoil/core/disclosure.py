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
from binascii import a2b_base64
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
MAX_VALUE_DEPTH = 160
"""A value of OpenTelemetry may be nested 32 deep (RECORD 9), and each level is up to four of JSON."""
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
    """The disclosure of its base64url form: an array of three, no key twice, at most MAX_VALUE_DEPTH deep."""
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


MAX_KNOWN_BYTES = 1_024
MAX_KNOWN = 1_024
"""How long, and how many, are the values that a reader remembers having read: a megabyte at most."""

_SALT_CHARS = 36
"""What ``["``, 18 bytes of salt and ``"`` come to in base64url: 27 bytes, so what follows stands on its own."""

_usual_start = re.compile(rb'\["[A-Za-z0-9_-]{24}"').fullmatch
_TO_STANDARD = bytes.maketrans(b"-_+/", b"+/!!")
_PADDING = (b"", b"", b"==", b"=")
_LAST_CHARS = {2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}
"""What can end two and three characters of base64url: those that leave no bit over."""


class DisclosureReader:
    """Reads the names of many disclosures, as strictly as `parse_disclosure` and at a third of its cost.

    - That base64url is in its one spelling is told by its alphabet and its last character, not by printing it again.
    - That no key is there twice is told from the members of each object as the scanner meets them; values are let go.
    - A short value that was read before, a resource say, is not read again: what follows a salt of 18 bytes stands on
      its own in base64.
    - Whatever is not of the usual form goes to `parse_disclosure`, which has the last word.

    Not to be shared between threads.
    """

    def __init__(self) -> None:
        self._objects: list[list[tuple[str, Any]]] = []
        self._read_value = json.JSONDecoder(
            object_pairs_hook=self._objects.append, parse_constant=_refuse_constant
        ).raw_decode
        self._known: dict[bytes, str] = {}

    def read(self, encoded: bytes) -> tuple[str, Any]:
        """The name of a disclosure, and its value where that is an object with the one key ``blob`` (else None)."""
        rest = encoded[_SALT_CHARS:] if len(encoded) <= MAX_KNOWN_BYTES and _starts_usually(encoded) else b""
        name = self._known.get(rest)
        if name is not None:
            return name, None
        name = self._read_usual(encoded) if len(encoded) <= MAX_DISCLOSURE_BYTES else None
        if name is None:
            found = parse_disclosure(encoded.decode("ascii", "replace"))
            is_blob = isinstance(found.value, dict) and found.value.keys() == {"blob"}
            return found.name, found.value if is_blob else None
        if rest:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[rest] = name
        return name, None

    def _read_usual(self, encoded: bytes) -> str | None:
        """The name, where the form is the usual one and the value surely no reference to a blob."""
        objects = self._objects
        try:
            text = _decode_usual(encoded).decode()
            parts, end = self._read_value(text)
            for members in objects:
                if len(members) > 1 and len(dict(members)) != len(members):
                    return None
            # The outermost object comes last; the scanner leaves None in its place.
            is_plain = not objects or not objects[-1] or objects[-1][0][0] != "blob"
        except (ValueError, RecursionError):
            return None
        finally:
            objects.clear()
        if end != len(text) or type(parts) is not list or len(parts) != 3:
            return None
        salt, name, _ = parts
        if type(salt) is not str or type(name) is not str or not name or _USUAL_SALT.fullmatch(salt) is None:
            return None
        is_flat = text.count("[") + text.count("{") <= MAX_VALUE_DEPTH
        return name if is_plain and is_flat else None


def _starts_usually(encoded: bytes) -> bool:
    """Whether a disclosure begins with a salt of 18 bytes, spelled in the one way."""
    try:
        return _usual_start(_decode_usual(encoded[:_SALT_CHARS])) is not None
    except ValueError:
        return False


def _decode_usual(encoded: bytes) -> bytes:
    """The bytes of base64url in its one spelling; ValueError for anything else."""
    over = len(encoded) & 3
    if over and encoded[-1] not in _LAST_CHARS.get(over, ()):
        raise ValueError("bits are left over")
    # What is not of the alphabet becomes what no base64 has.
    return a2b_base64(encoded.translate(_TO_STANDARD) + _PADDING[over], strict_mode=True)


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
