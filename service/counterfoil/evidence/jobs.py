"""Export jobs as rows: what was asked for, how far it is, how it ended.

    queued -> building -> verifying -> released
                 |            |
                 +------------+---------> failed (error: a stable code and why; step: of the verification)

A process that dies leaves `building` or `verifying`: the next start puts such a job back into the queue, and gives it
up after `MAX_ATTEMPTS`, so that a job that kills the service cannot do so for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, func, insert, or_, select, update

from counterfoil.evidence.tables import exports
from counterfoil.store.database import Database

MAX_ATTEMPTS = 3


class Status(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    BUILDING = "building"
    VERIFYING = "verifying"
    RELEASED = "released"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self in (Status.RELEASED, Status.FAILED)


@dataclass(frozen=True, slots=True)
class ExportJob:
    """One row of `exports`."""

    id: str
    tenant_id: int
    log_id: int
    form: str
    filter_text: str
    request: str
    request_digest: bytes
    idempotency_key: str | None
    purpose: str
    requested_by: str
    requested_role: str
    requested_us: int
    status: Status
    attempts: int
    done: int
    total: int
    error: str | None
    step: int | None
    path: str | None
    digest: bytes | None
    size: int | None
    tree_size: int | None
    root: bytes | None
    matched: int | None
    started_us: int | None
    finished_us: int | None


_COLUMNS = tuple(ExportJob.__slots__)
_SELECT = select(*(exports.c[name] for name in _COLUMNS))


def _jobs(connection: Connection, query: Any) -> list[ExportJob]:
    return [ExportJob(**{**row, "status": Status(row["status"])}) for row in connection.execute(query).mappings()]


def insert_job(connection: Connection, job: ExportJob) -> None:
    """A new row; the store refuses a second one under the same idempotency key."""
    connection.execute(insert(exports).values({name: getattr(job, name) for name in _COLUMNS}))


def find_job(connection: Connection, job_id: str) -> ExportJob | None:
    """The job with this id."""
    return next(iter(_jobs(connection, _SELECT.where(exports.c.id == job_id))), None)


def find_repeated(connection: Connection, requested_by: str, idempotency_key: str) -> ExportJob | None:
    """The job that this credential asked for under this key before."""
    query = _SELECT.where(exports.c.requested_by == requested_by, exports.c.idempotency_key == idempotency_key)
    return next(iter(_jobs(connection, query)), None)


def list_jobs(
    connection: Connection, tenant_id: int, log_id: int | None, before: tuple[int, str] | None, limit: int
) -> list[ExportJob]:
    """Jobs of a tenant (of one log), newest first, `before` (requested_us, id) for the next page."""
    query = _SELECT.where(exports.c.tenant_id == tenant_id)
    if log_id is not None:
        query = query.where(exports.c.log_id == log_id)
    if before is not None:
        earlier = and_(exports.c.requested_us == before[0], exports.c.id < before[1])
        query = query.where(or_(exports.c.requested_us < before[0], earlier))
    return _jobs(connection, query.order_by(exports.c.requested_us.desc(), exports.c.id.desc()).limit(limit))


def count_waiting(connection: Connection, tenant_id: int) -> int:
    """Jobs of a tenant that are not done yet."""
    open_ones = [status.value for status in Status if not status.is_final]
    query = select(func.count()).where(exports.c.tenant_id == tenant_id, exports.c.status.in_(open_ones))
    return int(connection.execute(query).scalar_one())


def next_queued(connection: Connection) -> ExportJob | None:
    """The job that has waited longest."""
    query = (
        _SELECT.where(exports.c.status == Status.QUEUED.value).order_by(exports.c.requested_us, exports.c.id).limit(1)
    )
    return next(iter(_jobs(connection, query)), None)


def update_job(connection: Connection, job_id: str, **values: Any) -> None:
    """Change columns of one job."""
    connection.execute(update(exports).where(exports.c.id == job_id).values(**values))


def requeue_interrupted(database: Database, now_us: int) -> Sequence[ExportJob]:
    """Jobs that a process left half done: queued again, or failed after `MAX_ATTEMPTS`. Those as they were."""
    with database.write() as connection:
        half_done = _jobs(
            connection, _SELECT.where(exports.c.status.in_((Status.BUILDING.value, Status.VERIFYING.value)))
        )
        for job in half_done:
            if job.attempts < MAX_ATTEMPTS:
                update_job(connection, job.id, status=Status.QUEUED.value, done=0, total=0)
            else:
                message = f"interrupted: the service ended {job.attempts} times while it built this"
                update_job(connection, job.id, status=Status.FAILED.value, error=message, finished_us=now_us)
    return half_done
