"""Bodies of the export routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from counterfoil.core.encoding import encode_base64, format_time_us
from counterfoil.core.note import MAX_NOTE_BYTES
from counterfoil.evidence.jobs import ExportJob
from counterfoil.evidence.request import MAX_PURPOSE_CHARS, MAX_SEQS
from counterfoil.evidence.scope import MAX_REASON_CHARS, MAX_REDACTED_SEQS, MAX_REDACTIONS

Seq = Annotated[int, Field(ge=0, lt=2**53, strict=True)]
Seqs = Annotated[list[Seq], Field(min_length=1, max_length=MAX_SEQS)]


class ContentFields(BaseModel):
    """Only these content fields."""

    model_config = ConfigDict(extra="forbid")

    fields: Annotated[list[str], Field(min_length=1, max_length=64)]


class Redaction(BaseModel):
    """One field withheld, and why: of the records `seqs`, or of every record presented."""

    model_config = ConfigDict(extra="forbid")

    field: Annotated[str, Field(min_length=1, max_length=64)]
    seqs: Annotated[list[Seq], Field(min_length=1, max_length=MAX_REDACTED_SEQS)] | None = None
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON_CHARS)]
    ground: Annotated[str, Field(min_length=1, max_length=MAX_REASON_CHARS, description="The legal ground.")]


class ExportWanted(BaseModel):
    """What to export, and why."""

    model_config = ConfigDict(extra="forbid")

    log: Annotated[str, Field(min_length=1, max_length=64, description="Short name of the log.")]
    form: Annotated[
        Literal["range", "selection"],
        Field(description="`range`: nothing that matches is left out. `selection`: chosen records."),
    ] = "range"
    filter: Annotated[
        dict[str, str | list[str]],
        Field(
            description="Leaf filters (kind, agent, from, to, ...). A selection also takes q, derived, started_from "
            "and started_to.",
        ),
    ] = {}
    seqs: Annotated[Seqs | None, Field(description="Record numbers, for a selection.")] = None
    since: Annotated[
        str | None,
        Field(max_length=MAX_NOTE_BYTES, description="A checkpoint that you kept: proves that the log extends it."),
    ] = None
    purpose: Annotated[str, Field(min_length=1, max_length=MAX_PURPOSE_CHARS, description="Why; kept on record.")]
    content: Literal["all", "none"] | ContentFields = "all"
    redactions: Annotated[list[Redaction], Field(max_length=MAX_REDACTIONS)] = []

    def given(self) -> dict[str, Any]:
        """The request as `parse_request` takes it."""
        return self.model_dump(exclude_none=True)


class ProgressMade(BaseModel):
    """Records read, of how many."""

    done: int
    total: int


class CheckpointSeen(BaseModel):
    """The checkpoint that the bundle stands at."""

    tree_size: int
    root: str


class Export(BaseModel):
    """An export job."""

    id: str
    log: str
    form: str
    filter: Annotated[str, Field(description="The leaf filter in its canonical text.")]
    purpose: str
    requested_by: Annotated[str, Field(description="Id of the key that asked.")]
    requested_at: str
    status: Literal["queued", "building", "verifying", "released", "failed"]
    progress: ProgressMade
    error: Annotated[str | None, Field(description="Why it failed, beginning with a stable code.")] = None
    step: Annotated[int | None, Field(description="The step of the verification that the bundle did not pass.")] = None
    records: Annotated[int | None, Field(description="Records presented.")] = None
    checkpoint: CheckpointSeen | None = None
    digest: Annotated[str | None, Field(description="SHA-256 of the bundle, in hex.")] = None
    size: Annotated[int | None, Field(description="Bytes of the bundle.")] = None
    started_at: str | None = None
    finished_at: str | None = None
    bundle: Annotated[str | None, Field(description="Where to fetch it, once it is released.")] = None

    @classmethod
    def of(cls, job: ExportJob, log_name: str) -> Export:
        """The job as the API shows it."""
        checkpoint = None
        if job.tree_size is not None and job.root is not None:
            checkpoint = CheckpointSeen(tree_size=job.tree_size, root=encode_base64(job.root))
        return cls(
            id=job.id,
            log=log_name,
            form=job.form,
            filter=job.filter_text,
            purpose=job.purpose,
            requested_by=job.requested_by,
            requested_at=format_time_us(job.requested_us),
            status=job.status.value,
            progress=ProgressMade(done=job.done, total=job.total),
            error=job.error,
            step=job.step,
            records=job.matched,
            checkpoint=checkpoint,
            digest=None if job.digest is None else job.digest.hex(),
            size=job.size,
            started_at=None if job.started_us is None else format_time_us(job.started_us),
            finished_at=None if job.finished_us is None else format_time_us(job.finished_us),
            bundle=f"/api/v1/exports/{job.id}/bundle" if job.digest is not None else None,
        )


class ExportPage(BaseModel):
    """Export jobs, newest first."""

    items: list[Export]
    next: str | None = None
