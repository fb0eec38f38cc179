"""Exports as the other rooms see them: ask for one, watch it, fetch it.

    evidence = Evidence(logs, directory.exports, rollback_visible=..., stores=...)
    evidence.start()                                     one worker thread; picks up what a crash left
    job = evidence.request(principal, {...}, idempotency_key="...")
    evidence.job(principal, job.id)
    evidence.open_bundle(principal, job.id)              recorded before the first byte leaves
    evidence.close()

Jobs are built one at a time: a bundle of a whole log reads the whole log, and agents come first.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection

from counterfoil.core.encoding import decode_base64url, encode_base64url, parse_decimal
from counterfoil.core.errors import EvidenceError, Fault, InputError
from counterfoil.evidence import jobs
from counterfoil.evidence.canonical import to_json
from counterfoil.evidence.jobs import ExportJob, Status
from counterfoil.evidence.produce import CHECKPOINT_WAIT_S, Producer
from counterfoil.evidence.request import ExportRequest, parse_request
from counterfoil.evidence.trace import Asker, record_download, record_request
from counterfoil.evidence.worker import Worker, bundle_path, request_of
from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Permission
from counterfoil.log.batch import LogInfo
from counterfoil.log.logs import Logs
from counterfoil.log.masterkey import derive, load_master_key
from counterfoil.store.errors import Refused
from counterfoil.trails.stores import Stores

MAX_WAITING = 100
"""Jobs of one tenant that may wait or be in work; beyond it 429."""
MAX_PAGE = 200
MAX_KEY_CHARS = 255
CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Page:
    """One page of jobs, newest first, and the cursor of the next."""

    jobs: list[tuple[ExportJob, LogInfo]]
    next: str | None


class Evidence:
    """The exports of one service. Safe to share between threads."""

    def __init__(
        self,
        logs: Logs,
        exports: Path,
        *,
        rollback_visible: bool = False,
        stores: Stores | None = None,
        checkpoint_wait_s: float = CHECKPOINT_WAIT_S,
    ) -> None:
        """Bundles go into the directory `exports`. `stores` holds the index, for selections found by a search."""
        self._logs = logs
        self._exports = exports
        self._producer = Producer(logs, rollback_visible=rollback_visible, stores=stores)
        self._worker = Worker(logs, exports, self._producer, checkpoint_wait_s)

    # -- asking and looking ---------------------------------------------------------------------------------------

    def request(
        self, principal: Principal, given: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> tuple[ExportJob, LogInfo]:
        """Queue an export. InputErrors say what is wrong; the same idempotency key gives the same job again."""
        request = parse_request(given, may_read_content=principal.may(Permission.READ_CONTENT))
        log = self._log_for(principal, request.log)
        digest = self._digest(log, request)
        if idempotency_key is not None:
            with self._logs.ledger.read() as connection:
                repeated = _repeated(connection, principal, _checked_key(idempotency_key), digest)
            if repeated is not None:
                return repeated, self._logs.by_id(repeated.log_id)
        request = self._producer.localise(log, request)
        with self._logs.ledger.read() as connection:
            _check_room(connection, principal)  # here, so that most of what is refused leaves no record
        export_id = f"exp_{secrets.token_hex(16)}"
        asker = Asker(principal.credential_id, principal.name, principal.role.value)
        record_request(self._logs, log, asker, export_id, request)
        # Crash or refusal here: the request stands in the logs, and nothing was queued; nobody was told that it was.
        job = _new_job(export_id, log, asker, request, digest, idempotency_key, self._logs.clock.now_us())
        try:
            with self._logs.ledger.write() as connection:
                # The same key may have come twice at once; the one that was first is the job.
                first = None
                if idempotency_key is not None:
                    first = _repeated(connection, principal, idempotency_key, digest)
                if first is None:
                    _check_room(connection, principal)
                    jobs.insert_job(connection, job)
        except Refused:
            # On PostgreSQL the other transaction may not have ended when this one looked.
            if idempotency_key is None:
                raise
            with self._logs.ledger.read() as connection:
                first = _repeated(connection, principal, idempotency_key, digest)
            if first is None:
                raise
        job = first or job
        self._worker.wake()
        return job, log

    def job(self, principal: Principal, export_id: str) -> tuple[ExportJob, LogInfo]:
        """One job; what is another tenant's, or outside the credential's log, is not found."""
        with self._logs.ledger.read() as connection:
            job = jobs.find_job(connection, export_id) if len(export_id) <= MAX_KEY_CHARS else None
        if job is None or not self._may_see(principal, job):
            raise _not_found("export")
        return job, self._logs.by_id(job.log_id)

    def list(self, principal: Principal, limit: int, cursor: str | None) -> Page:
        """Jobs that this credential may see, newest first."""
        limit = max(1, min(limit, MAX_PAGE))
        before = None if cursor is None else _parse_cursor(cursor)
        with self._logs.ledger.read() as connection:
            found = jobs.list_jobs(connection, principal.tenant_id, principal.log_id, before, limit + 1)
        page = found[:limit]
        following = _format_cursor(page[-1]) if len(found) > limit else None
        shown = [job for job in page if self._may_see(principal, job)]
        return Page([(job, self._logs.by_id(job.log_id)) for job in shown], following)

    def open_bundle(self, principal: Principal, export_id: str) -> tuple[ExportJob, str, Iterator[bytes]]:
        """The released bundle as a stream, with a file name; the download is on record when this returns."""
        job, log = self.job(principal, export_id)
        if job.status is not Status.RELEASED or job.digest is None:
            raise InputError("conflict", f"this export is {job.status}, not released", item="id")
        if holds_content(job) and not principal.may(Permission.READ_CONTENT):
            raise InputError("forbidden", "your role may not read the content in this bundle", item="id")
        # From the id, not from the row's `path`: whoever can write rows must not choose which file leaves.
        path = bundle_path(self._exports, job.id)
        if not path.is_file() or path.stat().st_size != job.size:
            raise Fault("the released bundle is not where it was put: ask for it again")
        asker = Asker(principal.credential_id, principal.name, principal.role.value)
        record_download(self._logs, log, asker, job.id, job.matched or 0, job.digest)
        return job, f"counterfoil-{log.name}-{job.id}.zip", _stream(path, job.digest)

    def _may_see(self, principal: Principal, job: ExportJob) -> bool:
        if not principal.may_see(job.tenant_id, job.log_id):
            return False
        return self._logs.by_id(job.log_id).purpose != "access" or principal.may(Permission.READ_ACCESS)

    def _digest(self, log: LogInfo, request: ExportRequest) -> bytes:
        """What tells a repeated request from another one under the same idempotency key.

        Of the request as it was given: which pseudonym an identifier has may change meanwhile. Identifiers of people
        stand in it, so it is keyed: without the master key nobody can try out names on it.
        """
        key = derive(load_master_key(self._logs.keys_dir), "export-requests", log.id)
        return hmac.digest(key, to_json(request.parsed()), "sha256")

    def _log_for(self, principal: Principal, name: str) -> LogInfo:
        log = self._logs.by_name(principal.tenant_id, name)
        if log is None or not principal.may_see(log.tenant_id, log.id):
            raise _not_found("log")
        if log.purpose == "access" and not principal.may(Permission.READ_ACCESS):
            raise InputError("forbidden", "your role may not read the access log", item="log")
        return log

    # -- building -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to build what is queued, in a thread of its own."""
        self._worker.start()

    def close(self) -> None:
        """Stop; a job in hand is put down and built again at the next start."""
        self._worker.close()

    def run_next(self) -> bool:
        """Build the job that has waited longest, in this thread; False where none waits."""
        return self._worker.run_next()


def _repeated(connection: Connection, principal: Principal, key: str, digest: bytes) -> ExportJob | None:
    """The job that this credential made under this key; InputError where that was another request."""
    job = jobs.find_repeated(connection, principal.credential_id, key)
    if job is not None and not hmac.compare_digest(job.request_digest, digest):
        raise InputError(
            "idempotency_conflict", "this Idempotency-Key was used for another request", item="Idempotency-Key"
        )
    return job


def _check_room(connection: Connection, principal: Principal) -> None:
    waiting = jobs.count_waiting(connection, principal.tenant_id)
    if waiting >= MAX_WAITING:
        raise InputError("busy", f"{waiting} exports are waiting already; the limit is {MAX_WAITING}")


def _new_job(
    export_id: str,
    log: LogInfo,
    asker: Asker,
    request: ExportRequest,
    digest: bytes,
    idempotency_key: str | None,
    now_us: int,
) -> ExportJob:
    stored = {
        "request": request.parsed(),
        "permitted": request.scope.permitted,
        "name": asker.name,
    }
    return ExportJob(
        id=export_id,
        tenant_id=log.tenant_id,
        log_id=log.id,
        form=request.form,
        filter_text=request.filter.text(),
        request=orjson.dumps(stored).decode(),
        request_digest=digest,
        idempotency_key=idempotency_key,
        purpose=request.purpose,
        requested_by=asker.credential_id or "",
        requested_role=asker.role,
        requested_us=now_us,
        status=Status.QUEUED,
        attempts=0,
        done=0,
        total=0,
        error=None,
        step=None,
        path=None,
        digest=None,
        size=None,
        tree_size=None,
        root=None,
        matched=None,
        started_us=None,
        finished_us=None,
    )


def holds_content(job: ExportJob) -> bool:
    """Whether the bundle of this job may disclose content."""
    return not request_of(job).scope.is_empty


def _stream(path: Path, digest: bytes) -> Iterator[bytes]:
    """The file's bytes. The last chunk leaves only if all of it is what was released: else the stream breaks off."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        held = b""
        while chunk := file.read(CHUNK_BYTES):
            found.update(chunk)
            if held:
                yield held
            held = chunk
        if found.digest() != digest:
            raise Fault(f"{path.name} is not the bundle that was released")
        yield held


def _checked_key(key: str) -> str:
    if not 1 <= len(key) <= MAX_KEY_CHARS or not key.isascii() or not key.isprintable():
        raise InputError(
            "bad_idempotency_key", f"1 to {MAX_KEY_CHARS} printable ASCII characters", item="Idempotency-Key"
        )
    return key


def _format_cursor(job: ExportJob) -> str:
    return encode_base64url(f"{job.requested_us} {job.id}".encode())


def _parse_cursor(cursor: str) -> tuple[int, str]:
    try:
        at, _, job_id = decode_base64url(cursor[:MAX_KEY_CHARS]).decode("ascii").partition(" ")
        return parse_decimal(at), job_id
    except (EvidenceError, UnicodeDecodeError):
        raise InputError("bad_cursor", "not a cursor of this list", item="cursor") from None


def _not_found(what: str) -> InputError:
    """The same for what is absent and for what belongs to somebody else."""
    return InputError("not_found", f"there is no such {what}", item=what)
