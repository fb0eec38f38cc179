"""A large request cut into pieces says the same as the whole: the same items, the same refusals by the same names."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from counterfoil.core.errors import InputError
from counterfoil.core.note import parse_vkey
from counterfoil.core.promise import open_promise
from counterfoil.ingest import decoding, pieces
from counterfoil.ingest.decoding import decode_and_map, map_piece, read_request
from counterfoil.ingest.limits import Limits
from counterfoil.ingest.media import Encoding
from counterfoil.ingest.pieces import Counting, Cut, cut
from counterfoil.ingest.runs import MAX_HEAD_BYTES
from counterfoil.ingest.signal import Signal
from counterfoil.ingest.status import ExportError
from counterfoil.mapping.draft import Mapped
from counterfoil.mapping.signals import LOGS, TRACES
from tests.ingest.disk import Disk
from tests.ingest.spans import add_span, digest, logs, otlp_json, traces
from tests.service.running import RunningService

NAMES = {Signal.TRACES: TRACES, Signal.LOGS: LOGS}
LIMITS = Limits()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 400 bytes, so that small requests have many."""
    monkeypatch.setattr(pieces, "WHOLE_BYTES", 100)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 400)


def whole(signal: Signal, body: bytes, encoding: Encoding) -> Mapped:
    return decode_and_map(signal, body, encoding, LIMITS)


def in_pieces(signal: Signal, body: bytes, encoding: Encoding, most: int = 10_000) -> tuple[Mapped, int]:
    """Everything that the pieces become, and how many there were."""
    large = cut(NAMES[signal], body, encoding, most)
    assert large is not None
    found, counting, count = Mapped([], []), Counting(), 0
    for piece in large.pieces():
        mapped = map_piece(signal, large, piece, encoding, LIMITS, counting)
        found.items.extend(mapped.items)
        found.refused.extend(mapped.refused)
        count += 1
    found.refused.extend(large.surplus)
    return found, count


def told(mapped: Mapped) -> Any:
    """What a log and a client would be told."""
    items = [(item.trace_id, item.span_id, item.identity, item.ordinal, item.producer) for item in mapped.items]
    return items, sorted((one.item, one.code) for one in mapped.refused)


def many_groups() -> ExportTraceServiceRequest:
    """Three resources, some with several scopes, an empty one, some spans that must be refused."""
    request = ExportTraceServiceRequest()
    for resource in range(4):
        group = request.resource_spans.add(schema_url=f"https://example.test/{resource}")
        group.resource.attributes.add(key="service.name").value.string_value = f"service {resource}"
        for scope in range(resource):
            inner = group.scope_spans.add(schema_url="" if scope else "https://example.test/scope")
            inner.scope.name = f"scope {scope}"
            for number in range(9):
                span = add_span(inner.spans, f"pieces {resource} {scope}", number)
                if number % 4 == 3:
                    span.span_id = b"short"
    return request


def equal_events() -> ExportLogsServiceRequest:
    """Twelve events, eleven of them equal: each counts."""
    request = logs("equal", 1)
    records = request.resource_logs[0].scope_logs[0].log_records
    for _ in range(11):
        records.add().CopyFrom(records[0])
    records[5].body.string_value = "another"
    return request


ENCODE: dict[Encoding, Callable[[Any], bytes]] = {
    Encoding.PROTOBUF: lambda request: bytes(request.SerializeToString()),
    Encoding.JSON: otlp_json,
}


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize(
    ("signal", "request_"),
    [
        (Signal.TRACES, many_groups()),
        (Signal.TRACES, traces("pieces of one scope", 40)),
        (Signal.LOGS, equal_events()),
        (Signal.LOGS, logs("pieces of logs", 30)),
    ],
    ids=["groups", "one scope", "equal events", "logs"],
)
def test_pieces_say_the_same_as_the_whole(encoding: Encoding, signal: Signal, request_: Any) -> None:
    body = ENCODE[encoding](request_)
    found, count = in_pieces(signal, body, encoding)
    assert count > 3
    assert told(found) == told(whole(signal, body, encoding))


@pytest.mark.usefixtures("small_pieces")
def test_json_may_be_laid_out_in_any_way() -> None:
    value = json.loads(otlp_json(many_groups()))
    value["resourceSpans"][3]["unknown"] = {"a": ['}"]', "\\", {"b": "{["}]}
    for body in (json.dumps(value, indent=3).encode(), json.dumps(value, separators=(",", ":")).encode()):
        found, count = in_pieces(Signal.TRACES, body, Encoding.JSON)
        assert count > 3
        assert told(found) == told(whole(Signal.TRACES, body, Encoding.JSON))


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("encoding", list(Encoding))
def test_items_over_the_limit_are_refused_one_by_one_and_far_over_it_all_together(encoding: Encoding) -> None:
    body = ENCODE[encoding](many_groups())
    found, _ = in_pieces(Signal.TRACES, body, encoding, most=20)
    assert len(found.items) + len(found.refused) == 54
    surplus = [one for one in found.refused if one.code == "too_many_items"]
    assert len(surplus) == 34
    assert surplus[0].item == "resourceSpans[2].scopeSpans[1].spans[2]"
    assert surplus[0].limit == "items=20"
    with pytest.raises(ExportError, match="413 too_many_items"):
        cut(TRACES, body, encoding, 5)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]} x',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}],"scopeSpans":[]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":null}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"sp\\u0061ns":[]}]}]}',
        b'{"resourceSpans":[],"resourceLogs":[]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"a":"]}',
        b"[]",
        b"",
    ],
)
def test_json_that_is_not_built_as_expected_is_left_to_the_decoder(body: bytes) -> None:
    assert cut(TRACES, body + b" " * 200, Encoding.JSON, 10_000) is None


@pytest.mark.usefixtures("small_pieces")
def test_a_resource_larger_than_a_piece_is_not_repeated() -> None:
    request = traces("large resource", 30)
    request.resource_spans[0].resource.attributes.add(key="k").value.string_value = "v" * MAX_HEAD_BYTES
    for encoding, encode in ENCODE.items():
        assert cut(TRACES, encode(request), encoding, 10_000) is None


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("encoding", list(Encoding))
def test_whatever_is_damaged_pieces_never_say_otherwise_than_the_whole(encoding: Encoding) -> None:
    chance = random.Random(7)
    body = ENCODE[encoding](many_groups())
    same = 0
    for _ in range(300):
        damaged = bytearray(body)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(damaged))
            damaged[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        if cut(TRACES, bytes(damaged), encoding, 10_000) is None:
            continue
        found, _ = in_pieces(Signal.TRACES, bytes(damaged), encoding)
        try:
            expected = whole(Signal.TRACES, bytes(damaged), encoding)
        except InputError:
            assert found.refused, "what the whole is refused for, an item is"
        else:
            assert told(found) == told(expected)
            same += 1
    assert same > 20


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("encoding", list(Encoding))
def test_an_item_that_cannot_be_read_is_refused_by_its_name_and_the_others_are_kept(encoding: Encoding) -> None:
    request = traces("unreadable", 60)
    request.resource_spans[0].scope_spans[0].spans[41].name = "unreadable"
    body = ENCODE[encoding](request)
    if encoding is Encoding.JSON:
        damaged = body.replace(b'"unreadable"', b'"unreadable", "number": 01')
    else:
        damaged = body.replace(b"\x2a\x0aunreadable", b"\x2f\x0aunreadable")  # a tag of wire type 7
    assert damaged != body
    found, _ = in_pieces(Signal.TRACES, damaged, encoding)
    assert [one.item for one in found.refused] == ["resourceSpans[0].scopeSpans[0].spans[41]"]
    assert len(found.items) == 59


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("encoding", list(Encoding))
def test_an_item_over_the_limit_on_one_item_is_refused_by_its_name_and_the_others_keep_theirs(
    encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "MAX_ITEM_BYTES", 3_000)
    request = traces("giants", 40)
    spans = request.resource_spans[0].scope_spans[0].spans
    for index in (7, 8, 39):
        spans[index].attributes.add(key="text").value.string_value = "x" * 3_000
    spans[20].span_id = b"short"
    found, _ = in_pieces(Signal.TRACES, ENCODE[encoding](request), encoding)
    assert sorted((one.item.rpartition("[")[2], one.code) for one in found.refused) == [
        ("20]", "bad_span_id"),
        ("39]", "item_too_large"),
        ("7]", "item_too_large"),
        ("8]", "item_too_large"),
    ]
    assert {one.limit for one in found.refused if one.code == "item_too_large"} == {"item_bytes=3000"}
    assert len(found.items) == 36


@pytest.mark.usefixtures("small_pieces")
def test_fields_that_nobody_knows_are_bounded_in_one_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "MAX_VALUES", 500)
    request = traces("unknown fields", 3)
    spans = request.resource_spans[0].scope_spans[0].spans
    spans[1].MergeFromString(b"\x78\x01" * 501)
    found, _ = in_pieces(Signal.TRACES, bytes(request.SerializeToString()), Encoding.PROTOBUF)
    assert [(one.item, one.limit) for one in found.refused] == [
        ("resourceSpans[0].scopeSpans[0].spans[1]", "values=500")
    ]
    assert len(found.items) == 2


@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_small_request_whose_resource_is_repeated_much_is_taken_in_pieces_and_says_the_same(
    encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = traces("repeated", 50)
    request.resource_spans[0].resource.attributes.add(key="k").value.string_value = "v" * 2_000
    body = ENCODE[encoding](request)
    expected = told(whole(Signal.TRACES, body, encoding))
    monkeypatch.setattr(pieces, "WHOLE_REPEATED_BYTES", 50 * 2_000)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 10 * 2_000)
    large = read_request(Signal.TRACES, body, encoding, LIMITS)
    assert isinstance(large, Cut)
    found, count = in_pieces(Signal.TRACES, body, encoding)
    assert count >= 5
    assert told(found) == expected
    monkeypatch.setattr(decoding, "MAX_REPEATED_BYTES", 50 * 2_000)
    with pytest.raises(ExportError, match="413 too_much_repeated"):
        read_request(Signal.TRACES, body, encoding, LIMITS)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_large_request_that_cannot_be_cut_is_refused_and_a_smaller_one_is_left_to_the_decoder(
    encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = traces("not cut", 30)
    request.resource_spans[0].resource.attributes.add(key="k").value.string_value = "v" * MAX_HEAD_BYTES
    body = ENCODE[encoding](request)
    monkeypatch.setattr(pieces, "WHOLE_BYTES", 100)
    assert isinstance(read_request(Signal.TRACES, body, encoding, LIMITS), Mapped)
    monkeypatch.setattr(decoding, "MAX_UNCUT_BYTES", len(body) - 1)
    with pytest.raises(ExportError, match="413 not_cuttable"):
        read_request(Signal.TRACES, body, encoding, LIMITS)


# -- over a real server -------------------------------------------------------------------------------------------


def large_request(name: str, count: int) -> ExportTraceServiceRequest:
    """`count` spans of about 2 kB."""
    request = traces(name, count)
    for number, span in enumerate(request.resource_spans[0].scope_spans[0].spans):
        words = digest(f"{name} words {number}", 900).hex()
        span.attributes.add(key="gen_ai.output.messages").value.string_value = words
    return request


@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_large_request_has_one_answer_and_one_promise_for_all_its_records(
    encoding: Encoding, service: RunningService, disk: Disk
) -> None:
    request = large_request(f"large {encoding}", 4_000)
    spans = request.resource_spans[0].scope_spans[0].spans
    spans[3_990].span_id = b"short"
    before = disk.size()
    headers = {**service.headers(), "Content-Type": encoding.value, "Content-Encoding": "gzip"}
    body = gzip.compress(ENCODE[encoding](request), 1)
    response = service.client.post("/v1/traces", content=body, headers=headers)
    assert response.status_code == 200, response.text
    if encoding is Encoding.PROTOBUF:
        partial = ExportTraceServiceResponse.FromString(response.content).partial_success
        assert partial.rejected_spans == 1
        assert "1 of 4000 spans refused" in partial.error_message
        assert "resourceSpans[0].scopeSpans[0].spans[3990]: bad_span_id" in partial.error_message
    leaves = disk.leaves(before)
    assert [leaf.get("span_id") for leaf in leaves] == [
        *(span.span_id.hex() for span in spans if len(span.span_id) == 8),
        None,
    ]
    assert leaves[-1]["kind"] == "refusal"
    note = base64.b64decode(response.headers["counterfoil-promise"], validate=True)
    promise = open_promise(note, [parse_vkey(disk.log().vkey)])
    assert promise.ranges == ((before, before + 3_998),)
    again = service.client.post("/v1/traces", content=body, headers=headers)
    assert again.status_code == 200
    assert disk.size() == before + 4_000, "a retry makes no second record, not even of the refusal"


def test_a_large_request_of_which_nothing_can_be_kept_is_400(service: RunningService, disk: Disk) -> None:
    request = large_request("large and bad", 1_500)
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.trace_id = b"short"
    before = disk.size()
    headers = {"x-api-key": disk.new_key().key, "Content-Type": Encoding.PROTOBUF.value}
    response = service.client.post("/v1/traces", content=request.SerializeToString(), headers=headers)
    assert response.status_code == 400
    refusal = disk.leaves(before)[-1]["refusal"]
    assert refusal == {"code": "bad_trace_id", "count": 1_500, "signal": "traces"}
