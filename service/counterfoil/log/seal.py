"""Sealing: all disclosures of a record, compressed and encrypted together (RECORD 4).

    sealed    = nonce (12) || AES-256-GCM(key, plaintext, AAD)
    plaintext = format (1 byte) || body
                format 1: body as it is   2: zstd   3: zstd with dictionary 1 of this package
    body      = for each disclosure: its size (4 bytes, big-endian) || its JSON bytes, in the leaf's field order
    AAD       = "counterfoil/content/v1\\n" origin "\\n" base64(SHA-256(JCS of the leaf's `content` object)) "\\n"

The salts make the digests, and so the AAD, unique to the record: sealed content cannot be moved to another record or
log, and sealing needs no `seq`, so it happens outside the lock.

A part of a large value is sealed under the same key, its place bound:

    AAD       = "counterfoil/blob/v1\\n" origin "\\n" base64(sha256 of the reference) "\\n" part "/" parts "\\n"

`unseal` and `unseal_part` raise EvidenceError("sealed_content") for anything that is not exactly what was sealed there.
"""

from __future__ import annotations

import threading
from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import orjson
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from counterfoil.core.encoding import encode_base64
from counterfoil.core.errors import EvidenceError

NONCE_BYTES = 12
LEVEL = 1
BLOB_PART_BYTES = 1_048_576
"""A blob is sealed in parts of this many bytes."""

MAX_BODY_BYTES = 128 * 1024 * 1024
"""More than a whole request may hold after decompression: what claims to be larger is not ours."""

_STORED, _ZSTD, _DICTIONARY_1 = b"\x01", b"\x02", b"\x03"
_DICTIONARY_1_FILE = "seal_dictionary_1.zdict"
_SIZE_BYTES = 4


class _Compressors(threading.local):
    """zstd contexts may not be shared between threads, and are dear to make."""

    def __init__(self) -> None:
        dictionary = _dictionary()
        # The frame names the size of its content, so a reader knows the limit before it decompresses.
        self.plain = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False)
        self.with_dictionary = zstandard.ZstdCompressor(
            level=LEVEL, dict_data=dictionary, write_checksum=False, write_dict_id=False
        )
        self.open_plain = zstandard.ZstdDecompressor(max_window_size=MAX_BODY_BYTES)
        self.open_with_dictionary = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=MAX_BODY_BYTES)


@cache
def _dictionary() -> zstandard.ZstdCompressionDict:
    data = files("counterfoil.log").joinpath(_DICTIONARY_1_FILE).read_bytes()
    dictionary = zstandard.ZstdCompressionDict(data)
    dictionary.precompute_compress(level=LEVEL)
    return dictionary


_compressors = _Compressors()


def content_aad(origin: str, content: dict[str, str]) -> bytes:
    """The associated data of a record's content; `content` is the object of that name in the leaf."""
    return printed_aad(origin, orjson.dumps(content, option=orjson.OPT_SORT_KEYS))


def printed_aad(origin: str, content: bytes) -> bytes:
    """The same of an object that is printed already (RFC 8785)."""
    return b"counterfoil/content/v1\n%b\n%b" % (origin.encode(), b2a_base64(sha256(content).digest()))


def blob_aad(origin: str, blob_sha256: bytes, part: int, parts: int) -> bytes:
    """The associated data of one part of a blob."""
    name = encode_base64(blob_sha256).encode()
    return b"counterfoil/blob/v1\n%b\n%b\n%d/%d\n" % (origin.encode(), name, part, parts)


def body_of(disclosures: Sequence[bytes]) -> bytes:
    """The JSON bytes of all disclosures of a record, each after its size."""
    pieces: list[bytes] = []
    for disclosure in disclosures:
        pieces.append(len(disclosure).to_bytes(_SIZE_BYTES, "big"))
        pieces.append(disclosure)
    return b"".join(pieces)


def seal_body(cipher: AESGCM, nonce: bytes, aad: bytes, body: bytes) -> bytes:
    """Seal the body of a record. The nonce is 12 fresh random bytes."""
    return nonce + cipher.encrypt(nonce, _compress(body), aad)


def seal(cipher: AESGCM, nonce: bytes, aad: bytes, disclosures: Sequence[bytes]) -> bytes:
    """`seal_body` of disclosures."""
    return seal_body(cipher, nonce, aad, body_of(disclosures))


def unseal(key: bytes, origin: str, content: dict[str, Any], sealed: bytes) -> list[bytes]:
    """The JSON bytes of the disclosures in `sealed`."""
    body = _open(key, content_aad(origin, content), sealed)
    disclosures = []
    at = 0
    while at < len(body):
        start = at + _SIZE_BYTES
        at = start + int.from_bytes(body[at:start], "big")
        if at > len(body):
            raise EvidenceError("sealed_content", "a disclosure is cut off")
        disclosures.append(body[start:at])
    return disclosures


def seal_parts(cipher: AESGCM, nonces: Iterable[bytes], origin: str, blob_sha256: bytes, data: bytes) -> list[bytes]:
    """Seal a large value in parts of at most 1 MiB; one nonce for each."""
    parts = part_count(len(data))
    return [
        nonce
        + cipher.encrypt(
            nonce,
            _compress(data[part * BLOB_PART_BYTES : (part + 1) * BLOB_PART_BYTES]),
            blob_aad(origin, blob_sha256, part, parts),
        )
        for part, nonce in zip(range(parts), nonces, strict=True)
    ]


def unseal_part(key: bytes, origin: str, blob_sha256: bytes, part: int, parts: int, sealed: bytes) -> bytes:
    """The bytes of one part."""
    return _open(key, blob_aad(origin, blob_sha256, part, parts), sealed)


def part_count(size: int) -> int:
    """How many parts a value of `size` bytes has."""
    return max(1, -(-size // BLOB_PART_BYTES))


def _compress(body: bytes) -> bytes:
    small = _DICTIONARY_1 + _compressors.with_dictionary.compress(body)
    return small if len(small) <= len(body) else _STORED + body


def _open(key: bytes, aad: bytes, sealed: bytes) -> bytes:
    try:
        plain = AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad)
    except (InvalidTag, ValueError):
        raise EvidenceError("sealed_content", "does not open with its key: changed, swapped or moved") from None
    form, body = plain[:1], plain[1:]
    if form == _STORED:
        return body
    if form not in (_ZSTD, _DICTIONARY_1):
        raise EvidenceError("sealed_content", f"has the unknown format {form.hex()}")
    opener = _compressors.open_plain if form == _ZSTD else _compressors.open_with_dictionary
    try:
        if zstandard.frame_content_size(body) > MAX_BODY_BYTES:
            raise EvidenceError("sealed_content", f"is over {MAX_BODY_BYTES} bytes")
        return opener.decompress(body)
    except zstandard.ZstdError:
        raise EvidenceError("sealed_content", "does not decompress") from None
