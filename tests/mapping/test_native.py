"""The compiled part and Python say the same of every request, whole or damaged."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from counterfoil.mapping.compiled import PURE_VARIABLE, native
from counterfoil.mapping.signals import LOGS, TRACES
from counterfoil.mapping.wire import split
from tests.mapping.requests import LOG_REQUESTS, TRACE_REQUESTS, nested
from tests.mapping.storage import PROTOBUF_FILES, signal_of
from tests.mapping.test_fuzz import FILES, MUTATORS
from tests.mapping.twin import CASE, CASES, PureTwin, describe

SIGNALS = (TRACES, LOGS)
MUTATIONS = 5
SMALL = [path for path in FILES if path.suffix == ".bin"][::2]


@pytest.fixture(scope="module")
def pure() -> Iterator[PureTwin]:
    """A process that runs without the compiled part."""
    twin = PureTwin()
    yield twin
    twin.close()


def assert_same(pure: PureTwin, number: int, body: bytes) -> None:
    """Both say the same; where they do not, the first difference is shown as JSON."""
    ours, theirs = describe(number, body), pure.describe(number, body)
    if ours != theirs:
        assert orjson.loads(ours) == orjson.loads(theirs)
    assert ours == theirs


def test_where_there_is_a_compiler_the_compiled_part_is_used() -> None:
    forced = os.environ.get(PURE_VARIABLE, "") not in ("", "0")
    assert (native is not None) == (not forced and shutil.which("cc") is not None)


@pytest.mark.parametrize("path", PROTOBUF_FILES, ids=lambda path: path.name)
def test_both_say_the_same_of_what_real_agents_sent(pure: PureTwin, path: Path) -> None:
    assert_same(pure, SIGNALS.index(signal_of(path)), path.read_bytes())


@pytest.mark.parametrize("mutator", MUTATORS)
def test_both_say_the_same_of_damaged_requests(pure: PureTwin, mutator: str) -> None:
    for path in SMALL:
        rng = random.Random(f"{path.name}{mutator}native")
        for _ in range(MUTATIONS):
            body = bytearray(path.read_bytes())
            MUTATORS[mutator](rng, body)
            assert_same(pure, SIGNALS.index(signal_of(path)), bytes(body))


@settings(deadline=None, max_examples=40)
@given(TRACE_REQUESTS)
def test_both_say_the_same_of_every_trace_request(pure: PureTwin, request: Any) -> None:
    assert_same(pure, 0, request.SerializeToString())


@settings(deadline=None, max_examples=40)
@given(LOG_REQUESTS)
def test_both_say_the_same_of_every_log_request(pure: PureTwin, request: Any) -> None:
    assert_same(pure, 1, request.SerializeToString())


@pytest.mark.parametrize("maps", [False, True], ids=["arrays", "maps"])
@pytest.mark.parametrize("depth", [1, 21, 22, 31, 32, 33, 34, 99])
def test_both_say_the_same_of_nested_values(pure: PureTwin, depth: int, maps: bool) -> None:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8)
    span.attributes.add(key="deep").value.CopyFrom(nested(depth, maps=maps))
    span.attributes.add(key="gen_ai.input.messages").value.CopyFrom(nested(depth, maps=maps))
    assert_same(pure, 0, request.SerializeToString())


@pytest.mark.parametrize(
    "text",
    ["\x00\x1f\x7f", '"\\\b\t\n\f\r', "\u2028\ufeff", "\U0010ffff", "é" * 300, "x" * 70_000, "1234567", "a1234567b"],
    ids=["controls", "escapes", "separators", "last character", "long", "longer", "digits", "digits inside"],
)
def test_both_print_every_kind_of_text_alike(pure: PureTwin, text: str) -> None:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name=text)
    for key in ("plain", "gen_ai.agent.name", "gen_ai.output.messages", "counterfoil.interaction.id", text):
        span.attributes.add(key=key).value.string_value = text
    assert_same(pure, 0, request.SerializeToString())


@pytest.mark.parametrize("number", range(len(CASES)))
def test_both_commit_alike_to_content_out_of_the_ordinary(pure: PureTwin, number: int) -> None:
    assert_same(pure, CASE, bytes([number]))


def _value(pieces: bytes) -> bytes:
    """A request of one span with one attribute, key "k", whose AnyValue is these bytes."""
    pair = b"\x0a\x01k\x12" + bytes([len(pieces)]) + pieces
    span = b"\x0a\x10" + b"t" * 16 + b"\x12\x08" + b"s" * 8 + b"\x4a" + bytes([len(pair)]) + pair
    inner = b"\x12" + bytes([len(span)]) + span
    outer = b"\x12" + bytes([len(inner)]) + inner
    return b"\x0a" + bytes([len(outer)]) + outer


def test_a_log_event_with_unknown_fields_and_broken_text_is_kept(pure: PureTwin) -> None:
    """Found by fuzzing: the look for a span among log events read the broken text as if it were whole."""
    record = b"\x1a\x01\xff" + b"\xa2\x06\x00"  # severity_text, field 100
    inner = b"\x12" + bytes([len(record)]) + record
    outer = b"\x12" + bytes([len(inner)]) + inner
    body = b"\x0a" + bytes([len(outer)]) + outer
    assert b"invalidUtf8" in describe(1, body)
    assert_same(pure, 1, body)


CANONICAL = {
    "string": b"\x0a\x01a",
    "empty string": b"\x0a\x00",
    "nothing": b"",
    "true": b"\x10\x01",
    "integer": b"\x18\x05",
    "negative": b"\x18" + b"\xff" * 9 + b"\x01",
    "double": b"\x21" + bytes(8),
}
OTHER = {
    "two members of a oneof": b"\x0a\x01a\x10\x01",
    "the same member twice": b"\x0a\x01a\x0a\x01b",
    "true as two": b"\x10\x02",
    "a varint longer than it need be": b"\x18\x85\x00",
    "a tag longer than it need be": b"\x8a\x00\x01a",
    "a length longer than it need be": b"\x0a\x81\x00a",
    "an unknown field": b"\x0a\x01a\x78\x01",
    "a wrong wire type": b"\x0d\x01\x00\x00\x00",
    "a group": b"\x0b\x0c",
}


@pytest.mark.skipif(native is None, reason="this is about what the compiled part takes itself")
@pytest.mark.parametrize("form", [*CANONICAL, *OTHER])
def test_only_what_a_deterministic_encoder_prints_is_taken(pure: PureTwin, form: str) -> None:
    assert native is not None
    body = _value((CANONICAL | OTHER)[form])
    (group,) = split(TRACES, body) or ()
    (span,) = group.items
    assert (type(span).__name__ == "Item") == (form in CANONICAL)
    stock = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans[0]
    assert span.SerializeToString(deterministic=True) == stock.SerializeToString(deterministic=True)
    assert_same(pure, 0, body)


@pytest.mark.skipif(native is None, reason="this is about what the compiled part takes itself")
@settings(deadline=None, max_examples=25)
@given(TRACE_REQUESTS)
def test_an_item_has_the_attributes_of_the_librarys_message(request: Any) -> None:
    body = request.SerializeToString(deterministic=True)
    groups = split(TRACES, body) or []
    spans = [span for outer in request.resource_spans for inner in outer.scope_spans for span in inner.spans]
    items = [item for group in groups for item in group.items]
    assert len(items) == len(spans)
    for item, span in zip(items, spans, strict=True):
        assert item.SerializeToString(deterministic=True) == span.SerializeToString(deterministic=True)
        assert item.HasField("status") == span.HasField("status")
        assert list(item.attributes) == list(span.attributes)
        assert len(item.attributes) == len(span.attributes)
        for name in ("trace_id", "span_id", "name", "trace_state", "kind", "flags", "start_time_unix_nano"):
            assert getattr(item, name) == getattr(span, name)
        for event, stock in zip(item.events, span.events, strict=True):
            assert event.SerializeToString(deterministic=True) == stock.SerializeToString(deterministic=True)
        assert item.status.code == span.status.code
        assert item.DESCRIPTOR is span.DESCRIPTOR
        with pytest.raises(AttributeError):
            _ = item.no_such_field
