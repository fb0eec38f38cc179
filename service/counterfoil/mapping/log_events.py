"""A log event to an item of one draft."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from counterfoil.core.encoding import encode_base64
from counterfoil.mapping.anyvalue import content_json
from counterfoil.mapping.context import Context, printed
from counterfoil.mapping.decode_bytes import unknown_fields
from counterfoil.mapping.decoded import Extra
from counterfoil.mapping.draft import Item, Source
from counterfoil.mapping.drafting import NO_SPAN_ID, NO_TRACE_ID, make_draft, name_agent, number_of, time_text
from counterfoil.mapping.limits import SPAN_ID_BYTES, TRACE_ID_BYTES, ItemError
from counterfoil.mapping.message_events import body_field
from counterfoil.mapping.reading import Reading
from counterfoil.mapping.recognise import kind_of, read, walk
from counterfoil.mapping.tables import EVENT_KINDS, MAPPING
from counterfoil.mapping.targets import fits_token

_LENGTH_DELIMITED = 2


def map_log(record: Any, context: Context, extra: Extra | None) -> Item:
    """A record of the logs signal."""
    return _map_log(record, context, extra, "logs", "otlp:logs")


def map_audit_record(record: Any, context: Context, extra: Extra | None) -> Item:
    """A record of the draft audit signal: the same message, with `audit.*` attributes."""
    return _map_log(record, context, extra, "audit", "otlp:audit")


def _map_log(record: Any, context: Context, extra: Extra | None, signal: str, source: Source) -> Item:
    trace_id, span_id = _log_ids(record)
    if extra is not None and extra.unknown and _is_span(extra.wire):
        raise ItemError("wrong_signal", "this is a span, sent as a log event")
    event_name = record.event_name
    name = event_name if event_name and fits_token(event_name) else None
    facts: dict[str, Any] = {"mapping": MAPPING}
    seen = walk(record.attributes, context.vocabulary)
    kind, _ = kind_of(seen, EVENT_KINDS.get(event_name), None, context.vocabulary)
    reading = read(seen, kind, facts, name, context.producer_id)
    name_agent(reading, context)
    rest: dict[str, Any] = {}
    if trace_id:
        if trace_id != NO_TRACE_ID:
            facts["trace_id"] = trace_id.hex()
        else:
            rest["traceId"] = trace_id.hex()
    if span_id:
        if span_id != NO_SPAN_ID:
            facts["span_id"] = span_id.hex()
        else:
            rest["spanId"] = span_id.hex()
    observed = record.observed_time_unix_nano
    if observed:
        rest["observedTimeUnixNano"] = str(observed)
    if time := record.time_unix_nano:
        facts["started_at"] = time_text(time)
    elif observed:
        # SPEC: OpenTelemetry logs data model, Timestamp: without one, the observed time stands for it.
        facts["started_at"] = time_text(observed)
        rest["timeUnixNano"] = "0"
    if event_name and name is None:
        rest["eventName"] = event_name
    if name is not None:
        rest["eventName"] = {"promoted": "name"}
    if number := record.severity_number:
        rest["severityNumber"] = number
    if severity := record.severity_text:
        rest["severityText"] = severity
    if flags := record.flags:
        rest["flags"] = flags
    if dropped := record.dropped_attributes_count:
        rest["droppedAttributesCount"] = dropped
    if extra is not None and extra.unknown:
        rest["unknownFields"] = encode_base64(extra.wire)
    fields = list(context.fields)
    if seen.pairs:
        fields.append(("attributes", printed(seen.pairs)))
    if record.HasField("body"):
        fields.append(("body", _body(content_json(record.body), event_name or facts.get("name", ""), reading)))
    if rest:
        fields.append(("span", rest))
    drafts = [make_draft(source, reading, fields)]
    wire = record.SerializeToString(deterministic=True) if extra is None else extra.wire
    identity = len(wire).to_bytes(4, "big") + wire + context.identity
    trace_id = trace_id if "trace_id" in facts else b""
    span_id = span_id if "span_id" in facts else b""
    return Item(signal, trace_id, span_id, number_of(facts), identity, 0, drafts)


def _body(body: Any, name: str, reading: Reading) -> Any:
    """The body, or a pointer to the field that it is, where events with this name carry a message."""
    field = body_field(name, reading.kind, reading.fields) if body else None
    if field is None:
        return body
    reading.fields[field] = body
    return {"promoted": field}


def _log_ids(record: Any) -> tuple[bytes, bytes]:
    """A log event may have no ids; some SDKs write "no id" as zeros."""
    trace_id, span_id = record.trace_id, record.span_id
    if trace_id and len(trace_id) != TRACE_ID_BYTES:
        raise ItemError("bad_trace_id", f"a log event has no trace id, or one of {TRACE_ID_BYTES} bytes")
    if span_id and len(span_id) != SPAN_ID_BYTES:
        raise ItemError("bad_span_id", f"a log event has no span id, or one of {SPAN_ID_BYTES} bytes")
    return trace_id, span_id


def _is_span(wire: bytes) -> bool:
    """A log record whose fields 1 and 2 are length-delimited: those are the ids of a span."""
    unknown: Any = unknown_fields(LogRecord, wire)
    return any(entry.field_number in (1, 2) and entry.wire_type == _LENGTH_DELIMITED for entry in unknown)
