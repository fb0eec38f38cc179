"""From the bytes of a request to items for the log: the guard, then `mapping`.

`counterfoil.mapping` knows OTLP and nothing of HTTP or limits of memory; what stands here is which of its functions a
signal needs, and the check that must come before any of them.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import orjson
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from counterfoil.core.errors import Fault, InputError
from counterfoil.ingest import pieces
from counterfoil.ingest.limits import MAX_REPEATED_BYTES, MAX_UNCUT_BYTES, Limits
from counterfoil.ingest.media import Encoding
from counterfoil.ingest.pieces import Counting, Cut, Piece
from counterfoil.ingest.signal import Signal
from counterfoil.ingest.status import ExportError
from counterfoil.ingest.structure import Structure, check_json, check_protobuf, structure_of
from counterfoil.ingest.surplus import TOO_MANY_ITEMS, cut
from counterfoil.mapping.decode import decode_logs, decode_traces
from counterfoil.mapping.decoded import Decoded, Group
from counterfoil.mapping.draft import Mapped, Refused
from counterfoil.mapping.map import map_logs, map_traces
from counterfoil.mapping.signals import LOGS, TRACES

_REQUESTS: Final[dict[Signal, Descriptor]] = {
    Signal.TRACES: ExportTraceServiceRequest.DESCRIPTOR,
    Signal.LOGS: ExportLogsServiceRequest.DESCRIPTOR,
    Signal.AUDIT: ExportLogsServiceRequest.DESCRIPTOR,
    Signal.METRICS: ExportMetricsServiceRequest.DESCRIPTOR,
}

_NAMES = {Signal.TRACES: TRACES, Signal.LOGS: LOGS}


class Repeating(Exception):
    """Resource and scope are repeated more often than a request that is decoded as a whole may do."""


def read_request(signal: Signal, body: bytes, encoding: Encoding, limits: Limits) -> Mapped | Cut:
    """The items of a traces or logs request; of a large one, how to cut it into pieces that are decoded one by one.

    Errors: those of `decode_and_map`; ExportError 413 too_many_items, not_cuttable, too_much_repeated.
    """
    if len(body) > pieces.WHOLE_BYTES:
        check_structure(signal, body, encoding, limits)
        large = _cut(signal, body, encoding, limits)
        if large is not None:
            return large
        check_uncut(body)
    try:
        return decode_and_map(signal, body, encoding, limits)
    except Repeating:
        large = _cut(signal, body, encoding, limits)
        if large is None:
            raise too_much_repeated() from None
        return large


def _cut(signal: Signal, body: bytes, encoding: Encoding, limits: Limits) -> Cut | None:
    large = pieces.cut(_NAMES[signal], body, encoding, limits.items)
    if large is not None and large.repeated_bytes > MAX_REPEATED_BYTES:
        raise too_much_repeated()
    return large


def check_uncut(body: bytes) -> None:
    """Refuse a body that is too large to be decoded as a whole: 413 not_cuttable."""
    if len(body) > MAX_UNCUT_BYTES:
        message = f"a body over {MAX_UNCUT_BYTES} bytes must be whole and of the usual form, to be taken in pieces"
        raise ExportError(413, "not_cuttable", message, limit=f"uncut_bytes={MAX_UNCUT_BYTES}")


def repeats_much(decoded: Decoded) -> bool:
    """Whether it would be too large to be mapped as a whole, as each item carries its resource and scope."""
    return sum(len(group.items) * _head_bytes(group) for group in decoded.groups) > pieces.WHOLE_REPEATED_BYTES


def _head_bytes(group: Group) -> int:
    """Bytes of resource and scope."""
    heads = (int(head.ByteSize()) for head in (group.resource, group.scope) if head is not None)
    return sum(heads) + len(group.resource_schema_url) + len(group.scope_schema_url)


def too_much_repeated() -> ExportError:
    """413 for a request whose resources and scopes are too large for so many items."""
    message = f"resource and scope, for each of their items, are more than {MAX_REPEATED_BYTES} bytes, or too large"
    return ExportError(413, "too_much_repeated", message, limit=f"repeated_bytes={MAX_REPEATED_BYTES}")


def decode_and_map(signal: Signal, body: bytes, encoding: Encoding, limits: Limits) -> Mapped:
    """The items of a traces or logs request, and those that were refused.

    Errors: ExportError 413 too_many_values; InputError where the request as a whole cannot be read; `Repeating`.
    """
    check_structure(signal, body, encoding, limits)
    if not body:
        return Mapped([], [])  # OTLP 1.11: a request without data SHOULD succeed
    surplus: list[Refused] = []
    decoded = _decode(signal, body, encoding)
    if decoded is None or decoded_count(decoded) > limits.items:
        body, surplus = cut(_NAMES[signal], body, encoding, limits.items)
        decoded = _decode(signal, body, encoding)
        if decoded is None:
            raise Fault("a request that was cut to the limit is still over it")
    if repeats_much(decoded):
        raise Repeating
    mapped = map_traces(decoded) if signal is Signal.TRACES else map_logs(decoded)
    mapped.refused.extend(surplus)
    return mapped


def map_piece(
    signal: Signal, large: Cut, piece: Piece, encoding: Encoding, limits: Limits, counting: Counting
) -> Mapped:
    """The items of a piece as part of its request. What cannot be read is refused item by item."""
    try:
        mapped = decode_and_map(signal, piece.body, encoding, limits)
    except InputError:
        mapped = Mapped([], [])
        for single in large.one_by_one(piece):
            try:
                one = decode_and_map(signal, single.body, encoding, limits)
            except InputError as error:
                mapped.refused.append(Refused(large.path(single), error.code, error.message))
            else:
                counting.correct(single, one)
                mapped.items.extend(one.items)
                mapped.refused.extend(one.refused)
        return mapped
    counting.correct(piece, mapped)
    return mapped


def decoded_count(decoded: Decoded) -> int:
    """Items of a request, those that could not be read included."""
    return sum(len(group.items) for group in decoded.groups) + len(decoded.refused)


def _decode(signal: Signal, body: bytes, encoding: Encoding) -> Decoded | None:
    """The decoded request, or None where it has too many items."""
    try:
        return (decode_traces if signal is Signal.TRACES else decode_logs)(body, encoding.value)
    except InputError as error:
        if error.code == TOO_MANY_ITEMS:
            return None
        raise


def check_metrics(body: bytes, encoding: Encoding, limits: Limits) -> None:
    """Whether a metrics request can be read at all; nothing of it is kept. Error: ExportError 400."""
    check_structure(Signal.METRICS, body, encoding, limits)
    if not body:
        return
    if encoding is Encoding.PROTOBUF:
        try:
            ExportMetricsServiceRequest.FromString(body)
        except DecodeError as error:
            raise ExportError(400, "bad_protobuf", f"the body is no ExportMetricsServiceRequest: {error}") from None
        return
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ExportError(400, "bad_json", f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ExportError(400, "bad_json", "the body is not a JSON object")


def check_structure(signal: Signal, body: bytes, encoding: Encoding, limits: Limits) -> None:
    """Refuse what would be too large once decoded: 413 too_many_values."""
    if encoding is Encoding.JSON:
        check_json(body, limits)
    else:
        check_protobuf(body, _structure(signal), limits)


@cache
def _structure(signal: Signal) -> Structure:
    return structure_of(_REQUESTS[signal])
