"""The ZIP writer: readable by Python's own reader and by the strict one of the verifier, whatever the sizes."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from counterfoil.core.errors import Fault
from counterfoil.evidence.archive import ArchiveWriter, Entry, Spool
from counterfoil.evidence.bag import BagWriter
from counterfoil.verify.archive import read_data, read_entries

GIB = 1024**3


def spooled(tmp_path: Path, data: bytes, *, compress: bool = True) -> Spool:
    """A spool that holds `data`, written in pieces of odd sizes."""
    spool = Spool("top/file", tmp_path, compress=compress)
    for at in range(0, len(data), 70_001):
        spool.write(data[at : at + 70_001])
    return spool


def archive_of(spool: Spool) -> tuple[bytes, Entry]:
    """An archive with that one file."""
    out = io.BytesIO()
    writer = ArchiveWriter(out)
    entry = writer.add_spool(spool)
    writer.close()
    return out.getvalue(), entry


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("data", [b"", b"x", os.urandom(300_000), b"counterfoil " * 50_000])
def test_what_is_spooled_comes_out_again(tmp_path: Path, data: bytes, compress: bool) -> None:
    archive, entry = archive_of(spooled(tmp_path, data, compress=compress))
    assert zipfile.ZipFile(io.BytesIO(archive)).read("top/file") == data
    file = io.BytesIO(archive)
    (found,) = read_entries(file)
    assert b"".join(read_data(file, found)) == data
    assert (entry.size, entry.crc) == (len(data), zlib.crc32(data))


def test_a_file_that_shrinks_too_much_is_stored_since_a_verifier_would_take_it_for_a_bomb(tmp_path: Path) -> None:
    data = b"a" * (3 * 1024 * 1024)
    archive, entry = archive_of(spooled(tmp_path, data))
    assert entry.method == 0
    assert zipfile.ZipFile(io.BytesIO(archive)).read("top/file") == data
    out = io.BytesIO()
    writer = ArchiveWriter(out)
    assert writer.add("top/at-hand", data).method == 0
    assert writer.add("top/small", b"a" * 4096).method == 8


class Sparse:
    """A file in which a chunk of zeros is a hole, so that an archive of many gigabytes takes a few kilobytes."""

    def __init__(self, file: BinaryIO, zeros: bytes) -> None:
        self._file = file
        self._zeros = zeros

    def write(self, data: bytes) -> int:
        if data is self._zeros:
            self._file.seek(len(data), os.SEEK_CUR)
            return len(data)
        return self._file.write(data)


class Huge(Spool):
    """A finished spool of zeros that is never stored anywhere."""

    def __init__(self, directory: Path, size: int, zeros: bytes) -> None:
        super().__init__("top/huge", directory, compress=False)
        self.size = self.stored_size = size
        self._zeros = zeros

    def finish(self) -> str:
        return "0" * 64

    def stored_chunks(self) -> Iterator[bytes]:
        for _ in range(self.size // len(self._zeros)):
            yield self._zeros


def test_sizes_and_places_beyond_four_gigabytes_are_written_as_zip64(tmp_path: Path) -> None:
    zeros = bytes(64 * 1024 * 1024)
    path = tmp_path / "huge.zip"
    with path.open("wb") as file:
        writer = ArchiveWriter(Sparse(file, zeros))  # type: ignore[arg-type]  # only `write` is used
        writer.add_spool(Huge(tmp_path, 5 * GIB, zeros))
        writer.add("top/after", b"beyond")
        writer.close()
    with zipfile.ZipFile(path) as archive:
        assert [(info.filename, info.file_size) for info in archive.infolist()] == [
            ("top/huge", 5 * GIB),
            ("top/after", 6),
        ]
        assert archive.read("top/after") == b"beyond"
    with path.open("rb") as file:
        huge, after = read_entries(file)
        assert huge.size == 5 * GIB
        assert b"".join(read_data(file, after)) == b"beyond"


def test_more_entries_than_sixteen_bits_count_are_written_as_zip64() -> None:
    out = io.BytesIO()
    writer = ArchiveWriter(out)
    for number in range(66_000):
        writer.add(f"top/{number}", b"")
    writer.close()
    assert len(zipfile.ZipFile(out).namelist()) == 66_000
    assert len(read_entries(out)) == 66_000


def test_a_spool_is_only_ever_an_unnamed_file(tmp_path: Path) -> None:
    spool = spooled(tmp_path, os.urandom(1_000_000))
    assert list(tmp_path.iterdir()) == []
    spool.close()


@pytest.mark.parametrize("name", ["../x", "data/../x", "/x", "data//x", "data/a b", "data/é", "data/", ".hidden", ""])
def test_a_bag_takes_plain_names_only(tmp_path: Path, name: str) -> None:
    bag = BagWriter(io.BytesIO(), "top", tmp_path)
    with pytest.raises(Fault):
        bag.add(name, b"")


def test_a_bag_takes_a_name_once(tmp_path: Path) -> None:
    bag = BagWriter(io.BytesIO(), "top", tmp_path)
    bag.add("data/x", b"")
    with pytest.raises(Fault):
        bag.add("data/x", b"again")
