"""The head store: the last signed checkpoint of each log, kept apart from the database.

A database can be rolled back to an older copy; the head store must not be rolled back with it. It is the one
place that is trusted to know how far a log had been signed (ARCHITECTURE 5, attacks 5 and 6 of THREATS), so it
belongs on another volume than the ledger wherever there is one.

The rule: a head only ever moves by compare-and-swap of whole files. What a file holds is the signed note itself
(C2SP tlog-checkpoint), so whoever reads it can check the signature instead of trusting the directory.

    heads/<hex SHA-256 of the origin>        the note of the last checkpoint that was signed
    heads/<hex SHA-256 of the origin>.lock   empty; flock(2) serialises the writers of one log

A swap writes `<name>.new`, flushes it, renames it over the head and flushes the directory:

- a crash before the rename leaves the old head and a `.new` file that the next swap overwrites;
- a crash after it leaves the new head. Whether the rename reached the disk is known only once the directory is
  flushed; a flush that *fails* is a `Fault`: the page cache may then show what the disk does not hold. So whoever
  finds a head that is not published flushes it anew first (`ensure_durable`), until that succeeds.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from counterfoil.core.checkpoint import parse_checkpoint
from counterfoil.core.errors import EvidenceError, Fault
from counterfoil.core.note import parse_note
from counterfoil.log.errors import LogRolledBack

MAX_HEAD_BYTES = 65_536
"""A head is a checkpoint with its signatures; a note of 100 signature lines stays below this."""


class HeadConflict(Exception):
    """Another writer moved the head since it was read: read it again and start over."""


class SignedHeadContradicted(Fault):
    """The ledger does not lead to the head that was signed: stored bytes were changed (attacks 1, 4 and 7)."""

    code = "signed_head_contradicted"

    def __init__(self, origin: str, what: str) -> None:
        super().__init__(
            f"the log {origin} is not signed any further: {what}. "
            "Keep the directory as it is and run `counterfoil fsck`"
        )


class HeadStoreBehind(Fault):
    """A checkpoint was published that the head store does not know: the head store was rolled back or lost."""

    code = "head_store_behind"

    def __init__(self, origin: str, signed_size: int, published_size: int) -> None:
        super().__init__(
            f"the log {origin} has a published checkpoint of size {published_size}, but its head store stands at "
            f"{signed_size}: the head store was rolled back or replaced. Put it back, or, if it is lost, stop the "
            "service and run `counterfoil restore declare`"
        )


def check_not_rolled_back(origin: str, signed_size: int, ledger_size: int) -> None:
    """Raise `LogRolledBack` where the head store is ahead of the ledger (attacks 5 and 6 of THREATS).

    Then nothing is signed and nothing appended until an operator says what happened: whatever were written now would
    contradict a checkpoint that others may hold.
    """
    if signed_size > ledger_size:
        raise LogRolledBack(
            f"the log {origin} was signed at size {signed_size}, but the ledger holds {ledger_size} records: it was "
            "rolled back or its tail was cut. Put the newer ledger back, or, if it is lost, stop the service and run "
            "`counterfoil restore declare`, which closes this log and opens its successor"
        )


def file_name_of(origin: str) -> str:
    """Return the name under which a log's head (and its key) is filed: an origin holds slashes, a hash none."""
    return sha256(origin.encode()).hexdigest()


class HeadStore:
    """A directory of heads. Safe for any number of processes on one machine."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        self._sizes: dict[str, tuple[tuple[int, int, int], int]] = {}

    def read(self, origin: str) -> bytes | None:
        """Return the note of the last signed checkpoint, or None where the log was never signed.

        The bytes are as stored: the caller verifies the signature before it believes them.
        """
        try:
            with self._path(origin).open("rb") as file:
                note = file.read(MAX_HEAD_BYTES + 1)
        except FileNotFoundError:
            return None
        if len(note) > MAX_HEAD_BYTES:
            raise EvidenceError("head_unreadable", f"the head of {origin} is over {MAX_HEAD_BYTES} bytes")
        return note

    def compare_and_swap(self, origin: str, old: bytes | None, new: bytes) -> None:
        """Replace the head `old` (None: no head yet) by `new`, durably, or raise `HeadConflict` and change nothing."""
        if not 0 < len(new) <= MAX_HEAD_BYTES:
            raise Fault(f"a head has 1 to {MAX_HEAD_BYTES} bytes, not {len(new)}")
        path = self._path(origin)
        with self._locked(path):
            if self.read(origin) != old:
                raise HeadConflict(f"the head of {origin} is not the one that was read")
            self._replace(origin, path, new)

    def ensure_durable(self, origin: str) -> None:
        """Return once the head that can be read is on disk; a Fault where that cannot be said.

        For a head found after a crash or a failed flush. It is written and flushed anew, file and directory: after a
        flush that failed, the kernel may call the old pages clean, and flushing them again would prove nothing.
        """
        path = self._path(origin)
        with self._locked(path):
            note = self.read(origin)
            if note is None:
                raise Fault(f"the head of {origin} is gone from {self.directory}")
            try:
                self._replace(origin, path, note)
            except OSError as error:
                raise Fault(f"the head of {origin} cannot be flushed to disk: {error}") from error

    def _replace(self, origin: str, path: Path, note: bytes) -> None:
        staged = path.with_name(path.name + ".new")
        _write_durably(staged, note)
        staged.rename(path)
        try:
            _flush_directory(self.directory)
        except OSError as error:
            raise Fault(f"the head of {origin} was replaced but may not be on disk: {error}") from error

    def size_of(self, origin: str) -> int:
        """Return the tree size of the head, 0 without one. Costs one stat(2) while the file has not changed.

        The signature is not checked here: this only stops a writer early, and a forged head can do no more than
        stop it. The checkpointer and fsck verify.
        """
        path = self._path(origin)
        try:
            status = path.stat()
        except FileNotFoundError:
            return 0
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        known = self._sizes.get(origin)
        if known is not None and known[0] == stamp:
            return known[1]
        note = self.read(origin)
        if note is None:
            return 0
        size = size_of_head(note, origin)
        self._sizes[origin] = (stamp, size)
        return size

    def all(self) -> Iterator[tuple[str, bytes]]:
        """Yield (file name, note) of every head, in the order of their names."""
        for path in sorted(self.directory.iterdir()):
            if path.suffix == "" and path.is_file():
                yield path.name, path.read_bytes()[: MAX_HEAD_BYTES + 1]

    def _path(self, origin: str) -> Path:
        return self.directory / file_name_of(origin)

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)  # closing gives the lock back


def size_of_head(note: bytes, origin: str) -> int:
    """Return the tree size that a head note states, without checking its signature; EvidenceError if unreadable."""
    text, _ = parse_note(note)
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin != origin:
        raise EvidenceError("head_origin", f"the head filed under {origin} is of {checkpoint.origin}")
    return checkpoint.size


def _write_durably(path: Path, data: bytes) -> None:
    """Write a file and flush it; where that fails nothing is left that could be renamed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
