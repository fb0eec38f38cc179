"""Bad input of every kind: the right status, the item named, the rest of the batch kept; the disk says the same.

Each row is one request to a real service with a key of its own (refusals are bounded for each key). After the answer
the ledger is read by another process: how many records the items became, and what the `refusal` record says.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import zstandard
from google.rpc.error_details_pb2 import BadRequest  # type: ignore[import-untyped]  # it has no py.typed
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it has no py.typed
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from counterfoil.ingest.limits import MAX_BODY_BYTES, MAX_INFLATED_BYTES, MAX_ITEMS, MIB
from tests.ingest.disk import Disk
from tests.ingest.spans import add_span, logs, otlp_json, traces
from tests.service.running import RunningService

PROTOBUF, JSON = "application/x-protobuf", "application/json"
RPC_CODES = {400: 3, 413: 8, 415: 3}


@dataclass(frozen=True)
class Row:
    """One bad request. `kept` counts items that become records; `refused` items that do not, 0 for whole requests."""

    name: str
    body: Callable[[str], bytes]
    status: int
    code: str
    signal: str = "traces"
    content_type: str | None = PROTOBUF
    headers: dict[str, str] = field(default_factory=dict)
    kept: int = 0
    refused: int = 0
    item: str | None = None
    limit: int | None = None


WRONG_SIGNAL = "wrong_signal|bad_trace_id|bad_span_id|bad_protobuf"
"""Bodies of the other signal decode silently, with ids that cannot be: any of these says so."""

GZIP = {"Content-Encoding": "gzip"}


def _second_span(change: Callable[[Any], None]) -> Callable[[str], bytes]:
    """Three spans, the second of them changed."""

    def body(name: str) -> bytes:
        request = traces(name, 3)
        change(request.resource_spans[0].scope_spans[0].spans[1])
        return request.SerializeToString()

    return body


def _second_span_json(change: Callable[[dict[str, Any]], None]) -> Callable[[str], bytes]:
    """The same in OTLP/JSON."""

    def body(name: str) -> bytes:
        value = json.loads(otlp_json(traces(name, 3)))
        change(value["resourceSpans"][0]["scopeSpans"][0]["spans"][1])
        return json.dumps(value).encode()

    return body


def _second_log(change: Callable[[Any], None]) -> Callable[[str], bytes]:
    def body(name: str) -> bytes:
        request = logs(name, 3)
        change(request.resource_logs[0].scope_logs[0].log_records[1])
        return request.SerializeToString()

    return body


def _nest(levels: int) -> Callable[[Any], None]:
    def change(span: Any) -> None:
        value = span.attributes.add(key="deep").value
        for _ in range(levels - 1):
            value = value.array_value.values.add()
        value.int_value = 1

    return change


def _nest_json(levels: int) -> Callable[[dict[str, Any]], None]:
    def change(span: dict[str, Any]) -> None:
        value: dict[str, Any] = {"intValue": "1"}
        for _ in range(levels - 1):
            value = {"arrayValue": {"values": [value]}}
        span["attributes"].append({"key": "deep", "value": value})

    return change


def _setting(name: str, value: Any) -> Callable[[Any], None]:
    return lambda item: setattr(item, name, value)


def _key(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda item: item.__setitem__(name, value)


def _traces(count: int) -> Callable[[str], bytes]:
    return lambda name: traces(name, count).SerializeToString()


def _gzipped(body: Callable[[str], bytes], change: Callable[[bytes], bytes]) -> Callable[[str], bytes]:
    return lambda name: change(gzip.compress(body(name)))


def _large_json(name: str) -> bytes:
    request = traces(name, 1)
    add_span(request.resource_spans[0].scope_spans[0].spans, name, 1).name = "x" * (MAX_BODY_BYTES + 1)
    return otlp_json(request)


def _incompressible(size: int) -> bytes:
    """A body that gzip makes about a hundred times smaller, so that size and not ratio is what breaks."""
    block = hashlib.shake_256(b"block").digest(400) + bytes(40_000)
    return (block * (size // len(block) + 1))[:size]


def _no_ids(name: str) -> bytes:
    request = traces(name, 1)
    request.resource_spans[0].scope_spans[0].spans[0].trace_id = b""
    return request.SerializeToString()


def _field(number: int, inner: bytes) -> bytes:
    size, length = len(inner), bytearray()
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes([number << 3 | 2]) + bytes(length) + inner


SECOND = "resourceSpans[0].scopeSpans[0].spans[1]"
SECOND_LOG = "resourceLogs[0].scopeLogs[0].logRecords[1]"

ROWS = [
    # -- one item is bad, the others are kept
    Row(
        "short trace id",
        _second_span(_setting("trace_id", b"x" * 15)),
        200,
        "bad_trace_id",
        kept=2,
        refused=1,
        item=SECOND,
    ),
    Row(
        "zero trace id",
        _second_span(_setting("trace_id", bytes(16))),
        200,
        "bad_trace_id",
        kept=2,
        refused=1,
        item=SECOND,
    ),
    Row("no span id", _second_span(_setting("span_id", b"")), 200, "bad_span_id", kept=2, refused=1, item=SECOND),
    Row(
        "zero span id", _second_span(_setting("span_id", bytes(8))), 200, "bad_span_id", kept=2, refused=1, item=SECOND
    ),
    Row(
        "long span id", _second_span(_setting("span_id", b"x" * 9)), 200, "bad_span_id", kept=2, refused=1, item=SECOND
    ),
    Row("33 levels", _second_span(_nest(33)), 200, "nesting_too_deep", kept=2, refused=1, item=SECOND, limit=32),
    Row("90 levels", _second_span(_nest(90)), 200, "nesting_too_deep", kept=2, refused=1, item=SECOND, limit=32),
    Row(
        "33 levels in JSON",
        _second_span_json(_nest_json(33)),
        200,
        "nesting_too_deep",
        content_type=JSON,
        kept=2,
        refused=1,
        item=SECOND,
        limit=32,
    ),
    Row(
        "id in base64",
        _second_span_json(_key("traceId", "3q2+796tvu/erb7v3q2+7w==")),
        200,
        "bad_type",
        content_type=JSON,
        kept=2,
        refused=1,
        item=SECOND,
    ),
    Row(
        "time that is no number",
        _second_span_json(_key("startTimeUnixNano", "yesterday")),
        200,
        "bad_type",
        content_type=JSON,
        kept=2,
        refused=1,
        item=SECOND,
    ),
    Row(
        "number out of range",
        _second_span_json(_key("endTimeUnixNano", str(2**64))),
        200,
        "out_of_range",
        content_type=JSON,
        kept=2,
        refused=1,
        item=SECOND,
    ),
    Row(
        "short trace id of a log event",
        _second_log(_setting("trace_id", b"x")),
        200,
        "bad_trace_id",
        signal="logs",
        kept=2,
        refused=1,
        item=SECOND_LOG,
    ),
    Row(
        "10,001 items",
        _traces(MAX_ITEMS + 1),
        200,
        "too_many_items",
        kept=MAX_ITEMS,
        refused=1,
        item=f"resourceSpans[0].scopeSpans[0].spans[{MAX_ITEMS}]",
        limit=MAX_ITEMS,
    ),
    # -- every item is bad: nothing to keep
    Row(
        "the only span has no id",
        _no_ids,
        400,
        "bad_trace_id",
        item="resourceSpans[0].scopeSpans[0].spans[0]",
    ),
    Row("logs sent as traces", lambda name: logs(name, 2).SerializeToString(), 400, WRONG_SIGNAL),
    Row("traces sent as logs", lambda name: traces(name, 2).SerializeToString(), 400, WRONG_SIGNAL, signal="logs"),
    Row("logs sent as traces in JSON", lambda name: otlp_json(logs(name)), 400, "wrong_signal", content_type=JSON),
    Row(
        "traces sent as logs in JSON",
        lambda name: otlp_json(traces(name)),
        400,
        "wrong_signal",
        signal="logs",
        content_type=JSON,
    ),
    # -- the request as a whole cannot be read
    Row("truncated protobuf", lambda name: traces(name, 3).SerializeToString()[:-7], 400, "bad_protobuf"),
    Row("no protobuf at all", lambda _: b"\xff" * 50, 400, "bad_protobuf"),
    Row("JSON that says protobuf", lambda name: otlp_json(traces(name)), 400, "bad_protobuf"),
    Row("protobuf that says JSON", _traces(1), 400, "bad_json", content_type=JSON),
    Row("truncated JSON", lambda name: otlp_json(traces(name))[:-9], 400, "bad_json", content_type=JSON),
    Row("JSON that is no object", lambda _: b"[]", 400, "bad_json", content_type=JSON),
    Row("JSON that is not UTF-8", lambda _: b'{"resourceSpans":[],"x":"\xff"}', 400, "bad_json", content_type=JSON),
    Row(
        "duplicate JSON keys",
        lambda name: otlp_json(traces(name)).replace(b'"name": "chat"', b'"name": "chat", "name": "other"'),
        400,
        "duplicate_key",
        content_type=JSON,
    ),
    Row("5,000 brackets", lambda _: b"[" * 5000, 400, "bad_json", content_type=JSON),
    # -- compression
    Row("not gzip", _traces(1), 400, "bad_compression", headers=GZIP),
    Row("truncated gzip", _gzipped(_traces(1), lambda body: body[:-5]), 400, "bad_compression", headers=GZIP),
    Row(
        "garbage after gzip", _gzipped(_traces(1), lambda body: body + b"garbage"), 400, "bad_compression", headers=GZIP
    ),
    Row(
        "damaged gzip",
        _gzipped(_traces(1), lambda body: body[:-6] + b"\0" + body[-5:]),
        400,
        "bad_compression",
        headers=GZIP,
    ),
    Row("empty gzip", lambda _: b"", 400, "bad_compression", headers=GZIP),
    Row(
        "deflate that is gzip",
        _gzipped(_traces(1), bytes),
        400,
        "bad_compression",
        headers={"Content-Encoding": "deflate"},
    ),
    Row("not zstd", _traces(1), 400, "bad_compression", headers={"Content-Encoding": "zstd"}),
    Row("unknown encoding", _traces(1), 415, "unsupported_encoding", headers={"Content-Encoding": "br"}),
    Row("two encodings", _traces(1), 415, "unsupported_encoding", headers={"Content-Encoding": "gzip, gzip"}),
    # -- limits of the whole
    Row("gzip bomb by ratio", lambda _: gzip.compress(bytes(MIB)), 413, "ratio_too_high", headers=GZIP, limit=200),
    Row(
        "deflate bomb by ratio",
        lambda _: zlib.compress(bytes(MIB)),
        413,
        "ratio_too_high",
        headers={"Content-Encoding": "deflate"},
        limit=200,
    ),
    Row(
        "zstd bomb by ratio",
        lambda _: zstandard.ZstdCompressor().compress(bytes(MIB)),
        413,
        "ratio_too_high",
        headers={"Content-Encoding": "zstd"},
        limit=200,
    ),
    Row(
        "over 64 MiB after decompression",
        lambda _: gzip.compress(_incompressible(MAX_INFLATED_BYTES + 1), 1),
        413,
        "body_too_large",
        headers=GZIP,
        limit=MAX_INFLATED_BYTES,
    ),
    Row("over 16 MiB as sent", lambda _: bytes(MAX_BODY_BYTES + 1), 413, "body_too_large", limit=MAX_BODY_BYTES),
    Row("over 16 MiB of JSON", _large_json, 413, "body_too_large", content_type=JSON, limit=MAX_BODY_BYTES),
    Row(
        "half a million empty spans and more",
        lambda _: gzip.compress(_field(1, _field(2, b"\x12\x00" * 500_001))),
        413,
        "too_many_values|ratio_too_high",
        headers=GZIP,
    ),
    Row(
        "half a million empty objects and more",
        lambda _: b'{"x":[' + b"{}," * 500_000 + b"{}]}",
        413,
        "too_many_values",
        content_type=JSON,
        limit=500_000,
    ),
    # -- what is not OTLP at all
    Row("no content type", _traces(1), 415, "unsupported_media_type", content_type=None),
    Row("text", _traces(1), 415, "unsupported_media_type", content_type="text/plain"),
    Row("protobuf by another name", _traces(1), 415, "unsupported_media_type", content_type="application/protobuf"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_bad_input_is_answered_named_and_recorded(row: Row, service: RunningService, disk: Disk) -> None:
    key = disk.new_key()
    before = disk.size()
    headers = {"x-api-key": key.key, **row.headers}
    if row.content_type is not None:
        headers["Content-Type"] = row.content_type
    response = service.client.post(f"/v1/{row.signal}", content=row.body(row.name), headers=headers)
    assert response.status_code == row.status, response.content
    text = _said(row, response)
    assert re.search(row.code, text), text
    if row.item is not None:
        assert row.item in text

    leaves = disk.leaves(before)
    kept = [leaf for leaf in leaves if leaf["kind"] != "refusal"]
    refusals = [leaf for leaf in leaves if leaf["kind"] == "refusal"]
    assert len(kept) == row.kept
    assert {leaf["writer"] for leaf in kept} <= {key.id}
    assert len(refusals) == 1
    facts, detail = refusals[0]["refusal"], disk.content(refusals[0])["detail"]
    assert facts["signal"] == row.signal
    assert facts["count"] == len(detail["items"])
    assert detail["writer"] == key.id
    assert all(one["code"] in text or "several" in text for one in detail["items"][:1])
    if row.refused:
        assert facts["count"] == row.refused
    if row.limit is not None:
        assert facts["limit"] == row.limit
    if row.item is not None:
        assert row.item in {one["item"] for one in detail["items"]}


def _said(row: Row, response: httpx.Response) -> str:
    """What the answer says, after checking that it is the message that OTLP wants, in the encoding of the request."""
    json_wanted = row.content_type != PROTOBUF
    assert response.headers["content-type"] == (JSON if json_wanted else PROTOBUF)
    if row.status == 200:
        if json_wanted:
            partial = response.json()["partialSuccess"]
            assert partial["rejectedSpans"] == str(row.refused)
            return str(partial["errorMessage"])
        if row.signal == "traces":
            success = ExportTraceServiceResponse.FromString(response.content).partial_success
            assert success.rejected_spans == row.refused
            return success.error_message
        logged = ExportLogsServiceResponse.FromString(response.content).partial_success
        assert logged.rejected_log_records == row.refused
        return logged.error_message
    if json_wanted:
        value = response.json()
        assert value["code"] == RPC_CODES[row.status]
        assert value["details"][0]["domain"] == "counterfoil"
        return str(value["message"])
    status = Status.FromString(response.content)
    assert status.code == RPC_CODES[row.status]
    if row.item is not None:
        bad = BadRequest()
        assert any(detail.Unpack(bad) for detail in status.details)
        assert row.item in {violation.field for violation in bad.field_violations}
    return str(status.message)
