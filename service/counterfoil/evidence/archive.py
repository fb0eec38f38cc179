"""A ZIP writer for streams: every entry is compressed as it is made, and its header is written once and right.

`zipfile` writes one entry at a time, but a bundle's files grow side by side (leaves, disclosures, states, the flat
copies) while the log is read once. So each growing file is a `Spool`: deflated into an unnamed temporary file, with
SHA-256, CRC-32 and sizes counted, and copied into the archive when it is complete. What is written follows the subset
of APPNOTE 6.3.10 that docs/formats/bundle.md section 2 allows: no data descriptors, no gaps, no comments, Zip64 where
a number needs it. Memory: one buffer for each open spool and about 200 bytes for each entry.

Times in the archive are constant (1980-01-01): an archive says nothing by when it was made.
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from counterfoil.core.errors import Fault

DEFLATE_LEVEL = 1
"""Base64 hardly compresses further with more work; level 1 is four times as fast as the default."""

BUFFER_BYTES = 128 * 1024
COPY_BYTES = 1024 * 1024

MAX_RATIO = 100
"""A file over `RATIO_FREE_BYTES` that would shrink more than this is stored: verifiers refuse a ratio over 200."""

RATIO_FREE_BYTES = 1024 * 1024

_STORED, _DEFLATED = 0, 8
_VERSION, _VERSION_ZIP64 = 20, 45
_MADE_BY_UNIX = 3 << 8
_MODE = 0o100644 << 16
_DATE_1980_01_01 = 0x21
_MAX_32 = 0xFFFFFFFF
_MAX_16 = 0xFFFF


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the archive: its digest and size as a reader sees it, and where and how it is stored."""

    name: str
    sha256: str
    size: int
    stored_size: int
    crc: int
    method: int
    offset: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a growing file, compressed apart from what is before it: anybody may make it, in any process."""

    data: bytes
    deflated: bytes


def deflate_piece(data: bytes) -> Piece:
    """A piece that a spool takes as it is.

    It ends at a byte and refers to nothing outside it (RFC 1951 3.2.4: an empty stored block; zlib's Z_FULL_FLUSH).
    """
    deflate = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -15)
    return Piece(data, deflate.compress(data) + deflate.flush(zlib.Z_FULL_FLUSH) if data else b"")


@dataclass(frozen=True, slots=True)
class Packed:
    """A whole file as it goes into an archive."""

    sha256: str
    size: int
    crc: int
    method: int
    stored: bytes


def pack(data: bytes) -> Packed:
    """A file that is at hand, deflated where that makes it smaller."""
    deflate = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -15)
    small = deflate.compress(data) + deflate.flush()
    use = len(small) < len(data) and not (len(data) > RATIO_FREE_BYTES and len(data) > MAX_RATIO * len(small))
    digest = hashlib.sha256(data).hexdigest()
    return Packed(digest, len(data), zlib.crc32(data), _DEFLATED if use else _STORED, small if use else data)


class Spool:
    """A file of the archive that is still growing. Written only to an unnamed file, so a crash leaves nothing."""

    def __init__(self, name: str, directory: Path, *, compress: bool = True) -> None:
        self.name = name
        self.size = 0
        self.stored_size = 0
        self.crc = 0
        self.compressed = compress
        self._sha256 = hashlib.sha256()
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed by `close`
        self._deflate = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -15) if compress else None
        self._is_open = False
        """Whether the compressor remembers bytes that it wrote."""
        self._parts: list[bytes] = []
        self._pending = 0

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self._parts.append(data)
        self._pending += len(data)
        if self._pending >= BUFFER_BYTES:
            self._flush()

    def splice(self, piece: Piece) -> None:
        """Append a piece that was compressed elsewhere."""
        self._flush()
        self._count(piece.data)
        if self._deflate is None:
            self._keep(piece.data)
            return
        if self._is_open:
            # What comes later must not refer to what is before the piece: zlib would count the distance wrongly.
            self._keep(self._deflate.flush(zlib.Z_FULL_FLUSH))
            self._is_open = False
        self._keep(piece.deflated)

    def finish(self) -> str:
        """End the file; its SHA-256 in hex."""
        self._flush()
        if self._deflate is not None:
            self._keep(self._deflate.flush())
            self._deflate = None
        self._file.flush()
        return self._sha256.hexdigest()

    def stored_chunks(self) -> Iterable[bytes]:
        """The bytes as they go into the archive."""
        self._file.seek(0)
        while chunk := self._file.read(COPY_BYTES):
            yield chunk

    def chunks(self) -> Iterable[bytes]:
        """The bytes as they were written (of a finished spool)."""
        if not self.compressed:
            yield from self.stored_chunks()
            return
        inflate = zlib.decompressobj(-15)
        for chunk in self.stored_chunks():
            while chunk:
                yield inflate.decompress(chunk, COPY_BYTES)
                chunk = inflate.unconsumed_tail
        if not inflate.eof:
            raise Fault(f"the temporary file of {self.name} is damaged")

    @property
    def shrinks_too_much(self) -> bool:
        """Whether a verifier would take the compressed form for a bomb."""
        return self.compressed and self.size > RATIO_FREE_BYTES and self.size > MAX_RATIO * self.stored_size

    def close(self) -> None:
        """Give the temporary file back."""
        self._file.close()

    def _flush(self) -> None:
        data = b"".join(self._parts)
        self._parts, self._pending = [], 0
        self._count(data)
        self._is_open = self._is_open or bool(data)
        self._keep(data if self._deflate is None else self._deflate.compress(data))

    def _count(self, data: bytes) -> None:
        self._sha256.update(data)
        self.crc = zlib.crc32(data, self.crc)
        self.size += len(data)

    def _keep(self, data: bytes) -> None:
        self.stored_size += len(data)
        self._file.write(data)


class ArchiveWriter:
    """Writes entries one after the other to `out`, which need not be seekable."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._offset = 0
        self.entries: list[Entry] = []

    def add(self, name: str, data: bytes) -> Entry:
        """One file whose bytes are at hand."""
        return self.add_packed(name, pack(data))

    def add_packed(self, name: str, packed: Packed) -> Entry:
        """One file that is packed already."""
        entry = Entry(name, packed.sha256, packed.size, len(packed.stored), packed.crc, packed.method, self._offset)
        return self._append(entry, (packed.stored,))

    def add_spool(self, spool: Spool) -> Entry:
        """A finished spool; its temporary file is given back."""
        digest = spool.finish()
        try:
            as_is = not spool.shrinks_too_much
            method = _DEFLATED if spool.compressed and as_is else _STORED
            size = spool.stored_size if as_is else spool.size
            entry = Entry(spool.name, digest, spool.size, size, spool.crc, method, self._offset)
            return self._append(entry, spool.stored_chunks() if as_is else spool.chunks())
        finally:
            spool.close()

    def close(self) -> None:
        """Write the central directory."""
        start = self._offset
        for entry in self.entries:
            self._write(_central_header(entry))
        self._write(_end(len(self.entries), start, self._offset - start))

    def _append(self, entry: Entry, chunks: Iterable[bytes]) -> Entry:
        self._write(_local_header(entry))
        start = self._offset
        for chunk in chunks:
            self._write(chunk)
        if self._offset - start != entry.stored_size:
            raise Fault(f"{entry.name} changed while it was copied into the archive")
        self.entries.append(entry)
        return entry

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._offset += len(data)


def _local_header(entry: Entry) -> bytes:
    """APPNOTE 4.3.7; Zip64 extra field 4.5.3 with both sizes where either needs it."""
    name = entry.name.encode("ascii")
    wide = max(entry.size, entry.stored_size) >= _MAX_32
    extra = struct.pack("<HHQQ", 1, 16, entry.size, entry.stored_size) if wide else b""
    size, stored = (_MAX_32, _MAX_32) if wide else (entry.size, entry.stored_size)
    version = _VERSION_ZIP64 if wide else _VERSION
    head = struct.pack(
        "<4sHHHHHIIIHH",
        b"PK\x03\x04",
        version,
        0,
        entry.method,
        0,
        _DATE_1980_01_01,
        entry.crc,
        stored,
        size,
        len(name),
        len(extra),
    )
    return head + name + extra


def _central_header(entry: Entry) -> bytes:
    """APPNOTE 4.3.12; the Zip64 extra field holds exactly the numbers that are 0xFFFFFFFF in the header."""
    name = entry.name.encode("ascii")
    wide = max(entry.size, entry.stored_size) >= _MAX_32
    far = entry.offset >= _MAX_32
    numbers = ([entry.size, entry.stored_size] if wide else []) + ([entry.offset] if far else [])
    extra = struct.pack(f"<HH{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""
    size, stored = (_MAX_32, _MAX_32) if wide else (entry.size, entry.stored_size)
    version = _VERSION_ZIP64 if numbers else _VERSION
    head = struct.pack(
        "<4sHHHHHHIIIHHHHHII",
        b"PK\x01\x02",
        _MADE_BY_UNIX | version,
        version,
        0,
        entry.method,
        0,
        _DATE_1980_01_01,
        entry.crc,
        stored,
        size,
        len(name),
        len(extra),
        0,
        0,
        0,
        _MODE,
        _MAX_32 if far else entry.offset,
    )
    return head + name + extra


def _end(count: int, start: int, size: int) -> bytes:
    """APPNOTE 4.3.14 to 4.3.16."""
    wide = count >= _MAX_16 or start >= _MAX_32 or size >= _MAX_32
    zip64 = b""
    if wide:
        made_by = _MADE_BY_UNIX | _VERSION_ZIP64
        record = (b"PK\x06\x06", 44, made_by, _VERSION_ZIP64, 0, 0, count, count, size, start)
        zip64 = struct.pack("<4sQHHIIQQQQ", *record)
        zip64 += struct.pack("<4sIQI", b"PK\x06\x07", 0, start + size, 1)
    short = min(count, _MAX_16)
    return zip64 + struct.pack(
        "<4sHHHHIIH", b"PK\x05\x06", 0, 0, short, short, min(size, _MAX_32), min(start, _MAX_32), 0
    )
