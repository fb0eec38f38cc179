"""The signals of OTLP and what differs between them: paths, message types, and the names of what is counted.

`metrics` is accepted so that an exporter set up for every signal works, and nothing of it is kept. `audit` is a draft
(see `audit`): requests and answers of logs, but all or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse


class Signal(StrEnum):
    """A signal of OTLP; the value is the last part of its path."""

    TRACES = "traces"
    LOGS = "logs"
    METRICS = "metrics"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class Shape:
    """How one signal answers."""

    response: type[ExportTraceServiceResponse] | type[ExportLogsServiceResponse] | type[ExportMetricsServiceResponse]
    rejected: str
    """Field of partial_success that counts what was refused."""
    rejected_json: str
    """The same in OTLP/JSON."""
    plural: str
    """What a person calls several items."""


SHAPES: Final = {
    Signal.TRACES: Shape(ExportTraceServiceResponse, "rejected_spans", "rejectedSpans", "spans"),
    Signal.LOGS: Shape(ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords", "log records"),
    Signal.AUDIT: Shape(ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords", "audit records"),
    Signal.METRICS: Shape(ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints", "data points"),
}
