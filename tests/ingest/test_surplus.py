"""Items over the limit: the first are kept, the others named."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from counterfoil.ingest.decoding import decode_and_map
from counterfoil.ingest.limits import Limits
from counterfoil.ingest.media import Encoding
from counterfoil.ingest.signal import Signal
from counterfoil.ingest.status import ExportError
from counterfoil.ingest.surplus import MOST_SURPLUS
from tests.ingest.spans import logs, otlp_json, traces


def spread() -> ExportTraceServiceRequest:
    """Twelve spans in four scopes of two resources."""
    request = ExportTraceServiceRequest()
    for name in ("a", "b"):
        group = request.resource_spans.add()
        group.CopyFrom(traces(name, 3).resource_spans[0])
        group.scope_spans.add().CopyFrom(traces(f"{name} again", 3).resource_spans[0].scope_spans[0])
    return request


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("most", range(2, 13))
def test_the_first_items_are_kept_and_every_other_is_named(most: int, encoding: Encoding) -> None:
    request = spread()
    body = request.SerializeToString() if encoding is Encoding.PROTOBUF else otlp_json(request)
    mapped = decode_and_map(Signal.TRACES, body, encoding, Limits(items=most))
    whole = decode_and_map(Signal.TRACES, body, encoding, Limits())
    assert [item.identity for item in mapped.items] == [item.identity for item in whole.items[:most]]
    places = [f"resourceSpans[{r}].scopeSpans[{s}].spans[{i}]" for r in range(2) for s in range(2) for i in range(3)]
    assert [one.item for one in mapped.refused] == places[most:]
    assert {(one.code, one.limit) for one in mapped.refused} <= {("too_many_items", f"items={most}")}


def test_log_events_over_the_limit_are_named_by_their_own_names() -> None:
    mapped = decode_and_map(Signal.LOGS, logs("l", 3).SerializeToString(), Encoding.PROTOBUF, Limits(items=2))
    assert [one.item for one in mapped.refused] == ["resourceLogs[0].scopeLogs[0].logRecords[2]"]


@pytest.mark.parametrize("encoding", Encoding)
def test_ten_times_the_limit_is_refused_whole(encoding: Encoding) -> None:
    request = traces("many", MOST_SURPLUS + 1)
    body = request.SerializeToString() if encoding is Encoding.PROTOBUF else otlp_json(request)
    with pytest.raises(ExportError) as caught:
        decode_and_map(Signal.TRACES, body, encoding, Limits(items=1))
    assert (caught.value.http_status, caught.value.code, caught.value.limit) == (413, "too_many_items", "items=1")


def test_surplus_of_a_request_that_is_not_all_utf8_is_refused_whole() -> None:
    body = traces("odd", 3).SerializeToString().replace(b"chat", b"ch\xfft")
    with pytest.raises(ExportError, match="holds at most 2 items") as caught:
        decode_and_map(Signal.TRACES, body, Encoding.PROTOBUF, Limits(items=2))
    assert caught.value.http_status == 413
