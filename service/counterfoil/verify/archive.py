"""A strict reader of ZIP archives (PKWARE APPNOTE 6.3), for step 1: what two readers could take differently is refused.

The rule: end record, central directory and local headers agree, and every byte of the file belongs to exactly one of
them. So there is no comment, nothing before the first entry, between entries or after the end; no entry overlaps
another; the sizes are the same in both headers (or in the data descriptor); the data is stored or deflated, one stream,
exactly as long as declared. Zip64 is read; any other extra field is refused, since one of them (Unicode Path, 0x7075)
gives a file another name. Encryption, links, other types of file and split archives are refused.

Everything is streamed: the central directory entry by entry, files in chunks. Check: ``archive``.
"""

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from counterfoil.core.errors import EvidenceError
from counterfoil.verify.limits import (
    CHUNK_BYTES,
    MAX_ENTRIES,
    MAX_FILE_BYTES,
    MAX_NAME_BYTES,
    MAX_RATIO,
    MAX_TOTAL_BYTES,
    RATIO_FREE_BYTES,
)

STORED = 0
DEFLATED = 8

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_U16, _U32 = 0xFFFF, 0xFFFFFFFF
_ALLOWED_FLAGS = 0x0806 | 0x0008  # deflate effort, UTF-8 name; data descriptor
_DESCRIPTOR = 0x0008
_ZIP64 = 0x0001
_MADE_BY = (0, 3)
"""MS-DOS and Unix: how other systems' attributes are read depends on who reads them."""
_NO_FILE = 0x0418
"""Attributes of MS-DOS and Windows: volume label, directory, reparse point (a link)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: where its data lies, how long it is stored and declared, its CRC."""

    name: str
    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    header_at: int
    data_at: int = 0


def _refuse(message: str) -> EvidenceError:
    return EvidenceError("archive", message)


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    data = file.read(size)
    if len(data) != size:
        raise _refuse("the file ends too early")
    return data


def _zip64(extra: bytes, values: list[int]) -> list[int]:
    """`values` with each 0xFFFFFFFF replaced from the Zip64 extra field, in order.

    SPEC: APPNOTE 4.5.3 - nothing else may stand in `extra`, and the field holds exactly the numbers that refer to it.
    """
    size = 8 * values.count(_U32)
    if extra[:4] != (struct.pack("<HH", _ZIP64, size) if size else b"") or len(extra) != (size and 4 + size):
        raise _refuse("an extra field other than one of Zip64 with just the numbers that the header lacks")
    wide = struct.iter_unpack("<Q", extra[4:])
    return [next(wide)[0] if value == _U32 else value for value in values]


def _find_directory(file: BinaryIO, length: int) -> tuple[int, int, int]:
    """Number of entries, where the central directory begins, where it ends."""
    if length < _END.size:
        raise _refuse("not a ZIP file: too short")
    end_at = length - _END.size
    mark, disk, first_disk, here, total, size, at, comment = _END.unpack(_read(file, end_at, _END.size))
    if mark != b"PK\x05\x06" or comment:
        raise _refuse("not a ZIP file that ends in its end record (without comment)")
    if _U16 in (here, total) or _U32 in (size, at):
        locator_at = end_at - _END64_LOCATOR.size
        mark, disk, end_at, disks = _END64_LOCATOR.unpack(_read(file, max(locator_at, 0), _END64_LOCATOR.size))
        if mark != b"PK\x06\x07" or disks != 1 or end_at + _END64.size != locator_at:
            raise _refuse("the Zip64 end record is not where it must be")
        mark, rest, _, _, disk, first_disk, here, total, size, at = _END64.unpack(_read(file, end_at, _END64.size))
        if mark != b"PK\x06\x06" or rest != _END64.size - 12:
            raise _refuse("not a Zip64 end record")
    if disk or first_disk or here != total:
        raise _refuse("part of a split archive")
    if total > MAX_ENTRIES:
        raise _refuse(f"{total} entries are over the limit of {MAX_ENTRIES}")
    if at + size != end_at:
        raise _refuse("the central directory does not end where the end record begins")
    return total, at, end_at


def _read_central(file: BinaryIO, at: int, end: int) -> tuple[Entry, int]:
    """The entry of the central directory at `at`, and where the next one begins."""
    if at + _CENTRAL.size > end:
        raise _refuse("the central directory ends too early")
    fields = _CENTRAL.unpack(_read(file, at, _CENTRAL.size))
    mark, made_by, _, flags, method, _, _, crc, compressed, size = fields[:10]
    name_size, extra_size, comment_size, disk, _, attributes, header_at = fields[10:]
    if mark != b"PK\x01\x02" or disk or comment_size:
        raise _refuse("an entry of the central directory is malformed, commented or on another disk")
    if name_size > MAX_NAME_BYTES:
        raise _refuse(f"a name of {name_size} bytes is over the limit of {MAX_NAME_BYTES}")
    rest = _read(file, at + _CENTRAL.size, name_size + extra_size)
    size, compressed, header_at = _zip64(rest[name_size:], [size, compressed, header_at])
    try:
        name = rest[:name_size].decode("ascii")
    except UnicodeDecodeError:
        raise _refuse("a name is not ASCII") from None
    is_directory = name.endswith("/")
    if made_by >> 8 not in _MADE_BY or (attributes & _NO_FILE and not is_directory):
        raise _refuse(f"{name!r} is a link or no regular file, or made on a system other than Unix and MS-DOS")
    if stat.S_IFMT(attributes >> 16) not in (0, stat.S_IFDIR if is_directory else stat.S_IFREG):
        raise _refuse(f"{name!r} is a link or no regular file")
    if flags & ~_ALLOWED_FLAGS or method not in (STORED, DEFLATED):
        raise _refuse(f"{name!r} is encrypted, or neither stored nor deflated")
    entry = Entry(name, flags, method, crc, compressed, size, header_at)
    return entry, at + _CENTRAL.size + name_size + extra_size


def _check_descriptor(file: BinaryIO, at: int, entry: Entry) -> int:
    """Where the data descriptor at `at` ends: CRC and both sizes again, 4 or 8 bytes wide, with or without mark."""
    data = _read(file, at, min(24, max(0, _size_of(file) - at)))
    for mark in (b"PK\x07\x08", b""):
        for wide in ("<LLL", "<LQQ"):
            wanted = (entry.crc, entry.compressed, entry.size)
            if wide == "<LLL" and max(wanted) > _U32:
                continue
            form = mark + struct.pack(wide, *wanted)
            if data.startswith(form):
                return at + len(form)
    raise _refuse(f"the data descriptor of {entry.name!r} says something else than the central directory")


def _size_of(file: BinaryIO) -> int:
    return file.seek(0, 2)


def _check_local(file: BinaryIO, entry: Entry) -> tuple[Entry, int]:
    """The entry with the place of its data, and where everything of it ends; its local header must agree."""
    header = _LOCAL.unpack(_read(file, entry.header_at, _LOCAL.size))
    mark, _, flags, method, _, _, crc, compressed, size, name_size, extra_size = header
    if name_size > MAX_NAME_BYTES:
        raise _refuse(f"the local header of {entry.name!r} names something else")
    rest = _read(file, entry.header_at + _LOCAL.size, name_size + extra_size)
    if mark != b"PK\x03\x04" or (flags, method) != (entry.flags, entry.method):
        raise _refuse(f"the local header of {entry.name!r} is malformed or says something else")
    if rest[:name_size] != entry.name.encode():
        raise _refuse(f"the local header of {entry.name!r} names something else")
    size, compressed = _zip64(rest[name_size:], [size, compressed])
    found = (crc, compressed, size)
    wanted = (entry.crc, entry.compressed, entry.size)
    data_at = entry.header_at + _LOCAL.size + name_size + extra_size
    end = data_at + entry.compressed
    if flags & _DESCRIPTOR:
        if found not in ((0, 0, 0), wanted):
            raise _refuse(f"the local header of {entry.name!r} has other sizes")
        end = _check_descriptor(file, end, entry)
    elif found != wanted:
        raise _refuse(f"the local header of {entry.name!r} has other sizes")
    return replace(entry, data_at=data_at), end


def _check_sizes(entries: list[Entry]) -> None:
    total = 0
    for entry in entries:
        total += entry.size
        if entry.size > MAX_FILE_BYTES or total > MAX_TOTAL_BYTES:
            raise _refuse(f"{entry.name!r} is over the limit of {MAX_FILE_BYTES} bytes, {MAX_TOTAL_BYTES} in all")
        if entry.size > RATIO_FREE_BYTES and entry.size > MAX_RATIO * entry.compressed:
            raise _refuse(f"{entry.name!r} is compressed more than {MAX_RATIO}-fold")
        if entry.method == STORED and entry.size != entry.compressed:
            raise _refuse(f"{entry.name!r} is stored with two sizes")


def read_entries(file: BinaryIO) -> list[Entry]:
    """Every entry, in the order of the central directory; EvidenceError("archive") for whatever is wrong."""
    length = _size_of(file)
    count, at, end = _find_directory(file, length)
    directory_at = at
    entries = []
    for _ in range(count):
        entry, at = _read_central(file, at, end)
        entries.append(entry)
    if at != end:
        raise _refuse("the central directory has more than its entries")
    _check_sizes(entries)
    placed: dict[int, Entry] = {}
    next_at = 0
    for entry in sorted(entries, key=lambda each: each.header_at):
        if entry.header_at != next_at:
            raise _refuse(f"{entry.name!r} overlaps another entry, or there are bytes between them")
        placed[entry.header_at], next_at = _check_local(file, entry)
    if next_at != directory_at:
        raise _refuse("bytes between the last entry and the central directory, or an entry that reaches into it")
    return [placed[entry.header_at] for entry in entries]


def read_data(file: BinaryIO, entry: Entry) -> Iterator[bytes]:
    """The data of an entry in chunks; raises where it is not what the headers declare."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == DEFLATED else None
    at, left, size, crc = entry.data_at, entry.compressed, 0, 0
    while left:
        data = _read(file, at, min(CHUNK_BYTES, left))
        at, left = at + len(data), left - len(data)
        while data:
            if inflate is None:
                chunk, data = data, b""
            else:
                try:
                    chunk = inflate.decompress(data, 4 * CHUNK_BYTES)
                except zlib.error:
                    raise _refuse(f"{entry.name!r} is no deflate stream") from None
                data = inflate.unconsumed_tail
                if inflate.unused_data or (inflate.eof and left):
                    raise _refuse(f"{entry.name!r} has bytes after its deflate stream")
            size += len(chunk)
            if size > entry.size:
                raise _refuse(f"{entry.name!r} holds more than the {entry.size} bytes that it declares")
            crc = zlib.crc32(chunk, crc)
            if chunk:
                yield chunk
    if inflate is not None and (chunk := inflate.flush()):  # what the last step had no room for
        size, crc = size + len(chunk), zlib.crc32(chunk, crc)
        yield chunk
    if size != entry.size or crc != entry.crc or (inflate is not None and not inflate.eof):
        raise _refuse(f"{entry.name!r} holds {size} bytes with another size or CRC than declared, or is cut off")
