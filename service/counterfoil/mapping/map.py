"""Decoded OTLP to items and drafts: each span and each log event a record, recognised span events records of their own.

Part 0 is the item itself; parts 1.. are its span events with a name of `tables.EVENT_KINDS`, in order, each leaving
`{"promoted": part}` in the `events` of part 0. A part has its own attributes and `span` (name, time); resource and
scope stand in part 0 alone. What the span says of interaction, agent and person holds for its parts too.

Content of part 0, each field only where there is something in it:

- `resource`, `scope`: the OTLP/JSON object and its `schemaUrl`; `{"absent": true}` marks a schema URL without object
- `attributes`: OTLP/JSON pairs, promoted ones as `recognise` says
- `span`: every other OTLP/JSON member that the leaf does not hold exactly; `status.message` is promoted to `error`
- `events`; `links`, where they say more than the ids in the leaf; `body` of a log event
- fields by meaning: `input`, `output`, `arguments`, `result`, `error`, `rationale`, …

The large ones are printed at once (`orjson.Fragment`), resource and scope once for all drafts of a request.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from counterfoil.core.encoding import encode_base64, format_time_ns
from counterfoil.core.schema import MAX_LINKS
from counterfoil.mapping.anyvalue import content_json, event_json, link_json, resource_json, scope_json
from counterfoil.mapping.decode_bytes import restore_invalid
from counterfoil.mapping.decoded import Decoded, Extra, Group
from counterfoil.mapping.draft import Draft, Item, Mapped, Refused, Source
from counterfoil.mapping.limits import SPAN_ID_BYTES, TRACE_ID_BYTES, ItemError
from counterfoil.mapping.recognise import Reading, kind_of, read, walk
from counterfoil.mapping.tables import (
    EVENT_KINDS,
    MAPPING,
    OWN_FIELDS,
    RESOURCE_AGENT_NAME,
    RESOURCE_AGENT_VERSION,
    RESOURCE_PRODUCER_ID,
    UNNAMED_SERVICE,
)
from counterfoil.mapping.targets import fits_token

_NO_TRACE_ID = bytes(TRACE_ID_BYTES)
_NO_SPAN_ID = bytes(SPAN_ID_BYTES)
_STATUS = {1: "ok", 2: "error"}
_EXCEPTION = "exception"
_LENGTH_DELIMITED = 2


@dataclass(frozen=True, slots=True)
class Context:
    """What the items of one scope share."""

    fields: tuple[tuple[str, Any], ...]
    identity: bytes
    agent_name: str | None
    agent_version: str | None
    producer_id: str | None


def map_traces(decoded: Decoded) -> Mapped:
    """Spans to items; those with wrong ids or values nested too deeply are refused."""
    return _map(decoded, _map_span)


def map_logs(decoded: Decoded) -> Mapped:
    """Log events to items; those with wrong ids or values nested too deeply are refused."""
    return _map(decoded, _map_log)


def map_request(decoded: Decoded) -> Mapped:
    """Items of either signal."""
    return map_traces(decoded) if decoded.signal.name == "traces" else map_logs(decoded)


def _map(decoded: Decoded, map_item: Any) -> Mapped:
    mapped = Mapped([], list(decoded.refused))
    contexts: dict[bytes, Context] = {}
    ordinals: dict[bytes, int] = {}
    numbered = decoded.signal.name == "traces"
    for group in decoded.groups:
        try:
            context = _context(group, contexts)
            broken = None
        except ItemError as error:
            context = None
            broken = error
        for position, message in enumerate(group.items):
            extra = group.extras.get(position) if group.extras else None
            try:
                if context is None:
                    raise broken or ItemError("bad_resource", "resource or scope cannot be read")
                item: Item = map_item(message, context, extra)
            except ItemError as error:
                path = decoded.signal.path(group.resource_index, group.scope_index, group.index(position))
                mapped.refused.append(Refused(path, error.code, error.message, error.limit))
                continue
            if not numbered and item.producer is None:
                # Two equal log events without a number are two events; a span is told by its id (RECORD 8).
                item.ordinal = ordinals.get(item.identity, 0)
                ordinals[item.identity] = item.ordinal + 1
            if decoded.invalid_prefix is not None:
                _restore_invalid(item, decoded.invalid_prefix)
            mapped.items.append(item)
    return mapped


def _restore_invalid(item: Item, prefix: str) -> None:
    """Put `{"invalidUtf8": …}` where the decoder had to put a replacement; a replacement names nobody."""
    for draft in item.drafts:
        fields = []
        for name, value in draft.fields:
            if isinstance(value, orjson.Fragment):
                value = orjson.loads(orjson.dumps(value))
            elif isinstance(value, str) and value.startswith(prefix):
                value = {"stringValue": value}
            fields.append((name, restore_invalid(value, prefix)))
        draft.fields = fields
        if draft.interaction_id is not None and draft.interaction_id.startswith(prefix):
            draft.interaction_id = None
        if draft.subject_id is not None and draft.subject_id.startswith(prefix):
            draft.subject_id = None
        draft.persons = tuple(person for person in draft.persons if not person[1].startswith(prefix))


def _printed(value: Any) -> orjson.Fragment:
    """A content value as JSON already: a third of the memory, and printed while it is at hand."""
    return orjson.Fragment(orjson.dumps(value))


def _prefixed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _context(group: Group, known: dict[bytes, Context]) -> Context:
    """What the items of a group share, computed once for equal resources and scopes of a request."""
    resource, scope = group.resource, group.scope
    identity = b"".join(
        _prefixed(data)
        for data in (
            b"" if resource is None else resource.SerializeToString(deterministic=True),
            group.resource_schema_url.encode(),
            b"" if scope is None else scope.SerializeToString(deterministic=True),
            group.scope_schema_url.encode(),
        )
    )
    key = identity + bytes((resource is None, scope is None))
    if (context := known.get(key)) is not None:
        return context
    fields = []
    if (value := _head(resource, group.resource_schema_url, resource_json)) is not None:
        fields.append(("resource", _printed(value)))
    if (value := _head(scope, group.scope_schema_url, scope_json)) is not None:
        fields.append(("scope", _printed(value)))
    strings: dict[str, str] = {}
    for pair in () if resource is None else resource.attributes:
        if (string := pair.value.string_value) and fits_token(string):
            strings.setdefault(pair.key, string)
    name = strings.get(RESOURCE_AGENT_NAME)
    if name is not None and name.startswith(UNNAMED_SERVICE):
        name = None
    context = Context(
        tuple(fields), identity, name, strings.get(RESOURCE_AGENT_VERSION), strings.get(RESOURCE_PRODUCER_ID)
    )
    known[key] = context
    return context


def _head(message: Any, schema_url: str, to_json: Any) -> dict[str, Any] | None:
    """Resource or scope as a content value, with the schema URL that stood beside it."""
    if message is None:
        return {"absent": True, "schemaUrl": schema_url} if schema_url else None
    value: dict[str, Any] = to_json(message)
    if schema_url:
        value["schemaUrl"] = schema_url
    return value


@lru_cache(4_096)
def _second(seconds: int) -> str:
    return format_time_ns(seconds * 1_000_000_000)[:20]


def time_text(ns: int) -> str:
    """`core.encoding.format_time_ns`, remembering the second: the spans of a batch share few."""
    seconds, fraction = divmod(ns, 1_000_000_000)
    return f"{_second(seconds)}{fraction:09d}Z"


def _agent(reading: Reading, context: Context) -> None:
    """Where the item names no agent, its service is the agent (CONVENTIONS 3)."""
    agent = reading.facts.get("agent")
    if agent is None:
        if context.agent_name is None:
            return
        agent = reading.facts["agent"] = {"name": context.agent_name}
    elif "name" not in agent and "id" not in agent and context.agent_name is not None:
        agent["name"] = context.agent_name
    if "version" not in agent and context.agent_version is not None:
        agent["version"] = context.agent_version


def _handoff_context(reading: Reading) -> None:
    """`handoff.context`: the names of the fields that were handed over."""
    given = [name for name in OWN_FIELDS["handoff"] if name in reading.fields]
    if given:
        reading.facts.setdefault("handoff", {}).setdefault("context", given)


def _draft(source: Source, reading: Reading, facts: dict[str, Any], fields: list[tuple[str, Any]]) -> Draft:
    """The draft of a reading; `facts` are those that the item itself gives, `fields` those that hold the item."""
    if reading.kind == "handoff":
        _handoff_context(reading)
    facts.update(reading.facts)
    fields.extend(reading.fields.items())
    return Draft(reading.kind, source, facts, fields, reading.interaction_id, reading.subject_id, reading.persons)


def _producer(facts: dict[str, Any]) -> tuple[str, int] | None:
    """The number of an item; what the leaf says of its producer gets `part` 0."""
    producer = facts.setdefault("producer", {})
    producer["part"] = 0
    return (producer["id"], producer["n"]) if "n" in producer else None


def _span_ids(span: Any) -> tuple[bytes, bytes]:
    trace_id, span_id = span.trace_id, span.span_id
    if len(trace_id) != TRACE_ID_BYTES or trace_id == _NO_TRACE_ID:
        raise ItemError("bad_trace_id", f"a span has a trace id of {TRACE_ID_BYTES} bytes, not all zero")
    if len(span_id) != SPAN_ID_BYTES or span_id == _NO_SPAN_ID:
        raise ItemError("bad_span_id", f"a span has a span id of {SPAN_ID_BYTES} bytes, not all zero")
    return trace_id, span_id


def _map_span(span: Any, context: Context, extra: Extra | None) -> Item:
    trace_id, span_id = _span_ids(span)
    name = span.name
    seen = walk(span.attributes)
    reading = read(seen, kind_of(seen, None, name), None, context.producer_id)
    _agent(reading, context)
    facts: dict[str, Any] = {"mapping": MAPPING, "trace_id": trace_id.hex(), "span_id": span_id.hex()}
    rest: dict[str, Any] = {}
    if name:
        rest["name"] = name
    if parent := span.parent_span_id:
        if len(parent) == SPAN_ID_BYTES and parent != _NO_SPAN_ID:
            facts["parent_span_id"] = parent.hex()
        else:
            rest["parentSpanId"] = parent.hex()
    if started := span.start_time_unix_nano:
        facts["started_at"] = time_text(started)
    if ended := span.end_time_unix_nano:
        facts["ended_at"] = time_text(ended)
    if kind := span.kind:
        rest["kind"] = kind
    if flags := span.flags:
        rest["flags"] = flags
    if state := span.trace_state:
        rest["traceState"] = state
    if dropped := span.dropped_attributes_count:
        rest["droppedAttributesCount"] = dropped
    if dropped := span.dropped_events_count:
        rest["droppedEventsCount"] = dropped
    if dropped := span.dropped_links_count:
        rest["droppedLinksCount"] = dropped
    if span.HasField("status"):
        _status(span.status, facts, reading.fields, rest)
    if extra is not None and extra.unknown:
        rest["unknownFields"] = encode_base64(extra.wire)
    fields = list(context.fields)
    if seen.pairs:
        fields.append(("attributes", _printed(seen.pairs)))
    parts: list[tuple[Any, str]] = []
    if events := span.events:
        fields.append(("events", _printed(_events(events, facts, reading, parts))))
    if links := span.links:
        _links(links, facts, fields)
    if rest:
        fields.append(("span", rest))
    drafts = [_draft("otlp:traces", reading, facts, fields)]
    producer = _producer(facts)
    for number, (event, event_kind) in enumerate(parts, start=1):
        drafts.append(_part(event, event_kind, number, drafts[0], context))
    wire = span.SerializeToString(deterministic=True) if extra is None else extra.wire
    identity = len(wire).to_bytes(4, "big") + wire + context.identity
    return Item("traces", trace_id, span_id, producer, identity, 0, drafts)


def _status(status: Any, facts: dict[str, Any], fields: dict[str, Any], rest: dict[str, Any]) -> None:
    """Status to the leaf where it is Ok or Error and says no more; a message becomes the field `error`."""
    code, message = status.code, status.message
    named = _STATUS.get(code)
    left: dict[str, Any] = {}
    if named is not None:
        facts["status"] = named
    elif code:
        left["code"] = code
    if message:
        if "error" in fields:
            left["message"] = message
        else:
            fields["error"] = message
            left["message"] = {"promoted": "error"}
    if left or named is None:
        rest["status"] = left


def _links(links: Any, facts: dict[str, Any], fields: list[tuple[str, Any]]) -> None:
    """Link ids to the leaf, as many as it takes; where links say more than that, all of them to the content too."""
    ids: list[dict[str, str]] = []
    plain = True
    values = []
    for link in links:
        value = link_json(link)
        values.append(value)
        trace_id, span_id = link.trace_id, link.span_id
        right = (
            len(trace_id) == TRACE_ID_BYTES
            and len(span_id) == SPAN_ID_BYTES
            and trace_id != _NO_TRACE_ID
            and span_id != _NO_SPAN_ID
        )
        if right and len(ids) < MAX_LINKS:
            ids.append({"trace_id": value["traceId"], "span_id": value["spanId"]})
            plain = plain and len(value) == 2
        else:
            plain = False
    if ids:
        facts["links"] = ids
    if not plain:
        fields.append(("links", _printed(values)))


def _events(
    events: Iterable[Any], facts: dict[str, Any], reading: Reading, parts: list[tuple[Any, str]]
) -> list[dict[str, Any]]:
    """The events of a span as content; recognised ones go to `parts`, the first exception may name the error."""
    values: list[dict[str, Any]] = []
    for event in events:
        kind = EVENT_KINDS.get(event.name)
        if kind is None:
            value = event_json(event)
            values.append(value)
            if event.name == _EXCEPTION and "error_type" not in reading.facts:
                _error_type(value, facts)
            continue
        parts.append((event, kind))
        values.append({"promoted": len(parts)})
    return values


def _error_type(event: dict[str, Any], facts: dict[str, Any]) -> None:
    for pair in event.get("attributes", ()):
        if pair["key"] == "exception.type" and "error_type" not in facts:
            text = pair.get("value", {}).get("stringValue", "")
            if fits_token(text):
                facts["error_type"] = text


def _part(event: Any, kind: str, part: int, parent: Draft, context: Context) -> Draft:
    """A recognised span event as a record: interaction, agent and person are its span's unless it names its own."""
    seen = walk(event.attributes)
    reading = read(seen, kind, event.name, context.producer_id, part=part)
    span_facts = parent.facts
    facts: dict[str, Any] = {key: span_facts[key] for key in ("mapping", "trace_id", "span_id")}
    rest: dict[str, Any] = {}
    if time := event.time_unix_nano:
        facts["started_at"] = time_text(time)
    if dropped := event.dropped_attributes_count:
        rest["droppedAttributesCount"] = dropped
    for key in ("interaction", "agent"):
        if key in span_facts and key not in reading.facts:
            reading.facts[key] = dict(span_facts[key])
    if reading.interaction_id is None:
        reading.interaction_id = parent.interaction_id
    if reading.subject_id is None:
        reading.subject_id = parent.subject_id
    fields: list[tuple[str, Any]] = []
    if seen.pairs:
        fields.append(("attributes", _printed(seen.pairs)))
    if rest:
        fields.append(("span", rest))
    # The number is the item's, since it was given to the span as a whole; only a declaration names its own producer.
    number = {key: value for key, value in span_facts["producer"].items() if key in ("id", "n")}
    own = dict(reading.facts.get("producer", {}))
    own.pop("n", None)
    reading.facts["producer"] = {**(own if reading.kind == "producer" else {}), **number, "part": part}
    return _draft(parent.source, reading, facts, fields)


def _log_ids(record: Any) -> tuple[bytes, bytes]:
    """A log event may have no ids; some SDKs write "no id" as zeros."""
    trace_id, span_id = record.trace_id, record.span_id
    if trace_id and len(trace_id) != TRACE_ID_BYTES:
        raise ItemError("bad_trace_id", f"a log event has no trace id, or one of {TRACE_ID_BYTES} bytes")
    if span_id and len(span_id) != SPAN_ID_BYTES:
        raise ItemError("bad_span_id", f"a log event has no span id, or one of {SPAN_ID_BYTES} bytes")
    return trace_id, span_id


def _map_log(record: Any, context: Context, extra: Extra | None) -> Item:
    trace_id, span_id = _log_ids(record)
    if extra is not None and extra.unknown and _is_span(extra.wire):
        raise ItemError("wrong_signal", "this is a span, sent as a log event")
    event_name = record.event_name
    name = event_name if event_name and fits_token(event_name) else None
    seen = walk(record.attributes)
    reading = read(seen, kind_of(seen, EVENT_KINDS.get(event_name), None), name, context.producer_id)
    _agent(reading, context)
    facts: dict[str, Any] = {"mapping": MAPPING}
    rest: dict[str, Any] = {}
    if trace_id:
        if trace_id != _NO_TRACE_ID:
            facts["trace_id"] = trace_id.hex()
        else:
            rest["traceId"] = trace_id.hex()
    if span_id:
        if span_id != _NO_SPAN_ID:
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
        fields.append(("attributes", _printed(seen.pairs)))
    if record.HasField("body"):
        fields.append(("body", content_json(record.body)))
    if rest:
        fields.append(("span", rest))
    drafts = [_draft("otlp:logs", reading, facts, fields)]
    wire = record.SerializeToString(deterministic=True) if extra is None else extra.wire
    identity = len(wire).to_bytes(4, "big") + wire + context.identity
    trace_id = trace_id if "trace_id" in facts else b""
    span_id = span_id if "span_id" in facts else b""
    return Item("logs", trace_id, span_id, _producer(facts), identity, 0, drafts)


def _is_span(wire: bytes) -> bool:
    """A log record whose fields 1 and 2 are length-delimited: those are the ids of a span."""
    unknown: Any = UnknownFieldSet(LogRecord.FromString(wire))
    return any(entry.field_number in (1, 2) and entry.wire_type == _LENGTH_DELIMITED for entry in unknown)
