"""Parcels on disk while the service is away; what a killed process left is sent by the next one.

    <root>/<destination>/<producer>/0000000000000012-0000000000000040.parcel
    <root>/<destination>/<producer>/lock                     held (flock) by the process that owns the folder
    <root>/<destination>/damaged/<producer>.<file>           set aside, never sent

A file: `counterfoil/spool/v1 <SHA-256 of what follows> <bytes>`, newline, the OTLP request deflated (zlib). It is
written under another name, synced, then renamed: a crash leaves a whole file or none. Folders have mode 0700, files
0600; content lies in them in the clear. A root that others own or may write to, or could put another in the place of,
is not used. All folders of one destination share a bound in bytes (what other processes write counts within half a
minute); files past the age bound are not sent. Both, and damage, are losses, declared by number. <destination> is a
hash of URL and headers: what one key may write is never sent with another. Numbers stay what they were, so the service
recognises what it took before the crash (RECORD 8) and nothing is recorded twice.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from counterfoil.sdk.parcel import Parcel

HEADER: Final = b"counterfoil/spool/v1"
DIRECTORY_MODE, FILE_MODE = 0o700, 0o600
DAMAGED: Final = "damaged"
MAX_DAMAGED: Final = 32
MAKING: Final = ".making"
MEASURED_AGAIN_S: Final = 30.0
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_NAME = re.compile(r"([0-9]{16})-([0-9]{16})\.parcel")
_PRODUCER = re.compile(r"[a-z][a-z0-9-]{8,63}")


class SpoolFull(Exception):
    """The bound in bytes is reached."""


class Damaged(Exception):
    """A file is not what was written."""


def default_root() -> Path:
    """$XDG_STATE_HOME/counterfoil/spool, or ~/.local/state/counterfoil/spool (XDG Base Directory Specification)."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return base / "counterfoil" / "spool"


def open_root(path: Path) -> None:
    """Make the folder of a destination, or check it. OSError where somebody else could swap it for another."""
    if not path.parent.exists():
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    open_folder(path)
    for above in path.absolute().parents:
        found = above.stat()
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise PermissionError("a folder above the spool is everybody's to write")
        if above == path.absolute().parent and found.st_uid not in (0, os.getuid()):
            raise PermissionError("the folder of the spool is another user's")


def open_folder(path: Path) -> None:
    """Make a folder of our own, or check that it is. OSError where it cannot be trusted."""
    path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError("the spool folder is not this user's alone to write")


class Spool:
    """The folder of one producer, and the folders that dead producers left beside it. Used by the background."""

    def __init__(self, root: Path, producer: str, max_bytes: int, max_age_s: float) -> None:
        self._root = root
        self._own = root / producer
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._lock: int | None = None
        self._turn = threading.RLock()
        open_root(root)
        if not os.access(root, os.W_OK | os.X_OK):
            raise PermissionError("the spool folder cannot be written")
        self._used, self._measured_at = 0, 0.0
        self._measure()

    def save(self, parcel: Parcel) -> None:
        """Write a parcel of our own; afterwards it survives SIGKILL and power loss. SpoolFull, OSError."""
        with self._turn:
            if parcel.path is None and parcel.body is not None and not parcel.settled:
                self._save(parcel, parcel.body)

    def _save(self, parcel: Parcel, body: bytes) -> None:
        packed = zlib.compress(body, 1)
        data = b"%b %b %d\n%b" % (HEADER, hashlib.sha256(packed).hexdigest().encode(), len(packed), packed)
        if time.monotonic() - self._measured_at > MEASURED_AGAIN_S or self._used + len(data) > self._max_bytes:
            self._measure()
            if self._used + len(data) > self._max_bytes:
                raise SpoolFull(f"{self._max_bytes} bytes")
        if self._lock is None:
            open_folder(self._own)
            self._lock = _lock(self._own)
            if self._lock is None:
                raise PermissionError("the producer's spool folder is locked by another process")
        path = self._own / f"{parcel.first:016d}-{parcel.last:016d}.parcel"
        _write(path, data)
        self._used += len(data)
        parcel.path, parcel.body = path, None

    def load(self, parcel: Parcel) -> bytes:
        """The request of a parcel. Damaged, OSError."""
        with self._turn:
            if parcel.body is not None:
                return parcel.body
            if parcel.path is None:
                raise Damaged("it was never written")
            return _read(parcel.path)

    def drop(self, parcel: Parcel) -> None:
        """The parcel is delivered, or given up."""
        with self._turn:
            parcel.settled = True
            if parcel.path is not None:
                self._used -= _remove(parcel.path)
                parcel.path = None

    def set_aside(self, parcel: Parcel) -> None:
        """Keep a damaged file where it is never sent, for whoever wants to look at it; the newest few."""
        if parcel.path is None:
            return
        folder = self._root / DAMAGED
        open_folder(folder)
        os.replace(parcel.path, folder / f"{parcel.producer}.{parcel.path.name}")
        parcel.path = None
        for old in sorted(folder.iterdir(), key=lambda path: path.lstat().st_mtime)[:-MAX_DAMAGED]:
            self._used -= _remove(old)

    def close(self) -> None:
        """Let go of our folder; an empty one is removed."""
        self._release(self._own, self._lock)
        self._lock = None

    def forget(self) -> None:
        """In a child after fork: the folder is the parent's; only our copy of the lock's descriptor is closed."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def orphans(self) -> Iterator[tuple[str, Iterator[Parcel]]]:
        """(producer, its parcels in order) for each folder whose process is gone; locked while they are handled."""
        for folder in sorted(self._root.iterdir()):
            if folder == self._own or not _PRODUCER.fullmatch(folder.name) or folder.name == DAMAGED:
                continue
            try:
                open_folder(folder)
                lock = _lock(folder)
            except OSError:
                continue
            if lock is None:
                continue
            try:
                yield folder.name, self._parcels(folder)
            finally:
                self._release(folder, lock)

    def is_old(self, parcel: Parcel) -> bool:
        """Whether a spooled parcel is past the age bound."""
        return parcel.path is not None and time.time() - parcel.path.lstat().st_mtime > self._max_age_s

    def _parcels(self, folder: Path) -> Iterator[Parcel]:
        for path in sorted(folder.iterdir()):
            found = _NAME.fullmatch(path.name)
            if found is None:
                if path.suffix == MAKING:
                    self._used -= _remove(path)  # half written when the process died: never acknowledged, never sent
                continue
            yield Parcel(folder.name, int(found[1]), int(found[2]), None, path=path)

    def _release(self, folder: Path, lock: int | None) -> None:
        if lock is None:
            return
        try:
            if not any(path.name != "lock" for path in folder.iterdir()):
                (folder / "lock").unlink()
                folder.rmdir()
        except OSError:
            pass  # another process looks at it; the next start removes it
        finally:
            os.close(lock)

    def _measure(self) -> None:
        self._used, self._measured_at = sum(size for _, size in self._sizes()), time.monotonic()

    def _sizes(self) -> Iterator[tuple[Path, int]]:
        for folder in self._root.iterdir():
            if folder.is_dir() and not folder.is_symlink():
                for path in folder.iterdir():
                    try:
                        yield path, path.lstat().st_size
                    except OSError:
                        continue


def _lock(folder: Path) -> int | None:
    """The descriptor of a lock that the kernel drops with the process; None where another process holds it."""
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever removed the folder held the lock of a file that is gone: ours must be the one that is there.
        if os.fstat(fd).st_ino != os.lstat(folder / "lock").st_ino:
            raise BlockingIOError
    except OSError:
        os.close(fd)
        return None
    return fd


def _write(path: Path, data: bytes) -> None:
    made = path.with_suffix(MAKING)
    fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(made, path)
    except OSError:
        made.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        data = file.read(MAX_BODY_BYTES + 1)
    head, _, packed = data.partition(b"\n")
    if head != b"%b %b %d" % (HEADER, hashlib.sha256(packed).hexdigest().encode(), len(packed)):
        raise Damaged("header and content do not agree")
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(packed, MAX_BODY_BYTES)
    except zlib.error as error:
        raise Damaged("it cannot be inflated") from error
    if not inflater.eof:
        raise Damaged("it is over the limit, or not whole")
    return body


def _remove(path: Path) -> int:
    """Remove; the bytes that it held."""
    try:
        size = path.lstat().st_size
        path.unlink()
    except OSError:
        return 0
    return size
