"""The two signals that become records, and how their OTLP requests are built (opentelemetry-proto 1.9).

Traces and logs have the same envelope: request > resource group > scope group > items. Only the names differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from counterfoil.mapping.draft import Source


@dataclass(frozen=True, slots=True)
class Signal:
    """Names and message classes of one signal: protobuf names (`*_field`) and OTLP/JSON names (`*_key`)."""

    name: str
    source: Source
    request: type[Any]
    item: type[Any]
    resource_field: str
    scope_field: str
    item_field: str
    resource_key: str
    scope_key: str
    item_key: str

    def path(self, resource_index: int, scope_index: int, item_index: int) -> str:
        """Where an item stands in its request, as OTLP/JSON names it."""
        return f"{self.resource_key}[{resource_index}].{self.scope_key}[{scope_index}].{self.item_key}[{item_index}]"


TRACES: Final = Signal(
    name="traces",
    source="otlp:traces",
    request=ExportTraceServiceRequest,
    item=Span,
    resource_field="resource_spans",
    scope_field="scope_spans",
    item_field="spans",
    resource_key="resourceSpans",
    scope_key="scopeSpans",
    item_key="spans",
)
LOGS: Final = Signal(
    name="logs",
    source="otlp:logs",
    request=ExportLogsServiceRequest,
    item=LogRecord,
    resource_field="resource_logs",
    scope_field="scope_logs",
    item_field="log_records",
    resource_key="resourceLogs",
    scope_key="scopeLogs",
    item_key="logRecords",
)
OTHER_KEYS: Final = frozenset({"resourceSpans", "resourceLogs", "resourceMetrics", "resourceProfiles"})
"""Top-level keys by which an OTLP/JSON body shows its signal."""
