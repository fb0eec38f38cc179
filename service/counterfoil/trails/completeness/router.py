"""`GET /api/v1/completeness`: producers and verdicts. Read from the query string as pairs, checked in `query`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from counterfoil.identity.permissions import CanReadFacts
from counterfoil.trails.completeness.schemas import CompletenessOut
from counterfoil.trails.completeness.service import Completeness
from counterfoil.trails.completeness.verdict import Verdict
from counterfoil.trails.query import DEFAULT_LIMIT, MAX_LIMIT

router = APIRouter(tags=["completeness"])

_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/problem+json": {}}}
    for status, text in {
        400: "A parameter is wrong; `code` and `item` say which and why.",
        401: "No valid key.",
        403: "The key's role may not do this.",
        404: "There is no such log, or it is not yours.",
    }.items()
}


def get_service(request: Request) -> Completeness:
    """The service behind the route."""
    service: Completeness = request.app.state.completeness
    return service


def _parameter(name: str, description: str, *, many: bool = False, **schema: Any) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "string", **schema}
    shown = {"type": "array", "items": value} if many else value
    return {"name": name, "in": "query", "required": False, "description": description, "schema": shown}


_PARAMETERS = [
    _parameter("log", "Short name of a log. Several values are alternatives, here and below.", many=True),
    _parameter("writer", "Id of the key that it sends with.", many=True),
    _parameter("producer", "Its own id; such a producer shows all its ranges.", many=True),
    _parameter("verdict", "A verdict that holds, the gravest or not.", many=True, enum=[str(one) for one in Verdict]),
    _parameter("from", "Heard of at or after (RFC 3339, as recorded)."),
    _parameter("to", "First heard of before (RFC 3339, as recorded)."),
    _parameter(
        "dropped",
        "true: count what the SDKs of those without numbers say that they dropped; reads content, so it is on record.",
        enum=["true", "false"],
    ),
    _parameter("limit", "Producers in a page.", type="integer", minimum=1, maximum=MAX_LIMIT, default=DEFAULT_LIMIT),
    _parameter("cursor", "`next` of the page before."),
]


@router.get(
    "/api/v1/completeness",
    summary="Producers, and whether anything was left out",
    responses=_RESPONSES,
    openapi_extra={"parameters": _PARAMETERS},
)
def read_completeness(
    request: Request, principal: CanReadFacts, completeness: Annotated[Completeness, Depends(get_service)]
) -> CompletenessOut:
    """For each producer what it numbered, delivered, declared lost and left out; newest first.

    What is concluded is never more than was demonstrated: see `summary.statement`.
    """
    return CompletenessOut.of(completeness.report(principal, request.query_params.multi_items()))
