"""Real collectors in front of the service: what they forward is on disk once and whole, also across its crash.

Rotel takes OTLP over HTTP and gRPC from the Python exporters and forwards it over HTTP and gRPC. The OpenTelemetry
Collector follows a file of JSON lines and sends it with its own `otlphttp` exporter, in each coding and encoding.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import format_span_id, format_trace_id

from tests.clients.collectors import Rotel, free_ports, start_collector, start_rotel
from tests.ingest.disk import Disk, Leaf, open_disk
from tests.service.running import Made, RunningService, check_clean, launch

WAIT_S = 60.0
SPANS = 200
LINES = 150
BATCH = 50


def made_spans(count: int) -> list[ReadableSpan]:
    """Ended spans of one agent, each with content."""
    tracer = TracerProvider(resource=Resource({"service.name": "refunds-py"})).get_tracer("refunds", "1.0.0")
    spans = []
    for number in range(count):
        span = tracer.start_span("chat small-1", attributes={"gen_ai.operation.name": "chat", "number": number})
        span.add_event("gen_ai.choice", {"message": f"refund {number} is denied"})
        span.end()
        spans.append(span)
    return spans  # type: ignore[return-value]  # a span of the SDK is readable


def send(rotel: Rotel, by: str, spans: list[ReadableSpan]) -> None:
    """Hand the spans to the collector in batches, over HTTP or gRPC; it must say that it took each."""
    exporter: Any = (
        OTLPSpanExporter(f"{rotel.http}/v1/traces") if by == "http" else GrpcSpanExporter(rotel.grpc, insecure=True)
    )
    for first in range(0, len(spans), BATCH):
        assert exporter.export(spans[first : first + BATCH]) is SpanExportResult.SUCCESS
    exporter.shutdown()


def identities(spans: Iterable[ReadableSpan]) -> Counter[tuple[str, str]]:
    """Trace id and span id of each."""
    return Counter((format_trace_id(span.context.trace_id), format_span_id(span.context.span_id)) for span in spans)


def wait_for(disk: Disk, first: int, count: int) -> list[Leaf]:
    """What agents sent from `first` on, once there is so much, and for a moment longer: nothing may come twice."""
    deadline = time.monotonic() + WAIT_S
    while len(sent(disk, first)) < count:
        assert time.monotonic() < deadline, f"{len(sent(disk, first))} of {count} records after {WAIT_S:g} s"
        time.sleep(0.1)
    time.sleep(0.5)
    return sent(disk, first)


def sent(disk: Disk, first: int) -> list[Leaf]:
    """The records from `first` on that are not the service's own."""
    return [leaf for leaf in disk.leaves(first) if leaf["source"] != "service"]


@pytest.mark.parametrize("onward", ["http", "grpc"])
@pytest.mark.parametrize("by", ["http", "grpc"])
def test_spans_that_a_collector_forwards_are_on_disk_once_and_whole(
    by: str, onward: str, service: RunningService, disk: Disk, tmp_path: Path
) -> None:
    spans = made_spans(SPANS)
    endpoint = service.url if onward == "http" else f"http://{service.grpc}"
    first = disk.size()
    with start_rotel(endpoint, service.made.keys["writer"].key, onward, tmp_path) as rotel:
        send(rotel, by, spans)
        leaves = wait_for(disk, first, SPANS)
    assert Counter((leaf["trace_id"], leaf["span_id"]) for leaf in leaves) == identities(spans)
    assert {leaf["kind"] for leaf in leaves} == {"model_call"}
    for leaf in leaves[:20]:
        content = disk.content(leaf)
        number = next(pair["value"]["intValue"] for pair in content["attributes"] if pair["key"] == "number")
        assert f"refund {number} is denied" in json.dumps(content)
        assert {"key": "service.name", "value": {"stringValue": "refunds-py"}} in content["resource"]["attributes"]


@pytest.mark.kill
def test_spans_that_a_collector_holds_while_the_service_is_dead_arrive_once_after_its_restart(
    made_directory: Made, tmp_path: Path
) -> None:
    port, rpc = free_ports(2)
    arguments = ("--port", str(port), "--grpc-port", str(rpc))
    spans = made_spans(3 * SPANS)
    service = launch(made_directory, arguments=arguments)
    try:
        with start_rotel(service.url, made_directory.keys["writer"].key, "http", tmp_path) as rotel:
            with open_disk(made_directory) as disk:
                first = disk.size()
            send(rotel, "http", spans[:SPANS])
            with open_disk(made_directory) as disk:
                wait_for(disk, first, SPANS)  # Rotel drops a batch whose connection is reset, so none is under way
            service.kill()
            send(rotel, "grpc", spans[SPANS : 2 * SPANS])
            service = launch(made_directory, arguments=arguments)
            send(rotel, "http", spans[2 * SPANS :])
            with open_disk(made_directory) as disk:
                leaves = wait_for(disk, first, len(spans))
    finally:
        service.stop()
    arrived = Counter((leaf["trace_id"], leaf["span_id"]) for leaf in leaves)
    assert arrived == identities(spans)
    check_clean(made_directory)


def decision(number: int) -> dict[str, str]:
    """One line of an agent's log file."""
    return {
        "trace_id": os.urandom(16).hex(),
        "span_id": os.urandom(8).hex(),
        "counterfoil.decision.id": f"d-{number}",
        "counterfoil.decision.type": "refund",
        "counterfoil.decision.outcome": "deny",
        "counterfoil.decision.rationale": f"Order {number} was bought 41 days ago; policy R-12 allows 30.",
    }


def write(watched: Path, lines: Iterable[dict[str, str]]) -> None:
    """Add lines to the file as an agent does."""
    with watched.open("a") as file:
        file.writelines(f"{json.dumps(line)}\n" for line in lines)


@pytest.mark.parametrize(
    ("compression", "encoding"),
    [("gzip", "proto"), ("zstd", "proto"), ("deflate", "proto"), ("none", "proto"), ("gzip", "json"), ("zstd", "json")],
)
def test_the_opentelemetry_collector_s_exporter_is_taken_in_every_coding_and_encoding(
    compression: str, encoding: str, service: RunningService, disk: Disk, tmp_path: Path
) -> None:
    lines = [decision(number) for number in range(LINES)]
    watched = tmp_path / "agent.log"
    write(watched, lines)
    first = disk.size()
    key = service.made.keys["writer"].key
    with start_collector(service.url, key, watched, tmp_path, compression=compression, encoding=encoding) as log:
        leaves = wait_for(disk, first, LINES)
        assert "error" not in log.read_text(), log.read_text()
    by_span = {leaf["span_id"]: leaf for leaf in leaves}
    assert len(leaves) == len(by_span) == LINES
    for line in lines:
        leaf = by_span[line["span_id"]]
        assert (leaf["kind"], leaf["trace_id"]) == ("decision", line["trace_id"])
        assert leaf["decision"]["outcome"] == "deny"
        assert leaf["decision"]["id"] == line["counterfoil.decision.id"]
    last = by_span[lines[-1]["span_id"]]
    assert disk.content(last)["rationale"] == lines[-1]["counterfoil.decision.rationale"]


def test_a_coding_that_is_not_spoken_is_refused_with_the_ones_that_are_and_the_collector_logs_it(
    service: RunningService, disk: Disk, tmp_path: Path
) -> None:
    watched = tmp_path / "agent.log"
    write(watched, [decision(0)])
    first = disk.size()
    with start_collector(service.url, service.made.keys["writer"].key, watched, tmp_path, compression="snappy") as log:
        deadline = time.monotonic() + WAIT_S
        while "Dropping data" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        said = log.read_text()
    assert "415" in said
    assert "gzip" in said
    assert sent(disk, first) == []


@pytest.mark.kill
def test_log_events_that_the_collector_sends_across_a_crash_of_the_service_arrive_once(
    made_directory: Made, tmp_path: Path
) -> None:
    port, rpc = free_ports(2)
    arguments = ("--port", str(port), "--grpc-port", str(rpc))
    lines = [decision(number) for number in range(4 * LINES)]
    watched = tmp_path / "agent.log"
    service = launch(made_directory, arguments=arguments)
    try:
        with start_collector(service.url, made_directory.keys["writer"].key, watched, tmp_path, compression="zstd"):
            write(watched, lines[:LINES])
            with open_disk(made_directory) as disk:
                first = disk.size()
                deadline = time.monotonic() + WAIT_S
                while disk.size() < first + BATCH:  # some are in, some are under way
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
            write(watched, lines[LINES : 3 * LINES])
            time.sleep(0.1)
            service.kill()
            write(watched, lines[3 * LINES :])
            with pytest.raises(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/healthz")
            service = launch(made_directory, arguments=arguments)
            with open_disk(made_directory) as disk:
                leaves = wait_for(disk, first, len(lines))
    finally:
        service.stop()
    arrived = Counter(leaf["span_id"] for leaf in leaves)
    assert arrived == Counter(line["span_id"] for line in lines)
    check_clean(made_directory)
