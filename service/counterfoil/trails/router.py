"""Search, records, interactions and trails over HTTP. Plain functions: they run in the server's thread pool.

Parameters are read from the query string as pairs, because a filter may be given several times; they are documented
here and checked in `query` and `interactions`.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from counterfoil.core.errors import InputError
from counterfoil.core.filter import LEAF_FILTERS
from counterfoil.identity.permissions import CanReadContent, CanReadFacts
from counterfoil.trails.derive.conclusion import RULES
from counterfoil.trails.interactions import FILTERS
from counterfoil.trails.query import MAX_LIMIT, parse_page
from counterfoil.trails.query import Page as TrailPage
from counterfoil.trails.schemas import InteractionList, RecordList, RecordOut, TrailOut
from counterfoil.trails.service import Trails
from counterfoil.trails.trail import DEFAULT_LIMIT as TRAIL_LIMIT
from counterfoil.trails.trail import MAX_LIMIT as TRAIL_MAX_LIMIT

router = APIRouter(tags=["trails"])

PROBLEM: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/problem+json": {}}}
    for status, text in {
        400: "A parameter is wrong; `code` and `item` say which and why.",
        401: "No valid key.",
        403: "The key's role may not do this.",
    }.items()
}
NOT_FOUND: dict[int | str, dict[str, Any]] = {
    **PROBLEM,
    404: {"description": "Not here, or not yours.", "content": {"application/problem+json": {}}},
}


def get_service(request: Request) -> Trails:
    """The room's service."""
    service: Trails = request.app.state.trails
    return service


Service = Annotated[Trails, Depends(get_service)]


def _parameter(name: str, description: str, *, many: bool = False, **schema: Any) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "string", **schema}
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "array", "items": value} if many else value,
    }


_PAGING = [
    _parameter("limit", "Items in a page.", type="integer", minimum=1, maximum=MAX_LIMIT, default=50),
    _parameter("cursor", "`next` of the page before."),
    _parameter("order", "Newest first, or oldest first.", enum=["newest", "oldest"], default="newest"),
]
_TIMES = {
    "from": "Recorded at or after (RFC 3339).",
    "to": "Recorded before (RFC 3339).",
}
_RULES = [rule.name for rule in RULES if rule.indexed]
_SEARCH = [
    *(
        _parameter(name, f"As reported: {name}. Several values are alternatives.", many=True)
        for name in sorted(LEAF_FILTERS - _TIMES.keys())
    ),
    *(_parameter(name, text) for name, text in _TIMES.items()),
    _parameter("q", 'Words, "phrases" and prefix*, all of which must occur.'),
    _parameter(
        "derived",
        "true: only records about which a rule concluded something. `fallback` (trigger), `handoff` (state), "
        "`oversight` (verdict), `decision_type` (tool_call, handoff, answer) and `outcome` (what was chosen) then "
        "ask for what was concluded; every other filter for the record itself.",
        enum=["true", "false"],
    ),
    _parameter("rule", "Concluded by this rule (docs/trails.md); means `derived`.", many=True, enum=_RULES),
    _parameter("started_from", "Began at or after, as the producer said."),
    _parameter("started_to", "Began before, as the producer said."),
    *_PAGING,
]
_INTERACTIONS = [
    *(
        _parameter(name, f"With this {name} (`any` for any fallback, handoff, oversight).", many=True)
        for name in FILTERS
    ),
    _parameter("from", "With a record at or after (RFC 3339)."),
    _parameter("to", "With a record before (RFC 3339)."),
    *_PAGING,
]


@router.get(
    "/api/v1/records",
    summary="Search records",
    responses=PROBLEM,
    openapi_extra={"parameters": _SEARCH},
)
def search_records(request: Request, principal: CanReadFacts, trails: Service) -> RecordList:
    """Records that match, newest first: facts, never content. The leaf filters are the same that populations use."""
    return RecordList.of(trails.search(principal, request.query_params.multi_items()))


@router.get("/api/v1/records/{log}/{seq}", summary="One record", responses=NOT_FOUND)
def read_record(log: str, seq: int, principal: CanReadFacts, trails: Service) -> RecordOut:
    """The leaf, where it stands in the log's proofs, and every content field with its state."""
    return RecordOut.of(trails.record(principal, log, seq))


@router.get("/api/v1/records/{log}/{seq}/otlp", summary="One record as it came in", responses=NOT_FOUND)
def read_otlp(log: str, seq: int, principal: CanReadContent, trails: Service) -> dict[str, Any]:
    """An OTLP/JSON request of one item that parses to the same protobuf message as what was sent."""
    return trails.otlp(principal, log, seq)


@router.get(
    "/api/v1/interactions",
    summary="List interactions",
    responses=PROBLEM,
    openapi_extra={"parameters": _INTERACTIONS},
)
def list_interactions(request: Request, principal: CanReadFacts, trails: Service) -> InteractionList:
    """Conversations and cases by the time of their first record, newest first."""
    return InteractionList.of(trails.interactions(principal, request.query_params.multi_items()))


@router.get("/api/v1/interactions/{interaction:path}", summary="The trail of one interaction", responses=NOT_FOUND)
def read_trail(
    interaction: str,
    principal: CanReadFacts,
    trails: Service,
    request: Request,
    limit: Annotated[int, Query(ge=1, le=TRAIL_MAX_LIMIT, description="Steps in a page.")] = TRAIL_LIMIT,
    cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
) -> TrailOut:
    """What was decided, why, what else was considered, which fallbacks, who took over, who stepped in.

    `interaction` is the id as reported, the identifier behind a pseudonym, or a trace id.
    """
    unknown = request.query_params.keys() - {"limit", "cursor"}
    if unknown:
        raise InputError("unknown_filter", f"there is no parameter {min(unknown)!r} here", item=min(unknown))
    start = parse_page(None, cursor)
    return TrailOut.of(trails.trail(principal, interaction, TrailPage(limit, start.cursor, "oldest")))
