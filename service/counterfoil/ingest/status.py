"""Errors as OTLP wants them: `google.rpc.Status` in the encoding of the request, on every 4xx and 5xx.

An `ExportError` carries what the answer says. Clients retry 429, 502, 503 and 504 and nothing else, so whatever may
work a second later (a full queue, a locked or full disk, a clock behind) is 429 or 503 with Retry-After, and 500 is
left for our own mistakes. Details: ErrorInfo with our stable code, BadRequest naming the item, RetryInfo.

    400  {"code": 3, "message": "bad_compression: …", "details": [{"@type": "…/google.rpc.ErrorInfo", …}]}

Standards: OTLP 1.11 "OTLP/HTTP Response"; google/rpc/status.proto, code.proto, error_details.proto.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from google.protobuf.json_format import MessageToDict
from google.rpc import code_pb2  # type: ignore[import-untyped]  # googleapis-common-protos has no py.typed
from google.rpc.error_details_pb2 import (  # type: ignore[import-untyped]  # as above
    BadRequest,
    ErrorInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # as above

from counterfoil.core.errors import CounterfoilError, EvidenceError, Fault, InputError
from counterfoil.http_status import STATUS_OF_CODE
from counterfoil.ingest.limits import MAX_ITEM_CHARS, MAX_NAMED_ITEMS, MAX_REASON_CHARS, RETRY_AFTER_S
from counterfoil.ingest.media import Encoding
from counterfoil.mapping.draft import Refused

ERROR_DOMAIN: Final = "counterfoil"

_RPC_CODE_OF_HTTP: Final = {
    400: code_pb2.INVALID_ARGUMENT,
    401: code_pb2.UNAUTHENTICATED,
    403: code_pb2.PERMISSION_DENIED,
    404: code_pb2.NOT_FOUND,
    405: code_pb2.UNIMPLEMENTED,
    409: code_pb2.ALREADY_EXISTS,  # never ABORTED: clients retry that
    413: code_pb2.RESOURCE_EXHAUSTED,
    415: code_pb2.INVALID_ARGUMENT,
    429: code_pb2.RESOURCE_EXHAUSTED,
    500: code_pb2.INTERNAL,
    503: code_pb2.UNAVAILABLE,
}
_RETRYABLE: Final = frozenset({429, 503})


class ExportError(Exception):
    """The answer to a whole request: HTTP status, stable code, what was seen and wanted, the item at fault."""

    def __init__(
        self,
        http_status: int,
        code: str,
        message: str,
        *,
        item: str | None = None,
        limit: str | None = None,
        refused: Sequence[Refused] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{http_status} {code}: {message}")
        self.http_status = http_status
        self.code = code
        self.message = message if refused else shorten(message, MAX_REASON_CHARS)
        self.item = None if item is None else shorten(item, MAX_ITEM_CHARS)
        self.limit = limit
        """The limit that was broken, as `name=value`."""
        self.refused = refused
        """Where every item was refused for itself: which and why."""
        self.headers = headers or {}


def shorten(text: str, limit: int) -> str:
    """`text`, cut to `limit` characters with an ellipsis where it is longer."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def error_of(error: CounterfoilError) -> ExportError:
    """What an error of the rooms below means to an exporter.

    Trouble and damage of the stores are ours, and an operator's to mend: the client is told to keep its data and come
    again. 500, after which it would throw them away, is left for what no operator can mend.
    """
    match error:
        case InputError():
            return ExportError(STATUS_OF_CODE.get(error.code, 400), error.code, error.message, item=error.item)
        case EvidenceError():
            return ExportError(503, "evidence_damaged", "what is stored does not check; the operator must run fsck")
        case Fault() if isinstance(code := getattr(error, "code", None), str):
            return ExportError(STATUS_OF_CODE.get(code, 503), code, error.message)
        case _:
            return ExportError(500, "internal", "the service failed; its own log says why")


def status_message(error: ExportError, most_named: int = MAX_NAMED_ITEMS) -> Status:
    """`error` as google.rpc.Status, with details that name `most_named` items at most."""
    text = f"{error.code}: {error.message}" if error.item is None else f"{error.code}: {error.item}: {error.message}"
    status = Status(code=_RPC_CODE_OF_HTTP.get(error.http_status, code_pb2.UNKNOWN), message=text)
    info = ErrorInfo(reason=error.code.upper(), domain=ERROR_DOMAIN)
    if error.limit is not None:
        info.metadata["limit"] = error.limit
    status.details.add().Pack(info)
    violations = [
        BadRequest.FieldViolation(
            field=shorten(one.item, MAX_ITEM_CHARS), description=f"{one.code}: {shorten(one.message, MAX_REASON_CHARS)}"
        )
        for one in error.refused[:most_named]
    ]
    if error.item is not None:
        violations.append(BadRequest.FieldViolation(field=error.item, description=error.message))
    if violations:
        status.details.add().Pack(BadRequest(field_violations=violations))
    if error.http_status in _RETRYABLE:
        retry = RetryInfo()
        retry.retry_delay.seconds = RETRY_AFTER_S
        status.details.add().Pack(retry)
    return status


def format_status(error: ExportError, encoding: Encoding) -> bytes:
    """The body of the answer to `error`."""
    status = status_message(error)
    if encoding is Encoding.PROTOBUF:
        return bytes(status.SerializeToString())
    return json.dumps(MessageToDict(status), ensure_ascii=False).encode()


def small_status(error: ExportError, most_bytes: int) -> Status:
    """`error` as a Status of at most `most_bytes`, for where it has to fit into trailing metadata."""
    status = status_message(error)
    named = min(len(error.refused), MAX_NAMED_ITEMS)
    while status.ByteSize() > most_bytes and named:
        named //= 2
        status = status_message(error, named)
        status.message = shorten(status.message, most_bytes // 4)
    return status


def headers_of(error: ExportError) -> dict[str, str]:
    """The headers that go with `error`: when to try again, how to authenticate."""
    headers = dict(error.headers)
    if error.http_status in _RETRYABLE:
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    if error.http_status == 401:
        headers.setdefault("WWW-Authenticate", f'Bearer realm="{ERROR_DOMAIN}"')
    return headers
