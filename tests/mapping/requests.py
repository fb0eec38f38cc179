"""Hypothesis strategies for OTLP requests: everything that protobuf can say, and much that our tables look for."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from counterfoil.mapping.tables import (
    AUDIT_ROWS,
    EVENT_KINDS,
    EVENT_ROWS,
    KIND_ROWS,
    PART_ROWS,
    ROWS,
    SCOPE_QUIRKS,
)

_PATTERNS = (
    {row.attribute for rows in ROWS.values() for row in rows}
    | {row.attribute for quirk in SCOPE_QUIRKS for row in quirk.rows}
    | {row.attribute for row in (*AUDIT_ROWS, *KIND_ROWS)}
    | {row.chosen_by for row in PART_ROWS if row.chosen_by}
)
_INDEXES = ("0", "1", "2", "007", "10000", "999999999", "9999999999", "-1", "x", "")
_INDEXED = sorted(key for key in _PATTERNS if ".N." in key)
KNOWN_KEYS = sorted(_PATTERNS - set(_INDEXED))
_RESTS = ("message.role", "message.content", "role", "tool_calls.0.name", "")
INDEXED_KEYS = sorted(
    {
        pattern.replace(".N.", f".{index}.").replace("*", rest)
        for pattern in _INDEXED
        for index in _INDEXES
        for rest in _RESTS
    }
)
PART_KEYS = sorted(
    prefix.replace(".N.", ".0.") + rest
    for row in PART_ROWS
    for prefix in row.prefixes
    for rest in ("annotator_kind", "label", "x", "")
)
SCOPE_NAMES = sorted({quirk.scope for quirk in SCOPE_QUIRKS})
KNOWN_VALUES = sorted(
    {value for row in KIND_ROWS for value in row.kinds}
    | set(EVENT_KINDS)
    | {value for row in PART_ROWS for value in row.kinds}
    | {word for rows in ROWS.values() for row in rows for word in row.values}
    | {"high", "human", "agent", "queue", "start", "yes", "0.65", "1", "R-12", "redacted", "conv-77", "gpt-4o", "a b"}
    | {'{"thread_id":"t-1","user_id":7}', "user", "APPROVE", "success"}
    | {"jane@example.com", "+4915112345678", "2026-11-22T10:48:39.000123000Z", "ab" * 16, "ab" * 8, '[{"option":"x"}]'}
)
U32 = st.integers(0, 2**32 - 1)
U64 = st.one_of(
    st.sampled_from((0, 1, 999_999_999, 2**63, 2**64 - 1, 1_795_330_853_745_386_663)), st.integers(0, 2**64 - 1)
)
TEXT = st.one_of(st.text(max_size=12), st.sampled_from(KNOWN_VALUES), st.sampled_from(("", "\x00", "\u2028", "é😀")))
KEYS = st.one_of(
    st.sampled_from(KNOWN_KEYS), st.sampled_from((*KNOWN_KEYS, *INDEXED_KEYS, *PART_KEYS)), st.text(max_size=6)
)
SCALARS = st.one_of(
    st.just({}),
    st.builds(lambda value: {"string_value": value}, TEXT),
    st.builds(lambda value: {"bool_value": value}, st.booleans()),
    st.builds(lambda value: {"int_value": value}, st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 9))),
    st.builds(
        lambda value: {"double_value": value}, st.one_of(st.floats(allow_nan=False), st.sampled_from((0.0, -0.0)))
    ),
    st.just({"double_value": float("nan")}),
    st.builds(lambda value: {"bytes_value": value}, st.binary(max_size=8)),
    st.builds(lambda value: {"string_value_strindex": value}, st.integers(-(2**31), 2**31 - 1)),
)


def _pair(key: str, value: dict[str, Any] | None, index: int) -> dict[str, Any]:
    return {"key": key, "key_strindex": index} | ({} if value is None else {"value": value})


def _pairs(values: st.SearchStrategy[dict[str, Any]], most: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    index = st.one_of(st.just(0), st.just(0), st.just(0), st.integers(0, 9))
    return st.lists(st.builds(_pair, KEYS, st.one_of(values, st.none()), index), max_size=most)


VALUES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(lambda values: {"array_value": {"values": values}}, st.lists(inner, max_size=3)),
        st.builds(lambda pairs: {"kvlist_value": {"values": pairs}}, _pairs(inner, 3)),
    ),
    max_leaves=6,
)
ATTRIBUTES = _pairs(VALUES, 8)
TRACE_IDS = st.binary(min_size=16, max_size=16).filter(any)
SPAN_IDS = st.binary(min_size=8, max_size=8).filter(any)
ANY_ID = st.one_of(TRACE_IDS, SPAN_IDS, st.binary(max_size=20), st.just(bytes(8)), st.just(b""))
EVENT_NAMES = st.one_of(
    st.sampled_from(sorted(EVENT_KINDS)),
    st.sampled_from(sorted({row.event for row in EVENT_ROWS})),
    st.sampled_from(("exception", "")),
    TEXT,
)


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


RESOURCES = _optional(
    attributes=ATTRIBUTES,
    dropped_attributes_count=U32,
    entity_refs=st.lists(
        _optional(
            schema_url=TEXT, type=TEXT, id_keys=st.lists(TEXT, max_size=2), description_keys=st.lists(TEXT, max_size=2)
        ),
        max_size=2,
    ),
)
SCOPES = _optional(
    name=st.one_of(TEXT, st.sampled_from(SCOPE_NAMES)),
    version=st.one_of(TEXT, st.sampled_from(("0.1", "1.9", "2.68.0"))),
    attributes=ATTRIBUTES,
    dropped_attributes_count=U32,
)
EVENTS = _optional(time_unix_nano=U64, name=EVENT_NAMES, attributes=ATTRIBUTES, dropped_attributes_count=U32)
LINKS = st.one_of(
    st.fixed_dictionaries({"trace_id": TRACE_IDS, "span_id": SPAN_IDS}),
    _optional(
        trace_id=ANY_ID,
        span_id=ANY_ID,
        trace_state=TEXT,
        attributes=ATTRIBUTES,
        dropped_attributes_count=U32,
        flags=U32,
    ),
)
SPANS = st.builds(
    lambda ids, rest: ids | rest,
    st.fixed_dictionaries({"trace_id": TRACE_IDS, "span_id": SPAN_IDS}),
    _optional(
        trace_state=TEXT,
        parent_span_id=ANY_ID,
        flags=U32,
        name=st.one_of(
            TEXT, st.sampled_from(("chat gpt-4o", "execute_tool x y", "invoke_agent", "handoff to b", "call_llm"))
        ),
        kind=st.integers(-(2**31), 2**31 - 1),
        start_time_unix_nano=U64,
        end_time_unix_nano=U64,
        attributes=ATTRIBUTES,
        dropped_attributes_count=U32,
        events=st.lists(EVENTS, max_size=4),
        dropped_events_count=U32,
        links=st.one_of(st.lists(LINKS, max_size=3), st.lists(LINKS, min_size=33, max_size=34)),
        dropped_links_count=U32,
        status=_optional(message=TEXT, code=st.one_of(st.integers(0, 2), st.integers(-(2**31), 2**31 - 1))),
    ),
)
LOG_RECORDS = _optional(
    time_unix_nano=U64,
    observed_time_unix_nano=U64,
    severity_number=st.integers(-(2**31), 2**31 - 1),
    severity_text=TEXT,
    body=VALUES,
    attributes=ATTRIBUTES,
    dropped_attributes_count=U32,
    flags=U32,
    trace_id=st.one_of(TRACE_IDS, st.just(b""), st.just(bytes(16))),
    span_id=st.one_of(SPAN_IDS, st.just(b""), st.just(bytes(8))),
    event_name=EVENT_NAMES,
)


def _envelope(
    outer: str, inner: str, items_name: str, items: st.SearchStrategy[dict[str, Any]]
) -> st.SearchStrategy[dict[str, Any]]:
    inners = st.builds(
        lambda head, found: {**head, items_name: found},
        _optional(scope=SCOPES, schema_url=TEXT),
        st.lists(items, min_size=1, max_size=3),
    )
    outers = st.builds(
        lambda head, found: {**head, inner: found},
        _optional(resource=RESOURCES, schema_url=TEXT),
        st.lists(inners, min_size=1, max_size=2),
    )
    return st.builds(lambda found: {outer: found}, st.lists(outers, min_size=1, max_size=2))


TRACE_REQUESTS = st.builds(
    lambda value: ExportTraceServiceRequest(**value), _envelope("resource_spans", "scope_spans", "spans", SPANS)
)
LOG_REQUESTS = st.builds(
    lambda value: ExportLogsServiceRequest(**value),
    _envelope("resource_logs", "scope_logs", "log_records", LOG_RECORDS),
)


def nested(levels: int, *, maps: bool) -> AnyValue:
    """A value nested so many levels deep: 1 is a string."""
    value: dict[str, Any] = {"string_value": "x"}
    for _ in range(levels - 1):
        pair = {"key": "k", "value": value}
        value = {"kvlist_value": {"values": [pair]}} if maps else {"array_value": {"values": [value]}}
    return AnyValue(**value)
