"""Step 1: archives that say one thing twice and differently, and names that mean something else elsewhere."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.verify import archive, reader
from counterfoil.verify.blame import Stopped
from counterfoil.verify.reader import Bundle
from tests.verify.rawzip import RawEntry, raw_zip

TEXT = b"some text that deflates, that deflates, that deflates\n" * 40
CRC = zlib.crc32(TEXT)


def opened(data: bytes, folder: Path) -> dict[str, bytes]:
    """The files of an archive, read whole."""
    (folder / "bundle.zip").write_bytes(data)
    with Bundle.open(folder / "bundle.zip") as bundle:
        return {name: bundle.read(name, 1 << 20) for name in bundle.files}


def refused(data: bytes, folder: Path) -> str:
    """Why step 1 refuses it."""
    with pytest.raises(Stopped) as caught:
        opened(data, folder)
    assert (caught.value.failure.number, caught.value.failure.check) == (1, "archive")
    return caught.value.failure.message


DEFLATED = len(RawEntry(b"", TEXT, method=8).stored())
NO_SIZES = {"crc": 0, "size": 0, "compressed": 0}
NARROW = b"PK\x07\x08" + struct.pack("<LLL", CRC, len(TEXT), len(TEXT))
WIDE = struct.pack("<LQQ", CRC, DEFLATED, len(TEXT))
WIDE_SIZE = struct.pack("<HHQ", 1, 8, len(TEXT))
UNICODE_PATH = struct.pack("<HHBL", 0x7075, 10, 1, zlib.crc32(b"top/a")) + b"top/b"
GOOD = [
    [RawEntry(b"top/a", TEXT), RawEntry(b"top/b", TEXT, method=8)],
    [RawEntry(b"top/a", TEXT, zip64=True), RawEntry(b"top/b", TEXT, method=8, zip64=True)],
    [
        RawEntry(b"top/a", TEXT, flags=8, local=NO_SIZES, descriptor=NARROW),
        RawEntry(b"top/b", TEXT, method=8, flags=8, local=NO_SIZES, descriptor=WIDE),
    ],
    [
        RawEntry(b"top/", b"", attributes=0o040755 << 16),
        RawEntry(b"top/a", TEXT, made_by=20, attributes=0x20),
        RawEntry(b"top/b", TEXT, attributes=0),
    ],
]


@pytest.mark.parametrize("entries", GOOD, ids=["plain", "zip64", "descriptors", "directory entry"])
def test_archives_of_every_allowed_form_are_read(entries: list[RawEntry], tmp_path: Path) -> None:
    assert opened(raw_zip(entries), tmp_path) == {"a": TEXT, "b": TEXT}


def test_a_zip64_end_record_is_read(tmp_path: Path) -> None:
    assert opened(raw_zip(GOOD[0], zip64_end=True), tmp_path) == {"a": TEXT, "b": TEXT}


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 257, 258, 259, 1_000, 4_096, 70_000])
def test_deflated_data_is_read_whole_in_the_smallest_steps(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "CHUNK_BYTES", 1)
    data = bytes(size) + b"x" * size
    assert opened(raw_zip([RawEntry(b"top/a", data, method=8)]), tmp_path) == {"a": data}


def test_an_empty_deflated_file_is_read(tmp_path: Path) -> None:
    assert opened(raw_zip([RawEntry(b"top/a", b"", method=8)]), tmp_path) == {"a": b""}


def _entry(**changes: object) -> list[RawEntry]:
    given: dict[str, object] = {"name": b"top/a", "data": TEXT, **changes}
    return [RawEntry(**given)]  # type: ignore[arg-type]  # whatever a test wants to say


WRONG = {
    "too short": (b"PK", "too short"),
    "no end record": (raw_zip(_entry(), mark=b"PK\x05\x05"), "end record"),
    "comment": (raw_zip(_entry(), comment=b"c"), "end record"),
    "bytes before": (b"#!" + raw_zip(_entry()), "does not end where"),
    "bytes before the end": (raw_zip(_entry(), before_end=b"xx"), "does not end where"),
    "bytes between": (raw_zip(_entry(), between=b"xx", at=len(raw_zip(_entry()))), "does not end where"),
    "hidden between": (
        raw_zip(_entry(), between=b"xx", at=30 + 5 + len(TEXT) + 2),
        "between the last entry and the central directory",
    ),
    "split": (raw_zip(_entry(), disk=1), "split"),
    "other count here": (raw_zip(_entry(), here=2), "split"),
    "too many": (raw_zip(_entry(), here=60_000, total=60_000), "ends too early"),
    "far too many": (raw_zip([], zip64_end=True, end64={"here": 100_001, "total": 100_001}), "limit of 100000"),
    "fewer entries than there are": (raw_zip(GOOD[0], here=1, total=1), "more than its entries"),
    "locator mark": (raw_zip(_entry(), zip64_end=True, locator={"mark": b"PK\x06\x08"}), "end record is not where"),
    "locator place": (raw_zip(_entry(), zip64_end=True, locator={"at": 1}), "Zip64 end record is not where"),
    "several disks": (raw_zip(_entry(), zip64_end=True, locator={"disks": 2}), "Zip64 end record is not where"),
    "end64 mark": (raw_zip(_entry(), zip64_end=True, end64={"mark": b"PK\x06\x05"}), "not a Zip64 end record"),
    "end64 size": (raw_zip(_entry(), zip64_end=True, end64={"rest": 45}), "not a Zip64 end record"),
    "no room for a locator": (raw_zip([], here=0xFFFF, total=0xFFFF), "ends too early|not where"),
    "central mark": (raw_zip(_entry(central={"mark": b"PK\x01\x03"})), "malformed"),
    "entry comment": (raw_zip(_entry(central={"comment": 1})), "malformed"),
    "entry on another disk": (raw_zip(_entry(central={"disk": 1})), "malformed"),
    "long name": (raw_zip(_entry(name=b"top/" + b"a" * 600)), "over the limit of 512"),
    "name beyond ASCII": (raw_zip(_entry(name="top/é".encode(), flags=0x800)), "not ASCII"),
    "link": (raw_zip(_entry(attributes=0o120777 << 16)), "a link or no regular file"),
    "device": (raw_zip(_entry(attributes=0o060644 << 16)), "a link or no regular file"),
    "directory with a file's name": (raw_zip(_entry(attributes=0o040755 << 16)), "a link or no regular file"),
    "link made on a Mac": (raw_zip(_entry(made_by=19 << 8 | 20, attributes=0o120777 << 16)), "a link or no regular"),
    "link made on MS-DOS": (raw_zip(_entry(made_by=20, attributes=0o120777 << 16)), "a link or no regular file"),
    "made on a Mac": (raw_zip(_entry(made_by=19 << 8 | 20)), "made on a system other than"),
    "reparse point": (raw_zip(_entry(made_by=20, attributes=0x400)), "a link or no regular file"),
    "directory of MS-DOS": (raw_zip(_entry(made_by=20, attributes=0x10)), "a link or no regular file"),
    "unicode path": (raw_zip(_entry(central={"extra": UNICODE_PATH})), "extra field"),
    "local unicode path": (raw_zip(_entry(local={"extra": UNICODE_PATH})), "extra field"),
    "time": (raw_zip(_entry(local={"extra": b"UT\x05\x00\x01abcd"})), "extra field"),
    "bytes for an extra field": (raw_zip(_entry(central={"extra": b"\x01"})), "extra field"),
    "Zip64 for nothing": (raw_zip(_entry(central={"extra": b"\x01\x00\x00\x00"})), "extra field"),
    "Zip64 without need": (raw_zip(_entry(central={"extra": WIDE_SIZE})), "extra field"),
    "Zip64 too short": (raw_zip(_entry(central={"extra": WIDE_SIZE[:-1], "size": 2**32 - 1})), "extra field"),
    "Zip64 with more": (raw_zip(_entry(central={"extra": WIDE_SIZE + b"x", "size": 2**32 - 1})), "extra field"),
    "Zip64 twice": (raw_zip(_entry(central={"extra": WIDE_SIZE * 2, "size": 2**32 - 1})), "extra field"),
    "Zip64 that is not there": (raw_zip(_entry(central={"size": 2**32 - 1})), "extra field"),
    "encrypted": (raw_zip(_entry(flags=1)), "encrypted"),
    "masked headers": (raw_zip(_entry(flags=0x2000)), "encrypted"),
    "bzip2": (raw_zip(_entry(method=12)), "neither stored nor deflated"),
    "stored with two sizes": (raw_zip(_entry(central={"size": 9}, local={"size": 9})), "stored with two sizes"),
    "bomb": (raw_zip(_entry(data=bytes(2 << 20), method=8)), "compressed more than 200-fold"),
    "local mark": (raw_zip(_entry(local={"mark": b"PK\x03\x05"})), "malformed or says something else"),
    "local flags": (raw_zip(_entry(local={"flags": 2})), "malformed or says something else"),
    "local method": (raw_zip(_entry(local={"method": 8})), "malformed or says something else"),
    "local name": (raw_zip(_entry(local={"name": b"top/b"})), "names something else"),
    "longer local name": (raw_zip(_entry(local={"name": b"top/" + b"a" * 600})), "names something else"),
    "local size": (raw_zip(_entry(local={"size": 1})), "has other sizes"),
    "local crc": (raw_zip(_entry(local={"crc": 1})), "has other sizes"),
    "local sizes beside a descriptor": (
        raw_zip(_entry(flags=8, local={"size": 1}, descriptor=struct.pack("<LLL", CRC, len(TEXT), len(TEXT)))),
        "has other sizes",
    ),
    "descriptor": (
        raw_zip(_entry(flags=8, descriptor=struct.pack("<LLL", CRC, len(TEXT), 1))),
        "descriptor",
    ),
    "overlap": (raw_zip([*GOOD[0], RawEntry(b"top/c", TEXT, central={"at": 5})]), "overlaps"),
    "two names for one": (raw_zip([GOOD[0][0], RawEntry(b"top/a", TEXT, central={"at": 0})]), "overlaps"),
    "crc": (raw_zip(_entry(central={"crc": 1}, local={"crc": 1})), "another size or CRC"),
    "cut off": (
        raw_zip(_entry(method=8, raw=RawEntry(b"", TEXT, method=8).stored()[:-2])),
        "cut off",
    ),
    "no deflate stream": (raw_zip(_entry(method=8, raw=b"\xff\xff\xff")), "no deflate stream"),
    "bytes after the stream": (
        raw_zip(_entry(method=8, raw=RawEntry(b"", TEXT, method=8).stored() + b"hidden")),
        "after its deflate stream",
    ),
    "more than declared": (
        raw_zip(_entry(method=8, central={"size": 9}, local={"size": 9})),
        "more than the 9 bytes",
    ),
    "less than declared": (
        raw_zip(_entry(method=8, central={"size": 9_000}, local={"size": 9_000})),
        "another size",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_an_archive_that_could_be_read_in_two_ways_is_refused(name: str, tmp_path: Path) -> None:
    data, why = WRONG[name]
    message = refused(data, tmp_path)
    assert any(each in message for each in why.split("|")), message


def test_sizes_over_the_limits_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 2 * len(TEXT) - 1)
    assert "over the limit" in refused(raw_zip(GOOD[0]), tmp_path)
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 2 * len(TEXT))
    assert opened(raw_zip(GOOD[0]), tmp_path)
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", len(TEXT) - 1)
    assert "over the limit" in refused(raw_zip(GOOD[0]), tmp_path)


def test_sizes_that_only_zip64_can_say_need_a_wide_descriptor(tmp_path: Path) -> None:
    wide = {"extra": struct.pack("<HHQ", 1, 8, 2**33), "size": 2**32 - 1}
    entry = RawEntry(b"top/a", TEXT, method=8, flags=8, central=wide, local={"size": 0, "compressed": 0, "crc": 0})
    assert "compressed more than" in refused(raw_zip([entry]), tmp_path)


def test_a_wide_descriptor_is_the_only_one_for_a_wide_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_RATIO", 2**40)
    wide = {"extra": struct.pack("<HHQ", 1, 8, 2**33), "size": 2**32 - 1}
    entry = RawEntry(b"top/a", TEXT, method=8, flags=8, central=wide, local={"size": 0, "compressed": 0, "crc": 0})
    assert "descriptor" in refused(raw_zip([entry]), tmp_path)
    entry.descriptor = struct.pack("<LQQ", CRC, DEFLATED, 2**33)
    with pytest.raises(EvidenceError, match="8589934592 bytes are over the limit"):
        opened(raw_zip([entry]), tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *(b"top/../a", b"top/./a", b"/etc/passwd", b"top//a", b"top\\a", b"C:/a", b"top/a b", b"top/a\x00.txt"),
        *(b"a", b"../a", b"top/\x1b[2J", b"~/a"),
    ],
)
def test_a_name_that_is_not_plain_is_refused(name: bytes, tmp_path: Path) -> None:
    message = refused(raw_zip([RawEntry(name)]), tmp_path)
    assert "no plain relative name" in message or "not inside the top-level directory" in message


def test_names_that_collide_are_refused(tmp_path: Path) -> None:
    assert "is there twice" in refused(raw_zip([RawEntry(b"top/a"), RawEntry(b"top/a")]), tmp_path)
    assert "is there twice" in refused(raw_zip([RawEntry(b"top/a"), RawEntry(b"top/A")]), tmp_path)
    assert "is a file and a directory" in refused(raw_zip([RawEntry(b"top/a"), RawEntry(b"top/A/b")]), tmp_path)


def test_there_is_one_top_level_directory(tmp_path: Path) -> None:
    assert "2 top-level directories" in refused(raw_zip([RawEntry(b"top/a"), RawEntry(b"pot/a")]), tmp_path)
    assert "0 top-level directories" in refused(raw_zip([]), tmp_path)


def test_a_directory_holds_no_data(tmp_path: Path) -> None:
    assert "has data" in refused(raw_zip([RawEntry(b"top/a/", attributes=0)]), tmp_path)


def test_a_file_that_is_not_there_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the bundle"):
        Bundle.open(tmp_path / "nothing.zip")


def _bundle(folder: Path, data: bytes) -> Bundle:
    (folder / "bundle.zip").write_bytes(raw_zip([RawEntry(b"top/lines", data)]))
    return Bundle.open(folder / "bundle.zip")


def test_lines_are_the_same_whatever_the_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [b"%d" % number * (number % 7) for number in range(500)]
    data = b"".join(line + b"\n" for line in lines)
    for size in (1, 2, 7, 100, 1 << 20):
        monkeypatch.setattr(reader, "BLOCK_BYTES", size)
        monkeypatch.setattr(archive, "CHUNK_BYTES", 3)
        with _bundle(tmp_path, data) as bundle:
            assert list(bundle.lines("lines")) == lines
            assert all(block.endswith(b"\n") for block in bundle.blocks("lines"))


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    with _bundle(tmp_path, b"") as bundle:
        assert list(bundle.lines("lines")) == []


def test_a_last_line_without_end_is_refused(tmp_path: Path) -> None:
    with _bundle(tmp_path, b"a\nb") as bundle, pytest.raises(EvidenceError, match="does not end in a newline"):
        list(bundle.lines("lines"))


def test_a_line_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_LINE_BYTES", 10)
    with _bundle(tmp_path, b"a\n" + b"b" * 11 + b"\n") as bundle, pytest.raises(EvidenceError, match="limit of 10"):
        list(bundle.lines("lines"))
    monkeypatch.setattr(reader, "BLOCK_BYTES", 4)
    monkeypatch.setattr(archive, "CHUNK_BYTES", 4)
    with _bundle(tmp_path, b"b" * 40 + b"\n") as bundle, pytest.raises(EvidenceError, match="limit of 10"):
        list(bundle.lines("lines"))


def test_a_file_over_the_callers_limit_is_not_read(tmp_path: Path) -> None:
    with _bundle(tmp_path, b"0123456789") as bundle:
        assert bundle.read("lines", 10) == b"0123456789"
        with pytest.raises(EvidenceError, match="over the limit of 9"):
            bundle.read("lines", 9)
        with pytest.raises(EvidenceError, match="missing"):
            bundle.read("other", 9)
