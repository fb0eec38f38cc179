"""Limits and damage in protobuf: the item at fault is refused by name, and the rest of its request is kept."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from counterfoil.core.errors import InputError
from counterfoil.mapping.decode import PROTOBUF, decode_logs, decode_traces
from counterfoil.mapping.limits import MAX_ITEMS, MAX_NESTING
from counterfoil.mapping.map import map_logs, map_traces
from counterfoil.mapping.restore import restore_item
from counterfoil.mapping.signals import LOGS, TRACES
from tests.mapping.requests import nested
from tests.mapping.storage import PROTOBUF_FILES, content_of, decode, map_decoded, map_protobuf, signal_of, stored

TRACE_ID, SPAN_ID = b"t" * 16, b"s" * 8


def traces(count: int) -> tuple[Any, Any]:
    """A request, and its spans."""
    request = ExportTraceServiceRequest()
    outer = request.resource_spans.add()
    outer.resource.attributes.add(key="service.name").value.string_value = "cx"
    inner = outer.scope_spans.add()
    for number in range(count):
        inner.spans.add(trace_id=TRACE_ID, span_id=bytes([number + 1]) * 8, name=f"span {number}")
    return request, inner.spans


@pytest.mark.parametrize("trace_id", [b"", b"t" * 15, b"t" * 17, bytes(16)])
def test_a_span_needs_a_trace_id(trace_id: bytes) -> None:
    request, spans = traces(3)
    spans[1].trace_id = trace_id
    mapped = map_protobuf(request)
    assert [(refused.item, refused.code) for refused in mapped.refused] == [
        ("resourceSpans[0].scopeSpans[0].spans[1]", "bad_trace_id")
    ]
    assert len(mapped.items) == 2


@pytest.mark.parametrize("span_id", [b"", b"s" * 7, b"s" * 16, bytes(8)])
def test_a_span_needs_a_span_id(span_id: bytes) -> None:
    request, spans = traces(2)
    spans[0].span_id = span_id
    assert [refused.code for refused in map_protobuf(request).refused] == ["bad_span_id"]


@pytest.mark.parametrize(
    ("trace_id", "span_id", "codes"),
    [
        (b"", b"", []),
        (TRACE_ID, SPAN_ID, []),
        (TRACE_ID, b"", []),
        (bytes(16), bytes(8), []),
        (b"short", SPAN_ID, ["bad_trace_id"]),
        (TRACE_ID, b"short", ["bad_span_id"]),
    ],
)
def test_a_log_event_may_have_no_ids_but_no_wrong_ones(trace_id: bytes, span_id: bytes, codes: list[str]) -> None:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(trace_id=trace_id, span_id=span_id)
    mapped = map_protobuf(request)
    assert [refused.code for refused in mapped.refused] == codes
    for item in mapped.items:
        assert item.trace_id in (b"", TRACE_ID)
        assert item.span_id in (b"", SPAN_ID)


@pytest.mark.parametrize("levels", [MAX_NESTING + 1, MAX_NESTING + 2, 60, 400])
@pytest.mark.parametrize("maps", [False, True])
def test_nesting_over_the_limit_refuses_that_item_only(levels: int, maps: bool) -> None:
    request, spans = traces(3)
    spans[1].attributes.add(key="deep").value.CopyFrom(nested(levels, maps=maps))
    body = request.SerializeToString()
    mapped = map_traces(decode_traces(body, PROTOBUF))
    (refused,) = mapped.refused
    assert refused.item == "resourceSpans[0].scopeSpans[0].spans[1]"
    assert (refused.code, refused.limit) == ("nesting_too_deep", "nesting=32")
    assert [content_of(item.drafts[0])["span"]["name"] for item in mapped.items] == ["span 0", "span 2"]


@pytest.mark.parametrize("levels", [MAX_NESTING + 1, 300])
def test_a_resource_nested_too_deeply_refuses_its_items_only(levels: int) -> None:
    request, _ = traces(2)
    request.resource_spans[0].resource.attributes.add(key="deep").value.CopyFrom(nested(levels, maps=True))
    request.resource_spans.add().scope_spans.add().spans.add(trace_id=TRACE_ID, span_id=SPAN_ID)
    mapped = map_protobuf(request)
    assert [refused.code for refused in mapped.refused] == ["nesting_too_deep"] * 2
    assert len(mapped.items) == 1


def test_too_many_items_refuse_the_request() -> None:
    request, spans = traces(0)
    for _ in range(MAX_ITEMS + 1):
        spans.add()
    with pytest.raises(InputError) as refused:
        decode_traces(request.SerializeToString(), PROTOBUF)
    assert refused.value.code == "too_many_items"
    assert str(MAX_ITEMS) in refused.value.message


def test_as_many_items_as_the_limit_are_read() -> None:
    request, spans = traces(0)
    for _ in range(MAX_ITEMS):
        spans.add()
    assert len(map_protobuf(request).refused) == MAX_ITEMS


@pytest.mark.parametrize("body", [b"\x0a", b"\xff" * 20, b"\x0a\x05\x12", b"{}"])
def test_what_is_no_protobuf_is_bad_data(body: bytes) -> None:
    with pytest.raises(InputError) as refused:
        decode_traces(body, PROTOBUF)
    assert refused.value.code == "bad_protobuf"


def test_a_broken_item_is_refused_alone() -> None:
    request, spans = traces(3)
    spans[1].name = "a broken name"
    whole = request.SerializeToString()
    body = whole.replace(b"\x0da broken name", b"\x0fa broken name")  # a length beyond the end of the span
    assert body != whole
    mapped = map_traces(decode_traces(body, PROTOBUF))
    (refused,) = mapped.refused
    assert (refused.item, refused.code) == ("resourceSpans[0].scopeSpans[0].spans[1]", "bad_protobuf")
    assert len(mapped.items) == 2


def test_logs_sent_as_traces_are_refused_each_by_name() -> None:
    path = next(path for path in PROTOBUF_FILES if signal_of(path) is LOGS)
    mapped = map_traces(decode_traces(path.read_bytes(), PROTOBUF))
    assert mapped.items == []
    assert len(mapped.refused) == 4
    assert {refused.code for refused in mapped.refused} <= {"bad_trace_id", "bad_protobuf"}


@pytest.mark.parametrize(
    "path", [path for path in PROTOBUF_FILES if signal_of(path) is TRACES], ids=lambda path: path.name
)
def test_traces_sent_as_logs_are_refused_each_by_name(path: Any) -> None:
    count = len(map_decoded(decode(TRACES, path.read_bytes(), PROTOBUF)).items)
    mapped = map_logs(decode_logs(path.read_bytes(), PROTOBUF))
    assert mapped.items == []
    assert len(mapped.refused) == count


def test_a_bare_span_sent_as_a_log_is_told_by_its_ids() -> None:
    request, _ = traces(1)
    request.resource_spans[0].scope_spans[0].spans[0].ClearField("name")
    mapped = map_logs(decode_logs(request.SerializeToString(), PROTOBUF))
    assert [refused.code for refused in mapped.refused] == ["wrong_signal"]


BAD = b"caf\xe9 \xff"
PLACES = {
    "name": b"GOODNAME",
    "key": b"GOODKEY_",
    "value": b"GOODVAL_",
    "nested": b"GOODNEST",
    "event": b"GOODEVNT",
    "field": b"GOODFIEL",
    "state": b"GOODSTAT",
    "resource": b"GOODRES_",
    "scope": b"GOODSCOP",
    "url": b"GOODURL_",
    "user": b"GOODUSER",
    "message": b"GOODMESS",
}


def with_bad_text(*places: str) -> bytes:
    """A request of two spans, with text that is not UTF-8 at these places of the second."""
    request = ExportTraceServiceRequest()
    first = request.resource_spans.add().scope_spans.add()
    first.spans.add(trace_id=TRACE_ID, span_id=SPAN_ID, name="intact")
    outer = request.resource_spans.add(schema_url=PLACES["url"].decode())
    outer.resource.attributes.add(key="service.name").value.string_value = PLACES["resource"].decode()
    inner = outer.scope_spans.add()
    inner.scope.name = PLACES["scope"].decode()
    span = inner.spans.add(
        trace_id=TRACE_ID, span_id=b"x" * 8, name=PLACES["name"].decode(), trace_state=PLACES["state"].decode()
    )
    span.attributes.add(key=PLACES["key"].decode()).value.string_value = PLACES["value"].decode()
    span.attributes.add(key="list").value.array_value.values.add().string_value = PLACES["nested"].decode()
    span.attributes.add(key="gen_ai.input.messages").value.string_value = PLACES["field"].decode()
    span.attributes.add(key="user.id").value.string_value = PLACES["user"].decode()
    span.attributes.add(key="gen_ai.agent.name").value.string_value = "refunds"
    span.events.add(name=PLACES["event"].decode())
    span.status.message = PLACES["message"].decode()
    body = request.SerializeToString()
    for place in places:
        good = PLACES[place]
        assert body.count(good) == 1
        body = body.replace(good, BAD.ljust(len(good)))
    return body


INVALID = {"invalidUtf8": base64.b64encode(BAD.ljust(8)).decode()}


def test_text_that_is_not_utf8_is_kept_as_bytes_wherever_it_stands() -> None:
    decoded = decode_traces(with_bad_text(*PLACES), PROTOBUF)
    mapped = map_traces(decoded)
    assert not mapped.refused
    intact, item = mapped.items
    assert content_of(intact.drafts[0])["span"]["name"] == "intact"
    (draft,) = item.drafts
    content = content_of(draft)
    assert content["resource"]["schemaUrl"] == INVALID
    assert content["resource"]["attributes"][0]["value"] == {"stringValue": INVALID}
    assert content["scope"]["name"] == INVALID
    assert content["span"]["name"] == INVALID
    assert content["span"]["traceState"] == INVALID
    assert content["span"]["status"] == {"message": {"promoted": "error"}}
    assert content["error"] == {"stringValue": INVALID}
    assert content["input"] == {"stringValue": INVALID}
    assert content["events"][0]["name"] == INVALID
    assert content["attributes"][:2] == [
        {"key": INVALID, "value": {"stringValue": INVALID}},
        {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": INVALID}]}}},
    ]
    assert draft.facts["agent"] == {"name": "refunds"}
    assert draft.subject_id is None
    restored = restore_item([stored(draft)])["resourceSpans"][0]
    assert restored["schemaUrl"] == INVALID
    assert restored["scopeSpans"][0]["spans"][0]["status"]["message"] == INVALID


@pytest.mark.parametrize("place", PLACES)
def test_bad_text_changes_nothing_else(place: str) -> None:
    mapped = map_traces(decode_traces(with_bad_text(place), PROTOBUF))
    again = map_traces(decode_traces(with_bad_text(place), PROTOBUF))
    clean = map_traces(decode_traces(with_bad_text(), PROTOBUF))
    assert [item.identity for item in mapped.items] == [item.identity for item in again.items]
    assert mapped.items[0].identity == clean.items[0].identity
    assert mapped.items[1].identity != clean.items[1].identity
    (draft,) = mapped.items[1].drafts
    (expected,) = clean.items[1].drafts
    assert draft.facts | {"agent": 0} == expected.facts | {"agent": 0}


def test_a_sender_cannot_forge_the_mark_of_bad_text() -> None:
    body = with_bad_text("name")
    forged = decode_traces(body, PROTOBUF).invalid_prefix
    assert forged is not None
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=TRACE_ID, span_id=SPAN_ID)
    span.attributes.add(key="a").value.string_value = forged + "QQ=="
    mapped = map_traces(decode_traces(body + request.SerializeToString(), PROTOBUF))
    assert content_of(mapped.items[2].drafts[0])["attributes"] == [
        {"key": "a", "value": {"stringValue": forged + "QQ=="}}
    ]


def test_the_identity_of_an_item_with_bad_text_does_not_depend_on_its_batch() -> None:
    body = with_bad_text(*PLACES)
    more, _ = traces(1)
    alone = map_traces(decode_traces(body, PROTOBUF)).items
    batched = map_traces(decode_traces(body + more.SerializeToString(), PROTOBUF)).items
    assert [item.identity for item in batched[:2]] == [item.identity for item in alone]


def test_an_intact_item_has_the_same_identity_beside_a_bad_one() -> None:
    request, _ = traces(1)
    whole = request.SerializeToString()
    (alone,) = map_traces(decode_traces(whole, PROTOBUF)).items
    beside = map_traces(decode_traces(whole + with_bad_text("name"), PROTOBUF)).items
    assert beside[0].identity == alone.identity


def test_an_unknown_field_survives_beside_bad_text() -> None:
    request, spans = traces(1)
    spans[0].MergeFromString(b"\xfa\x3e\x05later")
    spans[0].name = "GOODNAME"
    body = request.SerializeToString().replace(b"GOODNAME", BAD.ljust(8))
    (item,) = map_traces(decode_traces(body, PROTOBUF)).items
    assert b"later" in base64.b64decode(content_of(item.drafts[0])["span"]["unknownFields"])
