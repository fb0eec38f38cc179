"""The worker: builds queued jobs one at a time, and takes up what a crash left.

A job is put down when the service stops (back into the queue, built again at the next start) and given up by name when
it cannot be done. One bad job never ends the worker.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from counterfoil.core.errors import CounterfoilError, EvidenceError, Fault
from counterfoil.evidence import jobs
from counterfoil.evidence.bundle import Progress
from counterfoil.evidence.jobs import ExportJob, Status
from counterfoil.evidence.produce import Producer
from counterfoil.evidence.release import DIRECTORY_MODE, NotVerified, Released, remove_parts
from counterfoil.evidence.request import ExportRequest, parse_request
from counterfoil.evidence.trace import Asker, record_release
from counterfoil.log.logs import Logs

PROGRESS_EVERY_S = 0.5
"""How often the row of a job in work is updated."""
IDLE_S = 5.0
MAX_ERROR_CHARS = 2_000
_ID = re.compile(r"exp_[0-9a-f]{32}")

_log = logging.getLogger("counterfoil.evidence")


class Worker:
    """Builds the jobs of one service into the directory `exports`."""

    def __init__(self, logs: Logs, exports: Path, producer: Producer, checkpoint_wait_s: float) -> None:
        self._logs = logs
        self._exports = exports
        self._producer = producer
        self._checkpoint_wait_s = checkpoint_wait_s
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._owed: tuple[ExportJob, dict[str, Any]] | None = None
        """A release that is on record in the log and not yet in its job's row."""

    def wake(self) -> None:
        """A job was queued."""
        self._wake.set()

    def start(self) -> None:
        """Begin to work: clear what a crash left, then build what is queued, in a thread of its own."""
        self._exports.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        remove_parts(self._exports)
        jobs.requeue_interrupted(self._logs.ledger, self._logs.clock.now_us())
        self._thread = threading.Thread(target=self._work, name="exports", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the job in hand is put down; it is built again at the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def run_next(self) -> bool:
        """Build the job that has waited longest; False where none waits.

        StorageError where its row cannot be written. A release that is on record is noted at the next call then.
        """
        self._note_owed()
        with self._logs.ledger.read() as connection:
            job = jobs.next_queued(connection)
        if job is None:
            return False
        values = {"status": Status.BUILDING.value, "attempts": job.attempts + 1, "done": 0, "total": 0}
        self._update(job, started_us=self._logs.clock.now_us(), **values)
        try:
            released = self._build(job)
        except _PutDown:
            self._update(job, status=Status.QUEUED.value, attempts=job.attempts)
        except CounterfoilError as error:
            self._fail(job, error)
        except Exception as error:  # noqa: BLE001 - the outermost edge of the worker: one bad job must not end it
            _log.exception("export %s failed", job.id, exc_info=error)
            self._fail(job, Fault("the service failed; its log says why"))
        else:
            # From here on the log says that this bundle was released, so no failure may take the file away.
            # Crash here: the job is built and recorded once more at the next start. No bundle is lost.
            self._owed = job, self._values_of(released)
            self._note_owed()
        return True

    def _note_owed(self) -> None:
        if self._owed is not None:
            job, values = self._owed
            self._update(job, **values)
            self._owed = None

    def _values_of(self, released: Released) -> dict[str, Any]:
        return {
            "status": Status.RELEASED.value,
            "path": released.path.name,
            "digest": released.sha256,
            "size": released.size,
            "tree_size": released.tree_size,
            "root": released.root,
            "matched": released.count,
            "finished_us": self._logs.clock.now_us(),
        }

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                worked = self.run_next()
            except CounterfoilError as error:
                # The ledger cannot be read or written now. Nothing is lost: the job is still queued, or requeued later.
                _log.error("exports wait: %s", error)
                worked = False
            if not worked:
                self._wake.wait(IDLE_S)

    def _build(self, job: ExportJob) -> Released:
        """The bundle, verified, and its release on record."""
        log = self._logs.by_id(job.log_id)
        request = request_of(job)
        asker = Asker(job.requested_by, _name_in(job), job.requested_role)
        released = self._producer.produce(
            bundle_path(self._exports, job.id),
            log,
            request,
            asker,
            export_id=job.id,
            requested_us=job.requested_us,
            progress=self._progress(job),
            verifying=lambda: self._update(job, status=Status.VERIFYING.value),
            wait_s=self._checkpoint_wait_s,
        )
        record_release(self._logs, log, job.id, request, released)
        return released

    def _progress(self, job: ExportJob) -> Progress:
        due = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal due
            if self._stopping.is_set():
                raise _PutDown
            if 0 < done == total or time.monotonic() >= due:
                due = time.monotonic() + PROGRESS_EVERY_S
                self._update(job, done=done, total=total)

        return progress

    def _fail(self, job: ExportJob, error: CounterfoilError) -> None:
        code = getattr(error, "code", None) or getattr(error, "check", None) or "internal"
        step = error.step if isinstance(error, NotVerified) else None
        text = str(error) if isinstance(error, EvidenceError) else f"{code}: {error}"
        _log.error("export %s failed: %s", job.id, text)
        # A bundle that was finished but whose release could not be recorded is not released.
        bundle_path(self._exports, job.id).unlink(missing_ok=True)
        finished_us = self._logs.clock.now_us()
        self._update(job, status=Status.FAILED.value, error=text[:MAX_ERROR_CHARS], step=step, finished_us=finished_us)

    def _update(self, job: ExportJob, **values: Any) -> None:
        with self._logs.ledger.write() as connection:
            jobs.update_job(connection, job.id, **values)


class _PutDown(Exception):
    """The service stops: the job goes back into the queue."""


def bundle_path(exports: Path, export_id: str) -> Path:
    """Where the bundle of a job lies. An id that we did not make names no file."""
    if _ID.fullmatch(export_id) is None:
        raise Fault("an export has an id that is not ours")
    return exports / f"{export_id}.zip"


def request_of(job: ExportJob) -> ExportRequest:
    """The request that a job keeps, with what the role of who asked was allowed then."""
    stored = orjson.loads(job.request)
    request = parse_request(stored["request"])
    return replace(request, scope=replace(request.scope, permitted=stored["permitted"]))


def _name_in(job: ExportJob) -> str:
    return str(orjson.loads(job.request)["name"])
