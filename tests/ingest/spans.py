"""Requests for tests: real ones from `tests/data/agent-spans`, and small ones made here.

Ids are made from a name, so that every test (and every row of a table) has its own and none is random.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

AGENT_SPANS = Path(__file__).parent.parent / "data" / "agent-spans"
START_NS = 1_790_000_000_000_000_000


def agent_span_files(suffix: str) -> list[Path]:
    """The recorded exports of agent frameworks whose names end so, traces and logs."""
    return sorted(path for path in AGENT_SPANS.iterdir() if path.name.endswith(suffix))


def is_logs(path: Path) -> bool:
    """Whether a recorded export is of log records."""
    return ".logs." in path.name


def digest(name: str, size: int) -> bytes:
    """`size` bytes made from `name`."""
    return hashlib.shake_256(name.encode()).digest(size)


def traces(name: str, count: int = 1) -> ExportTraceServiceRequest:
    """A request of `count` spans of one trace."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "refunds"
    spans = group.scope_spans.add()
    spans.scope.name = "tests"
    for number in range(count):
        add_span(spans.spans, name, number)
    return request


def add_span(spans: Any, name: str, number: int) -> Span:
    """One more span of the trace made from `name`."""
    span: Span = spans.add(
        trace_id=digest(name, 16),
        span_id=digest(f"{name} {number}", 8),
        name="chat",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=START_NS + number,
        end_time_unix_nano=START_NS + number + 5,
    )
    span.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
    span.attributes.add(key="test.number").value.int_value = number
    return span


def logs(name: str, count: int = 1) -> ExportLogsServiceRequest:
    """A request of `count` log events of one trace."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.add(key="service.name").value.string_value = "refunds"
    records = group.scope_logs.add()
    records.scope.name = "tests"
    for number in range(count):
        record = records.log_records.add(
            time_unix_nano=START_NS + number,
            trace_id=digest(name, 16),
            span_id=digest(f"{name} {number}", 8),
            event_name="counterfoil.decision",
        )
        record.body.string_value = f"what was decided, {number}"
        record.attributes.add(key="counterfoil.decision.type").value.string_value = "refund"
        record.attributes.add(key="counterfoil.decision.outcome").value.string_value = "deny"
    return request


def audit(*ids: str, **changes: str) -> ExportLogsServiceRequest:
    """A request of one audit record for each id; `changes` are attributes, with `_` for `.`."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.add(key="service.name").value.string_value = "auth-service"
    records = group.scope_logs.add().log_records
    for record_id in ids:
        record = records.add(
            time_unix_nano=START_NS, observed_time_unix_nano=START_NS + 1, event_name="user.login.success"
        )
        given = {
            "audit.record.id": record_id,
            "audit.actor.id": "u8472",
            "audit.actor.type": "user",
            "audit.action": "LOGIN",
            "audit.outcome": "success",
            **{name.replace("_", "."): value for name, value in changes.items()},
        }
        for name, value in given.items():
            record.attributes.add(key=name).value.string_value = value
        record.attributes.add(key="latency").value.double_value = 0.25
    return request


def otlp_json(request: ExportTraceServiceRequest | ExportLogsServiceRequest) -> bytes:
    """The request in OTLP/JSON, as an exporter of another language writes it: ids in hex, enumerations as numbers."""
    from google.protobuf.json_format import MessageToDict

    value = MessageToDict(request, use_integers_for_enums=True)
    return json.dumps(_with_hex_ids(value)).encode()


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: b64decode(inner).hex()
            if key in ("traceId", "spanId", "parentSpanId") and isinstance(inner, str)
            else _with_hex_ids(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_with_hex_ids(inner) for inner in value]
    return value
