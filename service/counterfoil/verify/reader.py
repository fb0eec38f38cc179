"""Step 1: the bundle as named files in one top-level directory, each read as a stream under limits.

Names: ASCII letters, digits, ``.``, ``_``, ``-`` in segments that are not empty, ``.`` or ``..``; no two equal, also
after case folding (a bundle is unpacked on other systems too); no file that is also a directory.
"""

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.verify.archive import Entry, read_data, read_entries
from counterfoil.verify.blame import blame
from counterfoil.verify.limits import BLOCK_BYTES, MAX_LINE_BYTES

_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")


def _refuse(message: str) -> EvidenceError:
    return EvidenceError("archive", message)


def _split(name: str) -> list[str]:
    """The segments of an entry's name; a directory's trailing slash is not one."""
    parts = name.removesuffix("/").split("/")
    if any(_SEGMENT.fullmatch(part) is None or part in (".", "..") for part in parts):
        raise _refuse(f"{name!r} is no plain relative name")
    if len(parts) == 1 and not name.endswith("/"):
        raise _refuse(f"{name!r} is not inside the top-level directory")
    return parts


def _place(entries: list[Entry]) -> tuple[str, dict[str, Entry]]:
    """The top-level directory and the files in it, by their names there."""
    tops: set[str] = set()
    files: dict[str, Entry] = {}
    folded: set[str] = set()
    directories: set[str] = set()
    for entry in entries:
        parts = _split(entry.name)
        tops.add(parts[0])
        key = entry.name.casefold().removesuffix("/")
        directories.update("/".join(parts[:depth]).casefold() for depth in range(1, len(parts)))
        if entry.name.endswith("/"):
            if entry.size:
                raise _refuse(f"the directory {entry.name!r} has data")
            directories.add(key)
            continue
        if key in folded:
            raise _refuse(f"{entry.name!r} is there twice (upper and lower case are not told apart)")
        folded.add(key)
        files["/".join(parts[1:])] = entry
    if len(tops) != 1:
        raise _refuse(f"{len(tops)} top-level directories, not one")
    if both := folded & directories:
        raise _refuse(f"{min(both)!r} is a file and a directory")
    return tops.pop(), files


def check_digest(found: str, wanted: str) -> None:
    """Step 2: a file is the one that the manifest lists."""
    if found != wanted:
        raise EvidenceError("manifest", "its bytes do not match the manifest")


class Bundle:
    """An open bundle. `files` gives the declared size of each file by its name below the top-level directory."""

    def __init__(self, file: BinaryIO, top: str, entries: Mapping[str, Entry]) -> None:
        self._file = file
        self._entries = entries
        self._wanted: dict[str, str] = {}
        self.top = top
        self.files: dict[str, int] = {name: entry.size for name, entry in entries.items()}

    @classmethod
    def open(cls, path: Path) -> Self:
        """Step 1. InputError where there is no such file; Stopped where it is no acceptable archive."""
        try:
            file = path.open("rb")
        except OSError as error:
            raise InputError("no_bundle", f"cannot read the bundle: {error.strerror}", item=str(path)) from error
        try:
            with blame(1, path.name):
                top, entries = _place(read_entries(file))
        except BaseException:
            file.close()
            raise
        return cls(file, top, entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, in chunks; EvidenceError("missing_file") where there is none."""
        entry = self._entries.get(name)
        if entry is None:
            raise EvidenceError("missing_file", "the file is missing")
        return self._data(name, entry)

    def expect(self, digests: Mapping[str, str]) -> None:
        """SHA-256 (hex) that these files must have: checked when one is next read to its end, as step 2.

        A file is then inflated once, by the step that uses it. `unread` are those that none has used.
        """
        self._wanted.update(digests)

    @property
    def unread(self) -> list[str]:
        """Files whose digest is still to be compared."""
        return sorted(self._wanted)

    def _data(self, name: str, entry: Entry) -> Iterator[bytes]:
        """What is wrong with the archive is step 1's, whichever step reads the file."""
        wanted = self._wanted.get(name)
        digest = sha256()
        with blame(1, name):
            for chunk in read_data(self._file, entry):
                if wanted is not None:
                    digest.update(chunk)
                yield chunk
        if wanted is not None:
            with blame(2, name):
                check_digest(digest.hexdigest(), wanted)
            self._wanted.pop(name, None)

    def read(self, name: str, limit: int) -> bytes:
        """A whole file of at most `limit` bytes."""
        if self.files.get(name, 0) > limit:
            raise EvidenceError("file_size", f"{self.files[name]} bytes are over the limit of {limit}")
        return b"".join(self.chunks(name))

    def blocks(self, name: str) -> Iterator[bytes]:
        """The lines of a file in blocks of whole lines, about a megabyte each; the last line ends in LF too."""
        held: list[bytes] = []
        size = 0
        for chunk in self.chunks(name):
            held.append(chunk)
            size += len(chunk)
            if size < BLOCK_BYTES:
                continue
            block, newline, rest = b"".join(held).rpartition(b"\n")
            if newline:
                yield block + newline
            elif size > MAX_LINE_BYTES:
                raise EvidenceError("line_size", f"a line is over the limit of {MAX_LINE_BYTES} bytes")
            held, size = [rest], len(rest)
        if last := b"".join(held):
            if not last.endswith(b"\n"):
                raise EvidenceError("line", "the last line does not end in a newline")
            yield last

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file, without their newlines."""
        for block in self.blocks(name):
            for line in block[:-1].split(b"\n"):
                if len(line) > MAX_LINE_BYTES:
                    raise EvidenceError("line_size", f"a line is over the limit of {MAX_LINE_BYTES} bytes")
                yield line
