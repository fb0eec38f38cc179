"""Nothing sent is lost: every recorded export of agent frameworks comes back from `…/otlp`, item by item, equal.

Each file is posted in both encodings to a log of its own kind of service; then every record is asked for and what comes
back is parsed and compared with the item, resource and scope that were sent, as protobuf messages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from counterfoil.mapping.decode import decode_logs, decode_traces
from tests.ingest.disk import Disk
from tests.ingest.spans import agent_span_files, is_logs
from tests.service.running import LOG, RunningService

PROTOBUF, JSON = "application/x-protobuf", "application/json"
FILES = [*agent_span_files(".bin"), *agent_span_files(".otlp.json")]


def single_items(request: Any) -> list[Any]:
    """Every item of a request as a request of one item."""
    out = []
    outer_name, inner_name, item_name = (
        ("resource_spans", "scope_spans", "spans")
        if isinstance(request, ExportTraceServiceRequest)
        else ("resource_logs", "scope_logs", "log_records")
    )
    for group in getattr(request, outer_name):
        for scope in getattr(group, inner_name):
            for item in getattr(scope, item_name):
                one = type(request)()
                outer = getattr(one, outer_name).add()
                outer.CopyFrom(group)
                outer.ClearField(inner_name)
                inner = getattr(outer, inner_name).add()
                inner.CopyFrom(scope)
                inner.ClearField(item_name)
                getattr(inner, item_name).add().CopyFrom(item)
                out.append(one)
    return out


def request_of(body: bytes, content_type: str, logs: bool) -> Any:
    """The bytes as one protobuf request, whatever the encoding. Protobuf by the stock decoder, not by ours."""
    if content_type == PROTOBUF:
        return (ExportLogsServiceRequest if logs else ExportTraceServiceRequest).FromString(body)
    decoded = (decode_logs if logs else decode_traces)(body, content_type)
    request: Any = ExportLogsServiceRequest() if logs else ExportTraceServiceRequest()
    for group in decoded.groups:
        outer = (request.resource_logs if logs else request.resource_spans).add()
        if group.resource is not None:
            outer.resource.CopyFrom(group.resource)
        outer.schema_url = group.resource_schema_url
        inner = (outer.scope_logs if logs else outer.scope_spans).add()
        if group.scope is not None:
            inner.scope.CopyFrom(group.scope)
        inner.schema_url = group.scope_schema_url
        (inner.log_records if logs else inner.spans).extend(group.items)
    return request


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_item_of_a_recorded_export_comes_back_equal(path: Path, service: RunningService, disk: Disk) -> None:
    logs, content_type = is_logs(path), JSON if path.suffix == ".json" else PROTOBUF
    body = path.read_bytes()
    key = disk.new_key()  # a writer of its own: the other encoding of this file is not a retry
    before = disk.size()
    signal = "logs" if logs else "traces"
    headers = {"x-api-key": key.key, "Content-Type": content_type}
    response = service.client.post(f"/v1/{signal}", content=body, headers=headers)
    assert response.status_code == 200, response.content
    assert response.content == (b"{}" if content_type == JSON else b"")
    sent = single_items(request_of(body, content_type, logs))
    leaves = disk.leaves(before)
    firsts = [leaf for leaf in leaves if leaf.get("producer", {}).get("part", 0) == 0]
    assert len(firsts) == len(sent)
    for leaf, item in zip(firsts, sent, strict=True):
        answer = _otlp(service, leaf["seq"])
        assert request_of(answer.content, JSON, logs) == item, leaf["seq"]


def test_a_record_split_from_a_span_gives_back_the_whole_span(service: RunningService, disk: Disk) -> None:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"r" * 16, span_id=b"s" * 8, name="chat")
    event = span.events.add(name="counterfoil.fallback", time_unix_nano=5)
    event.attributes.add(key="counterfoil.fallback.trigger").value.string_value = "timeout"
    before = disk.size()
    headers = {**service.headers(), "Content-Type": PROTOBUF}
    assert service.client.post("/v1/traces", content=request.SerializeToString(), headers=headers).status_code == 200
    leaves = disk.leaves(before)
    assert [leaf["producer"]["part"] for leaf in leaves] == [0, 1]
    assert request_of(_otlp(service, before).content, JSON, logs=False) == request
    assert request_of(_otlp(service, before + 1).content, JSON, logs=False) == request


def _otlp(service: RunningService, seq: int) -> httpx.Response:
    response = service.client.get(f"/api/v1/records/{LOG}/{seq}/otlp", headers=service.headers("auditor"))
    assert response.status_code == 200, response.content
    assert response.headers["content-type"].startswith(JSON)
    return response
