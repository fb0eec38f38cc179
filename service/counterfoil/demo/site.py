"""One contact centre as OpenTelemetry sees it: a resource, a tracer and a logger that export by OTLP/HTTP.

This is the ordinary set-up of an instrumented Python service: batch processors, protobuf, gzip, the key in a header.
"""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry._logs import Logger
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

SCOPE = "contact-centre"
SCOPE_VERSION = "4.2.0"
FLUSH_TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True)
class Site:
    """Where conversations take place: `region` and `channel` are reported with each of them."""

    name: str
    region: str
    channel: str
    tracer: Tracer
    logger: Logger
    traces: TracerProvider
    logs: LoggerProvider

    def close(self) -> bool:
        """Send what is still queued and stop; True if everything was handed over in time."""
        flushed = self.traces.force_flush(FLUSH_TIMEOUT_MS) and self.logs.force_flush(FLUSH_TIMEOUT_MS)
        self.traces.shutdown()
        self.logs.shutdown()
        return flushed


def open_site(endpoint: str, key: str, *, name: str, region: str, channel: str, version: str) -> Site:
    """A site that exports to `endpoint` (scheme and authority, no path) with the writer's `key`."""
    resource = Resource.create(
        {
            "service.name": name,
            "service.version": version,
            "deployment.environment.name": "demo",
            "cloud.region": region,
        }
    )
    headers = {"x-api-key": key}
    traces = TracerProvider(resource=resource, shutdown_on_exit=False)
    traces.add_span_processor(
        BatchSpanProcessor(
            OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", headers=headers, compression=Compression.Gzip)
        )
    )
    logs = LoggerProvider(resource=resource, shutdown_on_exit=False)
    logs.add_log_record_processor(
        BatchLogRecordProcessor(
            OTLPLogExporter(endpoint=f"{endpoint}/v1/logs", headers=headers, compression=Compression.Gzip)
        )
    )
    return Site(
        name=name,
        region=region,
        channel=channel,
        tracer=traces.get_tracer(SCOPE, SCOPE_VERSION),
        logger=logs.get_logger(SCOPE, SCOPE_VERSION),
        traces=traces,
        logs=logs,
    )
