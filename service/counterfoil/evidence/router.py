"""Export routes: ask for a bundle, watch it being built, fetch it.

Reviewers and auditors may ask; administrators may not. What an export may hold is decided by the role of who asked, at
the time of asking. A job of another tenant, or of a log outside the key's scope, is not found.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from counterfoil.evidence.schemas import Export, ExportPage, ExportWanted
from counterfoil.evidence.service import MAX_KEY_CHARS, MAX_PAGE, Evidence
from counterfoil.identity.permissions import CanExport

ZIP = "application/zip"

router = APIRouter(prefix="/api/v1/exports", tags=["evidence"])


def get_service(request: Request) -> Evidence:
    """The room's service."""
    service: Evidence = request.app.state.evidence
    return service


Service = Annotated[Evidence, Depends(get_service)]


@router.post("", status_code=202, summary="Ask for a bundle")
def request_export(
    principal: CanExport,
    service: Service,
    wanted: ExportWanted,
    response: Response,
    idempotency_key: Annotated[
        str | None,
        Header(max_length=MAX_KEY_CHARS, description="The same key with the same body gives the same job again."),
    ] = None,
) -> Export:
    """The job, queued. It is built, verified by the service itself and then released; look at `Location`."""
    job, log = service.request(principal, wanted.given(), idempotency_key=idempotency_key)
    response.headers["Location"] = f"/api/v1/exports/{job.id}"
    return Export.of(job, log.name)


@router.get("", summary="List exports")
def list_exports(
    principal: CanExport,
    service: Service,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=MAX_KEY_CHARS)] = None,
) -> ExportPage:
    """The exports of the tenant (of the key's log), newest first."""
    page = service.list(principal, limit, cursor)
    return ExportPage(items=[Export.of(job, log.name) for job, log in page.jobs], next=page.next)


@router.get("/{export_id}", summary="One export")
def show_export(principal: CanExport, service: Service, export_id: str) -> Export:
    """Where the job stands."""
    job, log = service.job(principal, export_id)
    return Export.of(job, log.name)


@router.get(
    "/{export_id}/bundle",
    summary="Fetch the bundle",
    response_class=StreamingResponse,
    responses={200: {"content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}}},
)
def fetch_bundle(principal: CanExport, service: Service, export_id: str) -> StreamingResponse:
    """The released bundle. Each download is on record before the first byte leaves."""
    job, name, chunks = service.open_bundle(principal, export_id)
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Length": str(job.size),
        "ETag": f'"{(job.digest or b"").hex()}"',
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(chunks, media_type=ZIP, headers=headers)
