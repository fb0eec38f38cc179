"""Unmodified OTLP exporters of two languages against a real service: what they were told was taken is on disk.

Python: the SDK's span and log exporters over HTTP/protobuf in each coding (over gRPC: test_grpc.py). JavaScript: the
stock exporters over HTTP/protobuf, HTTP/JSON and gRPC, installed once from the committed lock file into pytest's cache.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode, format_span_id, format_trace_id

from tests.ingest.disk import Disk
from tests.service.node import install
from tests.service.running import RunningService

JAVASCRIPT = Path(__file__).parent / "javascript"
RESOURCE = Resource.create({"service.name": "refunds-py", "service.version": "2.3.1"})


class Told:
    """An exporter and what it was told of each batch."""

    def __init__(self, exporter: Any) -> None:
        self.results: list[str] = []
        self.items = 0
        export = exporter.export

        def watched(batch: Any) -> Any:
            result = export(batch)
            self.results.append(result.name)
            self.items += len(batch)
            return result

        exporter.export = watched
        self.exporter = exporter


@pytest.mark.parametrize("compression", [Compression.Gzip, Compression.Deflate, Compression.NoCompression])
def test_spans_of_the_python_sdk_are_on_disk_once_it_was_told_so(
    compression: Compression, service: RunningService, disk: Disk
) -> None:
    told = Told(OTLPSpanExporter(f"{service.url}/v1/traces", headers=service.headers(), compression=compression))
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(BatchSpanProcessor(told.exporter, max_export_batch_size=100))
    tracer = provider.get_tracer("refunds", "1.0.0")
    before = disk.size()
    sent: list[ReadableSpan] = []
    for number in range(120):
        with tracer.start_as_current_span("invoke_agent", kind=SpanKind.INTERNAL) as agent:
            agent.set_attributes(
                {
                    "gen_ai.operation.name": "invoke_agent",
                    "gen_ai.agent.name": "refunds",
                    "gen_ai.conversation.id": f"conv-{number}",
                    "numbers": [1, 2, 3],
                    "score": 0.25,
                }
            )
            agent.add_event("exception", {"exception.type": "TimeoutError"})
            with tracer.start_as_current_span("chat", kind=SpanKind.CLIENT) as chat:
                chat.set_attribute("gen_ai.operation.name", "chat")
                chat.set_status(Status(StatusCode.ERROR, "no answer in time"))
        sent += [chat, agent]  # type: ignore[list-item]  # a span of the SDK is readable
    provider.shutdown()
    assert (told.results, told.items) == ([SpanExportResult.SUCCESS.name] * 3, 240)
    leaves = disk.leaves(before)
    assert [(leaf["trace_id"], leaf["span_id"]) for leaf in leaves] == [
        (format_trace_id(span.context.trace_id), format_span_id(span.context.span_id)) for span in sent
    ]
    assert {leaf["kind"] for leaf in leaves} == {"agent_run", "model_call"}
    agent_leaf = leaves[1]
    assert agent_leaf["interaction"]["id"] == "conv-0"
    content = disk.content(agent_leaf)
    assert {"key": "score", "value": {"doubleValue": 0.25}} in content["attributes"]
    assert content["events"][0]["name"] == "exception"


def test_log_events_of_the_python_sdk_are_on_disk_once_it_was_told_so(service: RunningService, disk: Disk) -> None:
    told = Told(OTLPLogExporter(f"{service.url}/v1/logs", headers=service.headers(), compression=Compression.Gzip))
    provider = LoggerProvider(resource=RESOURCE)
    provider.add_log_record_processor(BatchLogRecordProcessor(told.exporter))
    before = disk.size()
    logger = provider.get_logger("refunds")
    for number in range(50):
        logger.emit(
            event_name="counterfoil.decision",
            severity_number=SeverityNumber.INFO,
            body=f"case {number}",
            attributes={
                "counterfoil.decision.type": "refund",
                "counterfoil.decision.outcome": "deny",
                "counterfoil.decision.rationale": "Bought 41 days ago; policy R-12 allows 30.",
            },
        )
    provider.shutdown()
    assert set(told.results) == {"SUCCESS"}
    leaves = disk.leaves(before)
    assert [leaf["kind"] for leaf in leaves] == ["decision"] * 50
    content = disk.content(leaves[7])
    assert content["rationale"] == "Bought 41 days ago; policy R-12 allows 30."
    assert content["body"] == "case 7"


def test_an_exporter_with_a_wrong_key_is_told_that_it_failed(service: RunningService, disk: Disk) -> None:
    told = Told(OTLPSpanExporter(f"{service.url}/v1/traces", headers={"x-api-key": "cf_wrong"}))
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(BatchSpanProcessor(told.exporter))
    before = disk.size()
    provider.get_tracer("t").start_span("lost").end()
    provider.shutdown()
    assert told.results == ["FAILURE"]
    assert disk.size() == before


@pytest.fixture(scope="module")
def javascript(pytestconfig: pytest.Config) -> Path:
    """The folder with `send.mjs` and its exporters."""
    return install(JAVASCRIPT, pytestconfig.cache.mkdir("otlp-javascript"))


@pytest.mark.parametrize("encoding", ["proto", "http", "grpc"])
@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_spans_and_log_records_of_the_javascript_sdk_are_on_disk_once_it_was_told_so(
    encoding: str, compression: str, javascript: Path, service: RunningService, disk: Disk
) -> None:
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{service.grpc}" if encoding == "grpc" else service.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={service.made.keys['writer'].key}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": compression,
    }
    before = disk.size()
    done = subprocess.run(
        ["node", "send.mjs", encoding],
        cwd=javascript,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["results"] == [0, 0]
    leaves = disk.leaves(before)
    spans = [leaf for leaf in leaves if leaf["source"] == "otlp:traces"]
    assert {leaf["trace_id"] for leaf in leaves} == {told["trace"]}
    assert {leaf["span_id"] for leaf in spans} == set(told["spans"])
    assert [leaf["fallback"]["trigger"] for leaf in spans if leaf["kind"] == "fallback"] == ["timeout"]
    decisions = [leaf for leaf in leaves if leaf["source"] == "otlp:logs"]
    assert [leaf["decision"]["outcome"] for leaf in decisions] == ["deny", "escalate"]
    assert disk.content(decisions[0])["body"] == "the refund: deny"
    chat = next(leaf for leaf in spans if leaf["kind"] == "model_call")
    assert {"key": "score", "value": {"doubleValue": 0.65}} in disk.content(chat)["attributes"]
