"""The OTLP endpoints: `POST /v1/traces`, `/v1/logs`, `/v1/metrics` (OTLP 1.11, "OTLP/HTTP"), and `/v1/audit` (a draft).

    curl -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" -d @spans.json $URL/v1/traces

The endpoints take the bare request: nothing is parsed before the key is known. Order: method, key, permission, log,
then the request itself (`service`). An answer, good or bad, is in the encoding of the request. The header
`counterfoil-promise` carries the promise of what was appended (RECORD 6): base64 of a signed note. The header
`counterfoil-heartbeat` says how often a producer shall say that it is alive: seconds (RECORD 7).

Which log: the one that the key belongs to. A key of the tenant as a whole writes to the log named by the header
`counterfoil-log`, or to the tenant's only log of interactions.
"""

from __future__ import annotations

import logging
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from counterfoil.core.errors import CounterfoilError, Fault
from counterfoil.ingest.call import Call
from counterfoil.ingest.caller import Caller, identify
from counterfoil.ingest.described import extra_of, responses_of
from counterfoil.ingest.media import Encoding, parse_content_type
from counterfoil.ingest.service import Ingest
from counterfoil.ingest.signal import Signal
from counterfoil.ingest.status import ExportError, error_of, format_status, headers_of

OTHER_METHODS: Final = ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")

router = APIRouter(tags=["OTLP"])
_log = logging.getLogger("counterfoil.ingest")


@router.post(
    "/v1/traces",
    response_class=Response,
    summary="Export spans (OTLP/HTTP)",
    responses=responses_of(Signal.TRACES),
    openapi_extra=extra_of(Signal.TRACES),
)
async def export_traces(request: Request) -> Response:
    """An ExportTraceServiceRequest. 200 means that every span not named in `partialSuccess` is on disk."""
    return await _export(request, Signal.TRACES)


@router.post(
    "/v1/logs",
    response_class=Response,
    summary="Export log records (OTLP/HTTP)",
    responses=responses_of(Signal.LOGS),
    openapi_extra=extra_of(Signal.LOGS),
)
async def export_logs(request: Request) -> Response:
    """An ExportLogsServiceRequest. 200 means that every log record not named in `partialSuccess` is on disk."""
    return await _export(request, Signal.LOGS)


@router.post(
    "/v1/metrics",
    response_class=Response,
    summary="Accept metrics and keep nothing (OTLP/HTTP)",
    responses=responses_of(Signal.METRICS),
    openapi_extra=extra_of(Signal.METRICS),
)
async def export_metrics(request: Request) -> Response:
    """An ExportMetricsServiceRequest: checked, answered with a warning, not kept."""
    return await _export(request, Signal.METRICS)


@router.post(
    "/v1/audit",
    response_class=Response,
    summary="Export audit records: all or nothing (a draft of OpenTelemetry)",
    responses=responses_of(Signal.AUDIT),
    openapi_extra=extra_of(Signal.AUDIT),
)
async def export_audit(request: Request) -> Response:
    """An ExportLogsServiceRequest of audit records. 200 means that all are on disk; in JSON with a receipt for each."""
    return await _export(request, Signal.AUDIT)


async def wrong_method(request: Request) -> Response:
    """405 as google.rpc.Status; the framework's own answer would be of another type."""
    encoding = parse_content_type(request.headers.get("content-type")) or Encoding.JSON
    message = f"{request.method} is not a method of {request.url.path}; POST is"
    return _refuse(ExportError(405, "method_not_allowed", message, headers={"Allow": "POST"}), encoding)


for _signal in Signal:
    router.add_api_route(f"/v1/{_signal.value}", wrong_method, methods=list(OTHER_METHODS), include_in_schema=False)


async def _export(request: Request, signal: Signal) -> Response:
    encoding = parse_content_type(request.headers.get("content-type"))
    try:
        state = request.app.state
        caller: Caller = await run_in_threadpool(identify, state.identity, state.logs, request.headers)
        ingest: Ingest = state.ingest
        receipts = parse_content_type(request.headers.get("accept")) if signal is Signal.AUDIT else None
        call = Call(signal, encoding, caller.log_id, caller.writer, receipts)
        answer = await ingest.export(call, request.headers, request.stream())
    except ExportError as error:
        return _refuse(error, encoding or Encoding.JSON)
    except CounterfoilError as error:
        return _refuse(error_of(error), encoding or Encoding.JSON, cause=error)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody is there to read it; nothing was taken
    except Exception as error:  # noqa: BLE001 - the outermost edge: a client must hear a Status of our mistakes too
        return _refuse(error_of(Fault(str(error))), encoding or Encoding.JSON, cause=error)
    return Response(answer.body, 200, answer.metadata, media_type=answer.encoding.value)


def _refuse(error: ExportError, encoding: Encoding, cause: BaseException | None = None) -> Response:
    if error.http_status == 500:
        _log.error("an export failed", exc_info=cause or error.__cause__ or error)
    return Response(format_status(error, encoding), error.http_status, headers_of(error), media_type=encoding.value)
