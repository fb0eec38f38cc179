"""Counting the values of a body before anything is built from it."""

from __future__ import annotations

import json
import time

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from counterfoil.ingest.limits import Limits
from counterfoil.ingest.status import ExportError
from counterfoil.ingest.structure import check_json, check_protobuf, count_elements, structure_of
from tests.ingest.spans import agent_span_files

TRACES = structure_of(ExportTraceServiceRequest.DESCRIPTOR)
LOGS = structure_of(ExportLogsServiceRequest.DESCRIPTOR)
MANY = 10**9


def oracle(message: Message) -> int:
    """Elements of repeated fields below `message`, counted in the decoded tree."""
    count = 0
    for field, value in message.ListFields():
        values = value if field.is_repeated else [value]
        count += len(values) if field.is_repeated else 0
        if field.message_type is not None:
            count += sum(oracle(inner) for inner in values)
    return count


@pytest.mark.parametrize("path", agent_span_files(".bin"), ids=lambda path: path.name)
def test_the_walk_counts_what_the_decoder_builds(path) -> None:  # type: ignore[no-untyped-def]  # pytest gives a Path
    body = path.read_bytes()
    kind, known = (ExportLogsServiceRequest, LOGS) if ".logs." in path.name else (ExportTraceServiceRequest, TRACES)
    count = count_elements(body, known.table, MANY)
    assert count == oracle(kind.FromString(body))
    # The cheap bound never says less than there is.
    assert len(body) - len(body.translate(None, known.tags)) >= count


@given(st.binary(max_size=200))
def test_damaged_bodies_are_counted_without_error(body: bytes) -> None:
    assert 0 <= count_elements(body, TRACES.table, MANY) <= len(body)


def test_every_truncation_of_a_real_body_is_counted_without_error() -> None:
    body = agent_span_files(".bin")[0].read_bytes()[:3000]
    whole = count_elements(body, TRACES.table, MANY)
    for size in range(len(body)):
        assert count_elements(body[:size], TRACES.table, MANY) <= whole


def test_empty_spans_are_refused_by_number_before_they_are_decoded() -> None:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for _ in range(120):
        spans.add()
    body = request.SerializeToString()
    check_protobuf(body, TRACES, Limits(values=122))
    with pytest.raises(ExportError) as caught:
        check_protobuf(body, TRACES, Limits(values=100))
    assert (caught.value.http_status, caught.value.code, caught.value.limit) == (413, "too_many_values", "values=100")


def test_tags_spelled_with_more_bytes_than_they_need_are_counted() -> None:
    long_tag = b"\x92\x00\x00"  # field 2, length-delimited, an empty span
    body = _field(1, _field(2, long_tag * 150))
    assert count_elements(body, TRACES.table, MANY) == 152
    with pytest.raises(ExportError, match="more than 100 values"):
        check_protobuf(body, TRACES, Limits(values=100))


def test_large_text_is_no_reason_to_refuse() -> None:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    for _ in range(40):
        span.attributes.add(key="text").value.string_value = 'J"*2:jRZz\n' * 200
    check_protobuf(request.SerializeToString(), TRACES, Limits(values=50))


def test_values_nested_deeper_than_any_stack_are_counted() -> None:
    value = b""
    for _ in range(3000):  # AnyValue { array_value { values [ ... ] } }
        value = _field(5, _field(1, value))
    body = _field(1, _field(2, _field(2, _field(9, _field(2, value)))))
    assert count_elements(body, TRACES.table, MANY) == 4 + 3000


def test_commas_inside_strings_are_not_values() -> None:
    text = json.dumps({"key": 'a, b, {c}, [d] \\ " , ' * 300}).encode()
    check_json(text, Limits(values=100))


def test_values_outside_strings_are_counted() -> None:
    with pytest.raises(ExportError) as caught:
        check_json(json.dumps([{}] * 200).encode(), Limits(values=100))
    assert caught.value.code == "too_many_values"


@pytest.mark.parametrize("body", [b'"' + b'\\"' * 500_000, b'"' + b'\\"' * 500_000 + b"\\", b'"",' * 300_000 + b'"'])
def test_strings_made_to_be_slow_are_not(body: bytes) -> None:
    started = time.process_time()
    try:
        check_json(body, Limits(values=1000))
    except ExportError as error:
        assert error.code == "too_many_values"  # noqa: PT017 - either verdict is right for damaged JSON; time is the point
    assert time.process_time() - started < 1.0


def _field(number: int, inner: bytes) -> bytes:
    size, length = len(inner), bytearray()
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes([number << 3 | 2]) + bytes(length) + inner
