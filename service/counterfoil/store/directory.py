"""The embedded directory: where each store of one service lies, and who serves it.

    ledger.db  keystore.db  index.db        the databases
    heads/                                  the last published checkpoint of each log
    keys/                                   signing keys and the master key, mode 0600
    exports/                                bundles that were built
    serving.lock                            held by the process that serves the directory

`heads` and `keystore` may be placed elsewhere: where they share the ledger's volume, a rollback of the whole directory
is not detectable here without a witness.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from counterfoil.core.errors import Fault, InputError

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
_LEDGER = "ledger.db"
_KEYSTORE = "keystore.db"
_INDEX = "index.db"


@dataclass(frozen=True, slots=True)
class Directory:
    """Paths and URLs of an embedded directory. Makes nothing unless `create` is called."""

    path: Path
    heads_path: Path | None = None
    keystore_path: Path | None = None

    @classmethod
    def at(cls, path: str | Path, *, heads: str | Path | None = None, keystore: str | Path | None = None) -> Directory:
        """The directory at `path`, with heads and keystore apart where named (both are directories)."""
        return cls(Path(path), Path(heads) if heads else None, Path(keystore) if keystore else None)

    @property
    def ledger_file(self) -> Path:
        return self.path / _LEDGER

    @property
    def keystore_file(self) -> Path:
        return (self.keystore_path or self.path) / _KEYSTORE

    @property
    def index_file(self) -> Path:
        return self.path / _INDEX

    @property
    def ledger_url(self) -> str:
        return _url(self.ledger_file)

    @property
    def keystore_url(self) -> str:
        return _url(self.keystore_file)

    @property
    def index_url(self) -> str:
        return _url(self.index_file)

    @property
    def heads(self) -> Path:
        return self.heads_path or self.path / "heads"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def exports(self) -> Path:
        return self.path / "exports"

    @property
    def rollback_visible(self) -> bool:
        """Whether heads and keystore both lie on other volumes than the ledger (`st_dev`)."""
        device = self.path.stat().st_dev
        return self.heads.stat().st_dev != device and self.keystore_file.parent.stat().st_dev != device

    def create(self) -> None:
        """Make the directories. Refuses a directory that already holds a ledger: nothing is ever overwritten."""
        for file in (self.ledger_file, self.keystore_file):
            if file.exists():
                raise InputError("already_initialised", f"{file} exists already; choose another directory")
        for path in (self.path, self.heads, self.keys, self.exports, self.keystore_file.parent):
            path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        for file in (self.ledger_file, self.keystore_file, self.index_file):
            # Made here, so that the mode does not depend on the umask that SQLite would use.
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, FILE_MODE))
        _fsync_directory(self.path)
        _fsync_directory(self.keystore_file.parent)

    def open(self) -> None:
        """Check that everything a service needs is there. State is never created by accident."""
        if not self.ledger_file.is_file():
            raise InputError("not_initialised", f"{self.path} is no Counterfoil directory; make one with `init`")
        for path in (self.keystore_file, self.heads, self.keys):
            if not path.exists():
                raise Fault(f"{path} is missing: restore it from its backup, or name where it is")

    @contextmanager
    def lock_serving(self) -> Iterator[None]:
        """Hold the directory for one service (also reindex and restore). Refused while another process holds it."""
        descriptor = os.open(self.path / "serving.lock", os.O_RDWR | os.O_CREAT, FILE_MODE)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
                raise InputError("already_serving", f"{self.path} is served by process {holder}") from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)  # this also releases the lock; a killed process releases it too


def _url(file: Path) -> str:
    return f"sqlite:///{file}"


def _fsync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
