"""The OTLP endpoints in the OpenAPI document: the framework sees a bare request and knows nothing of its body.

Bodies are opaque here; their schema is opentelemetry-proto's. Every error is a `google.rpc.Status`.
"""

from __future__ import annotations

from typing import Any, Final

from counterfoil.ingest.media import Encoding
from counterfoil.ingest.signal import SHAPES, Signal

_SECURITY: Final[list[dict[str, list[str]]]] = [{"HTTPBearer": []}, {"APIKeyHeader": []}]
_BINARY: Final = {"type": "string", "format": "binary"}
_STATUS: Final = {
    "type": "object",
    "description": "google.rpc.Status: ErrorInfo with our stable code, BadRequest with the items, RetryInfo.",
    "properties": {
        "code": {"type": "integer"},
        "message": {"type": "string"},
        "details": {"type": "array", "items": {"type": "object"}},
    },
}
_RETRY: Final = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_ERRORS: Final = {
    400: "Cannot be read, or every item was refused for good. Not to be sent again; recorded as `refusal`.",
    401: "No valid key.",
    403: "The key may not append, or not to this log.",
    404: "The tenant has no log of this name to write to.",
    405: "Only POST.",
    409: "Audit only: an audit.record.id is known with other content; nothing of the batch is kept.",
    413: "Over a limit, as sent or after decompression. Recorded as `refusal`.",
    415: "Neither protobuf nor JSON, or another compression than gzip, deflate, zstd. Recorded as `refusal`.",
    429: "Too much is under way: send again.",
    503: "The store cannot take it now, and nothing was kept: send again.",
}


_KEPT: Final = {
    Signal.METRICS: "Accepted; nothing is kept, and `partialSuccess` says so.",
    Signal.AUDIT: "On disk: every record. Receipts are in JSON only: send JSON, or `Accept: application/json`.",
}
_RECEIPTS: Final = {
    "type": "object",
    "description": "A receipt for each record, by its audit.record.id.",
    "properties": {
        "status": {"type": "string"},
        "record_status_map": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "record_id": {"type": "string"},
                    "status": {"type": "string"},
                    "integrity_hash": {"type": "string", "description": "SHA-256 of the record in RFC 8785 form, hex."},
                    "sink_timestamp": {"type": "string", "description": "Nanoseconds since 1970."},
                    "verify_status": {"type": "string"},
                    "log": {"type": "string"},
                    "seq": {"type": "integer"},
                },
            },
        },
        "sink_status_aggregate": {"type": "string"},
    },
}


def responses_of(signal: Signal) -> dict[int | str, dict[str, Any]]:
    """What the endpoint of a signal answers."""
    success = {
        "type": "object",
        "properties": {
            "partialSuccess": {
                "type": "object",
                "properties": {SHAPES[signal].rejected_json: {"type": "string"}, "errorMessage": {"type": "string"}},
            }
        },
    }
    if signal is Signal.AUDIT:
        success = _RECEIPTS
    kept = {
        "description": _KEPT.get(
            signal, f"On disk: all {SHAPES[signal].plural} but those that `partialSuccess` names."
        ),
        "content": _content(success),
    }
    if signal is not Signal.METRICS:
        promise = "Base64 of a signed note: what was appended, promised by the log's key."
        kept["headers"] = {"counterfoil-promise": {"description": promise, "schema": {"type": "string"}}}
    errors: dict[int | str, dict[str, Any]] = {
        status: {"description": text, "content": _content(_STATUS)}
        | ({"headers": _RETRY} if status in (429, 503) else {})
        for status, text in _ERRORS.items()
        if status != 409 or signal is Signal.AUDIT
    }
    return {200: kept, **errors}


def extra_of(signal: Signal) -> dict[str, Any]:
    """Body, headers and keys of the endpoint of a signal."""
    message = SHAPES[signal].response.DESCRIPTOR.name.replace("Response", "Request")
    return {
        "security": _SECURITY,
        "parameters": [
            {
                "name": "counterfoil-log",
                "in": "header",
                "required": False,
                "description": "The log to write to, for a key that is not for one log.",
                "schema": {"type": "string"},
            },
            {
                "name": "Content-Encoding",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "enum": ["identity", "gzip", "deflate", "zstd"]},
            },
        ],
        "requestBody": {
            "required": True,
            "description": f"{message} of opentelemetry-proto, in protobuf or OTLP/JSON.",
            "content": _content({"type": "object"}),
        },
    }


def _content(json_schema: dict[str, Any]) -> dict[str, Any]:
    return {Encoding.PROTOBUF.value: {"schema": _BINARY}, Encoding.JSON.value: {"schema": json_schema}}
