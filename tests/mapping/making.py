"""Spans and log events for the tests, made as an SDK makes them, and checked to be given back as they came."""

from __future__ import annotations

from typing import Any

from counterfoil.mapping.decode import PROTOBUF
from counterfoil.mapping.draft import Item
from counterfoil.mapping.signals import LOGS, TRACES
from tests.mapping.storage import assert_given_back, decode, map_decoded

Attributes = dict[str, Any]
TRACE_ID, SPAN_ID = bytes(range(16)), bytes(range(8, 16))
START = 1_795_330_853_745_386_663


def set_value(value: Any, given: Any) -> None:
    """A Python value as AnyValue."""
    if isinstance(given, str):
        value.string_value = given
    elif isinstance(given, bool):
        value.bool_value = given
    elif isinstance(given, int):
        value.int_value = given
    elif isinstance(given, float):
        value.double_value = given
    elif isinstance(given, list):
        value.array_value.SetInParent()
        for inner in given:
            set_value(value.array_value.values.add(), inner)
    else:
        value.kvlist_value.SetInParent()
        for key, inner in given.items():
            set_value(value.kvlist_value.values.add(key=key).value, inner)


def fill(pairs: Any, attributes: Attributes) -> None:
    """Add attributes of any type to a repeated KeyValue."""
    for key, given in attributes.items():
        set_value(pairs.add(key=key).value, given)


def one(request: Any) -> Item:
    """The only item of a request, after checking that it is given back."""
    decoded = decode(LOGS if isinstance(request, LOGS.request) else TRACES, request.SerializeToString(), PROTOBUF)
    mapped = map_decoded(decoded)
    assert not mapped.refused
    assert_given_back(decoded, mapped)
    (item,) = mapped.items
    return item


def map_span(
    attributes: Attributes,
    events: list[tuple[str, Attributes]] | None = None,
    *,
    scope: tuple[str, str] = ("", ""),
    name: str = "work",
    error: str | None = None,
) -> Item:
    """A span of this scope."""
    request = TRACES.request()
    inner = request.resource_spans.add().scope_spans.add()
    inner.scope.name, inner.scope.version = scope
    span = inner.spans.add(trace_id=TRACE_ID, span_id=SPAN_ID, name=name, start_time_unix_nano=START)
    fill(span.attributes, attributes)
    for number, (event_name, given) in enumerate(events or ()):
        fill(span.events.add(name=event_name, time_unix_nano=START + number).attributes, given)
    if error is not None:
        span.status.code, span.status.message = 2, error
    return one(request)


def map_log(event_name: str, attributes: Attributes, body: Any = None) -> Item:
    """A log event with this name."""
    request = LOGS.request()
    record = request.resource_logs.add().scope_logs.add().log_records.add(event_name=event_name, trace_id=TRACE_ID)
    fill(record.attributes, attributes)
    if body is not None:
        set_value(record.body, body)
    return one(request)
