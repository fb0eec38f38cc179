"""Build, check, release: a bundle gets its name only after the auditor's own verifier accepted it.

Order, and what a crash after each step leaves:
1. build into `<name>.part`, mode 0600, and flush it to the disk. *A part file, removed at the next start.*
2. verify the part file with `counterfoil.verify` under the service's own policy. *The same.*
3. rename, flush the directory. *A bundle that no job names; the job is built again over it.*
A verification that does not end in VERIFIED removes the file: it is never released, and the error names the step.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from counterfoil.core.encoding import decode_base64
from counterfoil.core.errors import Fault
from counterfoil.evidence.bundle import Built, Progress
from counterfoil.evidence.verification import verify_built
from counterfoil.store.errors import StorageError
from counterfoil.verify.report import Report, Verdict

PART = ".part"
FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


class NotVerified(Fault):
    """The finished bundle does not verify: it is not released. `step` is the number of the first step that failed."""

    code = "export_not_verified"

    def __init__(self, report: Report) -> None:
        failed = next((step for step in report.steps if step.outcome.value in ("failed", "incomplete")), None)
        where = "" if failed is None else f" at step {failed.number} ({failed.name}), {failed.file}: {failed.message}"
        super().__init__(f"the bundle was built, but its verification ended as {report.result.value}{where}")
        self.step = None if failed is None else failed.number


@dataclass(frozen=True, slots=True)
class Released:
    """A bundle that verified, at its final name."""

    path: Path
    sha256: bytes
    size: int
    built: Built

    @property
    def tree_size(self) -> int:
        """Size of the checkpoint."""
        return int(self.built.population["tree_size"])

    @property
    def root(self) -> bytes:
        """Root hash of the checkpoint."""
        return decode_base64(self.built.population["root"])

    @property
    def count(self) -> int:
        """Records presented."""
        return int(self.built.population["count"])


class _HashingFile:
    """A file that is written once from front to back, hashed on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Append."""
        self.sha256.update(data)
        self.size += len(data)
        return self._file.write(data)


def build_and_verify(
    target: Path,
    build: Callable[[BinaryIO], Built],
    policy: str,
    *,
    since: bytes | None,
    progress: Progress,
    verifying: Callable[[], None] = lambda: None,
) -> Released:
    """The bundle that `build` writes, at `target`, verified. `verifying` is called when its check begins.

    What `build` reads it gives back before it returns: a check takes as long as a build, and a snapshot that is held
    meanwhile keeps the store from taking the WAL in. `progress` may raise, to stop: nothing is left then. StorageError
    where the files cannot be written.
    """
    part = target.with_name(target.name + PART)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE), "wb") as file:
            out = _HashingFile(file)
            built = build(cast(BinaryIO, out))
            file.flush()
            os.fsync(file.fileno())
        verifying()
        report = verify_built(part, policy, since, built.population["count"], progress)
        if report.result is not Verdict.VERIFIED:
            raise NotVerified(report)
        part.rename(target)
        fsync_directory(target.parent)
        return Released(target, out.sha256.digest(), out.size, built)
    except OSError as error:
        raise StorageError(f"the bundle cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def remove_parts(directory: Path) -> int:
    """Remove what a crash left; how many files."""
    parts = list(directory.glob(f"*{PART}"))
    for part in parts:
        part.unlink(missing_ok=True)
    return len(parts)


def fsync_directory(path: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
