"""A span to an item: part 0 is the span, parts 1.. its attributes that are records of their own, then its events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from counterfoil.core.encoding import encode_base64
from counterfoil.core.schema import MAX_LINKS
from counterfoil.mapping.anyvalue import event_json, link_json
from counterfoil.mapping.context import Context, printed
from counterfoil.mapping.decoded import Extra
from counterfoil.mapping.draft import Draft, Item
from counterfoil.mapping.drafting import NO_SPAN_ID, NO_TRACE_ID, make_draft, name_agent, number_of, time_text
from counterfoil.mapping.limits import MAX_PARTS, SPAN_ID_BYTES, TRACE_ID_BYTES, ItemError
from counterfoil.mapping.message_events import Moved
from counterfoil.mapping.parts import drop_gaps, split
from counterfoil.mapping.reading import Reading, Seen
from counterfoil.mapping.recognise import kind_of, read, walk
from counterfoil.mapping.tables import EVENT_KINDS, MAPPING
from counterfoil.mapping.targets import fits_token

_STATUS = {1: "ok", 2: "error"}
_EXCEPTION = "exception"


def map_span(span: Any, context: Context, extra: Extra | None) -> Item:
    trace_id, span_id = _span_ids(span)
    name = span.name
    facts: dict[str, Any] = {"mapping": MAPPING, "trace_id": trace_id.hex(), "span_id": span_id.hex()}
    vocabulary = context.vocabulary
    seen = walk(span.attributes, vocabulary)
    kind, splits = kind_of(seen, None, name, vocabulary)
    split_off = split(seen, kind, MAX_PARTS) if splits else []
    reading = read(seen, kind, facts, None, context.producer_id)
    if split_off:
        drop_gaps(seen.pairs)
    name_agent(reading, context)
    fields = list(context.fields)
    if seen.pairs:
        fields.append(("attributes", printed(seen.pairs)))
    rest = _span_rest(span, facts, reading.fields)
    parts: list[tuple[Any, str]] = []
    if events := span.events:
        fields.append(("events", printed(_events(events, reading, parts, MAX_PARTS - len(split_off), len(split_off)))))
    if links := span.links:
        _links(links, facts, fields)
    if extra is not None and extra.unknown:
        rest["unknownFields"] = encode_base64(extra.wire)
    if rest:
        fields.append(("span", rest))
    drafts = [make_draft("otlp:traces", reading, fields)]
    producer = number_of(facts)
    for part_kind, part_seen in split_off:
        drafts.append(_attributes_part(part_seen, part_kind, len(drafts), drafts[0], context))
    for event, event_kind in parts:
        drafts.append(_event_part(event, event_kind, len(drafts), drafts[0], context))
    wire = span.SerializeToString(deterministic=True) if extra is None else extra.wire
    identity = len(wire).to_bytes(4, "big") + wire + context.identity
    return Item("traces", trace_id, span_id, producer, identity, 0, drafts)


def _span_ids(span: Any) -> tuple[bytes, bytes]:
    trace_id, span_id = span.trace_id, span.span_id
    if len(trace_id) != TRACE_ID_BYTES or trace_id == NO_TRACE_ID:
        raise ItemError("bad_trace_id", f"a span has a trace id of {TRACE_ID_BYTES} bytes, not all zero")
    if len(span_id) != SPAN_ID_BYTES or span_id == NO_SPAN_ID:
        raise ItemError("bad_span_id", f"a span has a span id of {SPAN_ID_BYTES} bytes, not all zero")
    return trace_id, span_id


def _span_rest(span: Any, facts: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Parent, times and status of a span to `facts`; every other member, and what these do not hold exactly."""
    rest: dict[str, Any] = {}
    if name := span.name:
        rest["name"] = name
    if parent := span.parent_span_id:
        if len(parent) == SPAN_ID_BYTES and parent != NO_SPAN_ID:
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
        _status(span.status, facts, fields, rest)
    return rest


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
            and trace_id != NO_TRACE_ID
            and span_id != NO_SPAN_ID
        )
        if right and len(ids) < MAX_LINKS:
            ids.append({"trace_id": value["traceId"], "span_id": value["spanId"]})
            plain = plain and len(value) == 2
        else:
            plain = False
    if ids:
        facts["links"] = ids
    if not plain:
        fields.append(("links", printed(values)))


def _events(
    events: Iterable[Any], reading: Reading, parts: list[tuple[Any, str]], room: int, before: int
) -> list[dict[str, Any]]:
    """The events of a span as content; recognised ones go to `parts`, as many as there is room for, or to a field.

    `before` parts come before them. The first exception may name the error.
    """
    values: list[dict[str, Any]] = []
    moved = Moved(reading.kind, reading.fields)
    for event in events:
        value = event_json(event)
        name = event.name
        if name == _EXCEPTION and "error_type" not in reading.facts:
            _error_type(value, reading.facts)
        if (left := moved.take(name, value)) is not None:
            values.append(left)
            continue
        kind = EVENT_KINDS.get(name)
        if kind is None or len(parts) == room:
            values.append(value)
            continue
        parts.append((event, kind))
        values.append({"promoted": before + len(parts)})
    return values


def _error_type(event: dict[str, Any], facts: dict[str, Any]) -> None:
    for pair in event.get("attributes", ()):
        if pair["key"] == "exception.type" and "error_type" not in facts:
            text = pair.get("value", {}).get("stringValue", "")
            if fits_token(text):
                facts["error_type"] = text


def _event_part(event: Any, kind: str, part: int, parent: Draft, context: Context) -> Draft:
    """A recognised span event as a record."""
    facts = _facts_of_part(parent)
    seen = walk(event.attributes, context.vocabulary)
    reading = read(seen, kind, facts, event.name, context.producer_id, part=part)
    rest: dict[str, Any] = {}
    if time := event.time_unix_nano:
        facts["started_at"] = time_text(time)
    if dropped := event.dropped_attributes_count:
        rest["droppedAttributesCount"] = dropped
    return _part(seen, reading, rest, part, parent)


def _attributes_part(seen: Seen, kind: str, part: int, parent: Draft, context: Context) -> Draft:
    """Attributes of a span as a record; an oversight among them is of that span, unless it is of something larger."""
    facts = _facts_of_part(parent)
    reading = read(seen, kind, facts, None, context.producer_id, part=part)
    part_of = seen.known[0][1].part
    if kind == "oversight" and part_of is not None and part_of.row.of_span:
        of = {"trace_id": facts["trace_id"], "span_id": facts["span_id"]}
        facts.setdefault("oversight", {}).setdefault("of", of)
    return _part(seen, reading, {}, part, parent)


def _facts_of_part(parent: Draft) -> dict[str, Any]:
    return {key: parent.facts[key] for key in ("mapping", "trace_id", "span_id")}


def _part(seen: Seen, reading: Reading, rest: dict[str, Any], part: int, parent: Draft) -> Draft:
    """A part of a span: interaction, agent and person are its span's unless it names its own."""
    facts, span_facts = reading.facts, parent.facts
    for key in ("interaction", "agent"):
        if key in span_facts and key not in facts:
            facts[key] = dict(span_facts[key])
    if reading.interaction_id is None:
        reading.interaction_id = parent.interaction_id
    if reading.subject_id is None:
        reading.subject_id = parent.subject_id
    fields: list[tuple[str, Any]] = []
    if seen.pairs:
        fields.append(("attributes", printed(seen.pairs)))
    if rest:
        fields.append(("span", rest))
    # The number is the item's, since it was given to the span as a whole; only a declaration names its own producer.
    number = {key: value for key, value in span_facts["producer"].items() if key in ("id", "n")}
    own = dict(facts.get("producer", {}))
    own.pop("n", None)
    facts["producer"] = {**(own if reading.kind == "producer" else {}), **number, "part": part}
    return make_draft(parent.source, reading, fields)
