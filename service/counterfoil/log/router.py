"""Proofs over HTTP: receipts, the C2SP tlog-tiles endpoints of every log, and the access log.

    GET /api/v1/receipts                      by trace and span, or by log and seq
    GET /api/v1/records/{log}/{seq}/proof     text/plain, a tlog-proof
    GET /logs/{origin}/checkpoint             C2SP tlog-tiles; a key that may read facts, or open to anyone,
                                              but of an access log only for who may read all of it
    GET /logs/{origin}/tile/<L>/<N>[.p/<W>]
    GET /logs/{origin}/tile/entries/<N>[.p/<W>]
    GET /api/v1/access                        who looked at what, newest first

A path of tlog-tiles has one spelling; every other is 404, as is a tile that the newest published checkpoint does not
cover. Whoever may only read receipts sees those of what it sent itself, and nothing of the rest, not even that it is
there.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import Connection

from counterfoil.core.encoding import decode_hex, parse_decimal
from counterfoil.core.errors import EvidenceError
from counterfoil.core.state import ContentState
from counterfoil.core.tiles import TILE_HEIGHT, TILE_WIDTH, EntryBundle, Tile, parse_entries_path, parse_tile_path
from counterfoil.identity.permissions import (
    CanReadOwnAccess,
    CanReadReceipts,
    current_principal,
    forbidden,
    key_of,
)
from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Permission
from counterfoil.log.access import record_access
from counterfoil.log.batch import LogInfo
from counterfoil.log.checkpoints import latest
from counterfoil.log.contents import open_contents
from counterfoil.log.founding import ACCESS, INTERACTIONS
from counterfoil.log.logs import Logs
from counterfoil.log.receipts import MAX_RECEIPTS, Prover, find_arrivals
from counterfoil.log.records import head, read_leaf, read_leaves
from counterfoil.log.schemas import AccessPage, AccessRecord, AsOf, PendingReceipt, Receipt, Receipts
from counterfoil.log.tree import entries_bytes, tile_bytes
from counterfoil.problems import Problem, not_found

CHECKPOINT_MAX_AGE_S = 2
TILE_MAX_AGE_S = 31_536_000
RETRY_AFTER_S = 1
MAX_PAGE = 500
MAX_SCANNED = 10_000
"""Records of the access log that one request looks through for one credential's own."""

PROOF_TYPE = "text/plain; charset=utf-8"
TILE_TYPE = "application/octet-stream"

router = APIRouter()


def get_logs(request: Request) -> Logs:
    """The logs of the running service."""
    logs: Logs = request.app.state.logs
    return logs


def tile_reader(request: Request) -> Principal | None:
    """Who asks for checkpoint or tiles: one who may read facts; None where the operator opened them to anyone."""
    if getattr(request.app.state, "open_tiles", False):
        return None
    return _facts_reader(request)


def _facts_reader(request: Request) -> Principal:
    principal = current_principal(request, None, None)
    if not principal.may(Permission.READ_FACTS):
        raise forbidden(principal, Permission.READ_FACTS)
    return principal


AllLogs = Annotated[Logs, Depends(get_logs)]
TileReader = Annotated[Principal | None, Depends(tile_reader)]


# -- tlog-tiles -----------------------------------------------------------------------------------------------------


@router.get(
    "/logs/{origin:path}/checkpoint",
    tags=["proofs"],
    summary="The newest checkpoint of a log (C2SP tlog-checkpoint)",
    response_class=Response,
    responses={200: {"content": {PROOF_TYPE: {}}, "description": "A signed note"}},
)
def checkpoint(origin: str, request: Request, logs: AllLogs, reader: TileReader) -> Response:
    log, reader = _log_of_origin(request, logs, origin, reader)
    with logs.ledger.read() as conn:
        newest = latest(conn, log.id)
    if newest is None:
        raise not_found("a checkpoint of this log")
    return Response(newest[1], media_type=PROOF_TYPE, headers=_caching(reader, f"max-age={CHECKPOINT_MAX_AGE_S}"))


@router.get(
    "/logs/{origin:path}/tile/{tile:path}",
    tags=["proofs"],
    summary="A tile, or a bundle of leaves (C2SP tlog-tiles)",
    response_class=Response,
    responses={200: {"content": {TILE_TYPE: {}}, "description": "Hashes of a tile, or entries with their lengths"}},
)
def tile(origin: str, tile: str, request: Request, logs: AllLogs, reader: TileReader) -> Response:
    log, reader = _log_of_origin(request, logs, origin, reader)
    wanted = _parse_tile(tile)
    with logs.ledger.read() as conn:
        newest = latest(conn, log.id)
        size = 0 if newest is None else newest[0]
        level = wanted.level if isinstance(wanted, Tile) else 0
        # SPEC: tlog-tiles - nothing is served beyond what a checkpoint covers, and no empty tile.
        if (wanted.n * TILE_WIDTH + wanted.width) << (TILE_HEIGHT * level) > size:
            raise not_found("this tile")
        data = tile_bytes(conn, log.id, wanted) if isinstance(wanted, Tile) else entries_bytes(conn, log.id, wanted)
    return Response(data, media_type=TILE_TYPE, headers=_caching(reader, f"max-age={TILE_MAX_AGE_S}, immutable"))


def _parse_tile(path: str) -> Tile | EntryBundle:
    try:
        if path.startswith("entries/"):
            return parse_entries_path(f"tile/{path}")
        return parse_tile_path(f"tile/{path}")
    except EvidenceError:
        raise not_found("this tile") from None


def _log_of_origin(
    request: Request, logs: Logs, origin: str, reader: Principal | None
) -> tuple[LogInfo, Principal | None]:
    """The log, and who reads it. Open tiles are those of interactions: an access log is never open."""
    log = logs.by_origin(origin)
    if log is not None and log.purpose == ACCESS and reader is None and key_of(request.headers) is not None:
        reader = _facts_reader(request)
    if log is None or (reader is None and log.purpose == ACCESS):
        raise not_found("this log")
    if reader is not None:
        _check_may_read(log, reader)
    return log, reader


def _check_may_read(log: LogInfo, principal: Principal) -> None:
    """404 for what is another's, 403 for an access log where the role may see at most its own entries."""
    if not principal.may_see(log.tenant_id, log.id):
        raise not_found("this log")
    if log.purpose == ACCESS and not principal.may(Permission.READ_ACCESS):
        raise forbidden(principal, Permission.READ_ACCESS)


def _caching(reader: Principal | None, how: str) -> dict[str, str]:
    """A shared cache must not hand on what needs a key."""
    return {"Cache-Control": f"{'public' if reader is None else 'private'}, {how}"}


# -- receipts -------------------------------------------------------------------------------------------------------


@router.get(
    "/api/v1/receipts",
    tags=["proofs"],
    summary="Receipts of records, by trace and span or by log and seq",
    response_model=Receipts,
    responses={202: {"model": Receipts, "description": "A checkpoint does not cover all of them yet: ask again"}},
)
def receipts(
    request: Request,
    logs: AllLogs,
    principal: CanReadReceipts,
    trace_id: Annotated[str | None, Query(description="32 lower-case hex digits")] = None,
    span_id: Annotated[str | None, Query(description="16 lower-case hex digits; without it every span")] = None,
    log: Annotated[str | None, Query(description="Short name of a log; needed with `seq`", max_length=64)] = None,
    seq: Annotated[str | None, Query(description="Index of a record in `log`")] = None,
) -> Response:
    found = Receipts(items=[], pending=[])
    if seq is not None:
        if log is None or trace_id is not None or span_id is not None:
            raise _bad_query("seq", "ask by `log` and `seq`, or by `trace_id` and `span_id`")
        wanted = [_log_of_name(logs, log, principal)]
        index = _parse_seq(seq)
        with logs.ledger.read() as conn:
            _add_receipts(conn, wanted[0], [index], principal, found)
    else:
        if trace_id is None:
            raise _bad_query("trace_id", "ask by `log` and `seq`, or by `trace_id` and `span_id`")
        trace, span = _parse_id("trace_id", trace_id, 16), _parse_id("span_id", span_id, 8)
        wanted = [_log_of_name(logs, log, principal)] if log is not None else _logs_in_scope(logs, principal)
        with logs.ledger.read() as conn:
            for info in wanted:
                seqs = list(find_arrivals(conn, info.id, trace, span))
                if len(seqs) > MAX_RECEIPTS:
                    raise _too_many()
                _add_receipts(conn, info, seqs, principal, found)
    if not found.items and not found.pending:
        raise not_found("such a record")
    if len(found.items) + len(found.pending) > MAX_RECEIPTS:
        raise _too_many()
    return _receipts_response(request, found)


@router.get(
    "/api/v1/records/{log}/{seq}/proof",
    tags=["proofs"],
    summary="The receipt of one record (C2SP tlog-proof)",
    response_class=Response,
    responses={
        200: {"content": {PROOF_TYPE: {}}, "description": "A tlog-proof"},
        202: {"description": "No checkpoint covers the record yet: ask again"},
    },
)
def proof(log: str, seq: str, logs: AllLogs, principal: CanReadReceipts) -> Response:
    found = Receipts(items=[], pending=[])
    with logs.ledger.read() as conn:
        _add_receipts(conn, _log_of_name(logs, log, principal), [_parse_seq(seq)], principal, found)
    if found.items:
        return Response(found.items[0].proof, media_type=PROOF_TYPE)
    if found.pending:
        return Response(status_code=202, headers={"Retry-After": str(RETRY_AFTER_S)})
    raise not_found("such a record")


def _add_receipts(conn: Connection, log: LogInfo, seqs: list[int], principal: Principal, found: Receipts) -> None:
    if not seqs:
        return
    prover = Prover(conn, log.id)
    for seq in seqs:
        leaf = read_leaf(conn, log.id, seq)
        if leaf is None or not _may_have_receipt(principal, leaf):
            continue
        made = prover.prove(seq, leaf)
        if made is None:
            found.pending.append(PendingReceipt(log=log.name, origin=log.origin, seq=seq))
        else:
            found.items.append(Receipt(log=log.name, origin=log.origin, seq=seq, proof=made.decode()))


def _may_have_receipt(principal: Principal, leaf: bytes) -> bool:
    if principal.may(Permission.READ_FACTS):
        return True
    return bool(orjson.loads(leaf).get("writer") == principal.credential_id)


def _receipts_response(request: Request, found: Receipts) -> Response:
    status = 202 if found.pending else 200
    headers = {"Retry-After": str(RETRY_AFTER_S)} if found.pending else {}
    if not found.pending and request.headers.get("accept", "").startswith("text/plain"):
        if len(found.items) > 1:
            raise _bad_query("accept", f"text/plain is for one record, these are {len(found.items)}")
        return Response(found.items[0].proof, media_type=PROOF_TYPE)
    return Response(found.model_dump_json(), status, headers, "application/json")


# -- the access log -------------------------------------------------------------------------------------------------


@router.get("/api/v1/access", tags=["access"], summary="The access log, newest first", response_model=AccessPage)
def access(
    logs: AllLogs,
    principal: CanReadOwnAccess,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
) -> AccessPage:
    log = logs.access_log(principal.tenant_id)
    with logs.ledger.read() as conn:
        size = head(conn, log.id).size
        end = size if cursor is None else min(size, _parse_seq(cursor))
        rows, following = _newest_first(conn, log, end, limit, principal)
        words = _contents(conn, logs, log, rows) if principal.may(Permission.READ_CONTENT) else {}
    # Looking at the access log is an access too; it is on disk before the answer leaves.
    record_access(logs, principal, "read_access", object=log.name, count=len(rows))
    items = [AccessRecord(seq=seq, leaf=leaf, content=words.get(seq)) for seq, leaf in rows]
    return AccessPage(items=items, next=following, as_of=AsOf(log=log.name, size=size))


def _newest_first(
    conn: Connection, log: LogInfo, end: int, limit: int, principal: Principal
) -> tuple[list[tuple[int, dict[str, Any]]], str | None]:
    """Return up to `limit` records before `end` that the caller may see, and the cursor of what follows.

    The access log is about every log of the tenant, so a key for one of them sees only its own entries.
    """
    everything = principal.may(Permission.READ_ACCESS) and principal.may_see(log.tenant_id, log.id)
    rows: list[tuple[int, dict[str, Any]]] = []
    lowest = 0 if everything else max(0, end - MAX_SCANNED)
    while end > lowest and len(rows) < limit:
        first = max(lowest, end - MAX_PAGE)
        for seq, data in reversed(list(read_leaves(conn, log.id, first, end))):
            leaf = json.loads(data)
            if everything or leaf.get("writer") == principal.credential_id:
                rows.append((seq, leaf))
                if len(rows) == limit:
                    return rows, str(seq) if seq else None
        end = first
    return rows, str(end) if end else None


def _contents(
    conn: Connection, logs: Logs, log: LogInfo, rows: list[tuple[int, dict[str, Any]]]
) -> dict[int, dict[str, Any]]:
    opened = open_contents(conn, logs.keystore, log.id, log.origin, rows)
    return {
        seq: {
            name: content.value if content.state is ContentState.DISCLOSED else {"state": content.state.value}
            for name, content in fields.items()
        }
        for seq, fields in opened.items()
        if fields
    }


# -- what was asked for ---------------------------------------------------------------------------------------------


def _log_of_name(logs: Logs, name: str, principal: Principal) -> LogInfo:
    log = logs.by_name(principal.tenant_id, name)
    if log is None:
        raise not_found("this log")
    _check_may_read(log, principal)
    return log


def _logs_in_scope(logs: Logs, principal: Principal) -> list[LogInfo]:
    return [
        log
        for log in logs.all(principal.tenant_id)
        if log.purpose == INTERACTIONS and principal.may_see(log.tenant_id, log.id)
    ]


def _parse_seq(text: str) -> int:
    try:
        return parse_decimal(text)
    except EvidenceError:
        raise _bad_query("seq", "an index is a decimal number without sign or leading zeros") from None


def _parse_id(name: str, text: str | None, size: int) -> Any:
    if text is None:
        return None
    try:
        return decode_hex(text, size)
    except EvidenceError:
        raise _bad_query(name, f"{2 * size} lower-case hex digits") from None


def _too_many() -> Problem:
    return _bad_query("span_id", f"over {MAX_RECEIPTS} records: ask span by span")


def _bad_query(item: str, message: str) -> Problem:
    return Problem(400, "invalid_request", message, item=item)
