"""OTLP/gRPC on a real server, by unmodified exporters and by bare calls (OTLP 1.11, "OTLP/gRPC"; CONVENTIONS 5)."""

from __future__ import annotations

import base64
import gzip
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import grpc  # type: ignore[import-untyped]  # grpcio has no py.typed
import pytest
from google.rpc.error_details_pb2 import (  # type: ignore[import-untyped]  # it has no py.typed
    BadRequest,
    ErrorInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # as above
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import format_span_id

from counterfoil.core.note import parse_vkey
from counterfoil.core.promise import open_promise
from counterfoil.ingest.rpc import METHODS, coding_of
from counterfoil.ingest.signal import Signal
from tests.ingest.disk import Disk
from tests.ingest.spans import digest, logs, traces
from tests.service.running import LOG, OTHER_LOG, TENANT, RunningService

PATHS = {signal: path for path, signal in METHODS.items()}
RESOURCE = Resource.create({"service.name": "refunds-py", "service.version": "2.3.1"})
Metadata = list[tuple[str, str]]


@pytest.fixture(scope="module")
def channel(service: RunningService) -> Iterator[Any]:
    with grpc.insecure_channel(service.grpc, options=[("grpc.max_send_message_length", -1)]) as opened:
        yield opened


def writer(service: RunningService) -> Metadata:
    return [("authorization", f"Bearer {service.made.keys['writer'].key}")]


def export(channel: Any, metadata: Metadata, body: bytes, signal: Signal = Signal.TRACES, **how: Any) -> Any:
    """One call: its answer and its metadata."""
    method = channel.unary_unary(PATHS[signal])
    return method.with_call(body, metadata=metadata, timeout=30, **how)


def refused(channel: Any, metadata: Metadata, body: bytes, signal: Signal = Signal.TRACES, **how: Any) -> Any:
    """The error of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        export(channel, metadata, body, signal, **how)
    return caught.value


def details_of(error: Any) -> Status:
    """The google.rpc.Status that came with an error; it must say the same code."""
    found = dict(error.trailing_metadata())["grpc-status-details-bin"]
    status = Status.FromString(found)
    assert status.code == error.code().value[0]
    return status


def detail(status: Status, kind: Any) -> Any:
    """The detail of this type, None without one."""
    for packed in status.details:
        if packed.Is(kind.DESCRIPTOR):
            message = kind()
            packed.Unpack(message)
            return message
    return None


# -- what is taken ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate]
)
def test_spans_of_the_python_grpc_exporter_are_on_disk_once_it_was_told_so(
    compression: Any, service: RunningService, disk: Disk
) -> None:
    key = service.made.keys["writer"].key
    exporter = OTLPSpanExporter(service.grpc, insecure=True, headers={"x-api-key": key}, compression=compression)
    results: list[str] = []
    export_batch = exporter.export

    def watched(batch: Any) -> Any:
        results.append(export_batch(batch).name)
        return None

    exporter.export = watched  # type: ignore[method-assign]  # what it was told is what is tested
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=100))
    tracer = provider.get_tracer("refunds", "1.0.0")
    before = disk.size()
    sent = []
    for number in range(150):
        with tracer.start_as_current_span(
            "chat", attributes={"gen_ai.operation.name": "chat", "number": number}
        ) as span:
            sent.append(format_span_id(span.get_span_context().span_id))
    provider.shutdown()
    assert results == ["SUCCESS"] * 2
    assert [leaf["span_id"] for leaf in disk.leaves(before)] == sent


def test_log_events_of_the_python_grpc_exporter_are_on_disk_once_it_was_told_so(
    service: RunningService, disk: Disk
) -> None:
    key = service.made.keys["writer"].key
    exporter = OTLPLogExporter(service.grpc, insecure=True, headers={"authorization": f"Bearer {key}"})
    provider = LoggerProvider(resource=RESOURCE)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    before = disk.size()
    for number in range(20):
        provider.get_logger("refunds").emit(
            event_name="counterfoil.decision",
            severity_number=SeverityNumber.INFO,
            body=f"case {number}",
            attributes={"counterfoil.decision.type": "refund", "counterfoil.decision.outcome": "deny"},
        )
    provider.shutdown()
    assert [(leaf["kind"], leaf["source"]) for leaf in disk.leaves(before)] == [("decision", "otlp:logs")] * 20


@pytest.mark.parametrize(
    "compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate]
)
@pytest.mark.parametrize(("signal", "made"), [(Signal.TRACES, traces), (Signal.LOGS, logs)])
def test_success_means_on_disk_with_the_promise_and_the_heartbeat_in_trailing_metadata(
    compression: Any, signal: Signal, made: Any, channel: Any, service: RunningService, disk: Disk
) -> None:
    before = disk.size()
    body = made(f"grpc {compression} {signal}", 3).SerializeToString()
    answer, call = export(channel, writer(service), body, signal, compression=compression)
    assert disk.size() == before + 3
    response = ExportTraceServiceResponse if signal is Signal.TRACES else ExportLogsServiceResponse
    assert response.FromString(answer) == response()
    trailing = dict(call.trailing_metadata())
    promise = open_promise(
        base64.b64decode(trailing["counterfoil-promise"], validate=True), [parse_vkey(disk.log().vkey)]
    )
    assert promise.ranges == ((before, before + 2),)
    assert trailing["counterfoil-heartbeat"] == "60"


def test_the_same_spans_over_http_and_grpc_are_one_record(channel: Any, service: RunningService, disk: Disk) -> None:
    body = traces("both transports", 2).SerializeToString()
    headers = {**service.headers(), "Content-Type": "application/x-protobuf"}
    assert service.client.post("/v1/traces", content=body, headers=headers).status_code == 200
    before = disk.size()
    _, call = export(channel, writer(service), body)
    assert disk.size() == before
    assert "counterfoil-promise" in dict(call.trailing_metadata())


@pytest.mark.parametrize("signal", list(PATHS))
def test_an_empty_message_succeeds_and_leaves_nothing(
    signal: Signal, channel: Any, service: RunningService, disk: Disk
) -> None:
    before = disk.size()
    answer, call = export(channel, writer(service), b"", signal)
    assert answer == b""
    assert "counterfoil-promise" not in dict(call.trailing_metadata())
    assert disk.size() == before


def test_metrics_are_accepted_not_kept_and_the_answer_says_so(
    channel: Any, service: RunningService, disk: Disk
) -> None:
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.add(name="latency").gauge.data_points.add(as_int=1)
    before = disk.size()
    answer, _ = export(channel, writer(service), request.SerializeToString(), Signal.METRICS)
    partial = ExportMetricsServiceResponse.FromString(answer).partial_success
    assert (partial.rejected_data_points, "not kept" in partial.error_message) == (0, True)
    assert disk.size() == before


def test_partial_success_names_what_was_refused_and_the_rest_is_on_disk(
    channel: Any, service: RunningService, disk: Disk
) -> None:
    request = traces("partly", 3)
    request.resource_spans[0].scope_spans[0].spans[1].span_id = b"short"
    before = disk.size()
    answer, _ = export(channel, writer(service), request.SerializeToString())
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert partial.rejected_spans == 1
    assert "resourceSpans[0].scopeSpans[0].spans[1]: bad_span_id" in partial.error_message
    assert [leaf["kind"] for leaf in disk.leaves(before)] == ["model_call", "model_call", "refusal"]


# -- what is not --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "", "cf_", "nonsense", "cf_abcdefghijklmnop_" + "A" * 43])
def test_without_a_valid_key_the_call_is_unauthenticated_and_nothing_is_taken(
    key: str | None, channel: Any, disk: Disk
) -> None:
    before = disk.size()
    metadata = [] if key is None else [("x-api-key", key)]
    error = refused(channel, metadata, traces("anonymous").SerializeToString())
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert detail(details_of(error), RetryInfo) is None
    assert not key or key not in error.details()
    assert disk.size() == before


def test_a_wrong_key_is_told_before_the_message_is_sent(channel: Any) -> None:
    """The call is answered while the client has sent nothing but metadata."""
    answered = threading.Event()

    def messages() -> Iterator[bytes]:
        answered.wait(20)
        yield b""

    call = channel.stream_unary(PATHS[Signal.TRACES])
    with pytest.raises(grpc.RpcError) as caught:
        call(messages(), metadata=[("x-api-key", "cf_wrong")], timeout=10)
    answered.set()
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("role", ["reviewer", "auditor", "administrator"])
def test_a_key_of_another_role_is_permission_denied(role: str, channel: Any, service: RunningService) -> None:
    metadata = [("x-api-key", service.made.keys[role].key)]
    error = refused(channel, metadata, traces("not a writer").SerializeToString())
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert detail(details_of(error), ErrorInfo).reason == "FORBIDDEN"


@pytest.mark.parametrize("name", [OTHER_LOG, "nowhere", "access"])
def test_a_log_of_another_tenant_is_the_same_as_none(name: str, channel: Any, disk: Disk) -> None:
    key = disk.new_key(log=None)
    error = refused(channel, [("x-api-key", key.key), ("counterfoil-log", name)], traces("stray").SerializeToString())
    assert error.code() is grpc.StatusCode.NOT_FOUND


def test_a_key_of_the_whole_tenant_names_the_log_in_metadata(channel: Any, disk: Disk) -> None:
    key = disk.new_key(log=None)
    before = disk.size()
    export(channel, [("x-api-key", key.key), ("counterfoil-log", LOG)], traces("named by rpc").SerializeToString())
    assert disk.leaves(before)[0]["trace_id"] == digest("named by rpc", 16).hex()


def test_a_revoked_key_stops_working_at_once(channel: Any, disk: Disk) -> None:
    key = disk.new_key()
    export(channel, [("x-api-key", key.key)], traces("rpc before").SerializeToString())
    disk.accounts.revoke_credential(TENANT, key.id)
    error = refused(channel, [("x-api-key", key.key)], traces("rpc after").SerializeToString())
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\xff\xff", "BAD_PROTOBUF"),
        (gzip.compress(b"\xff\xff" * 50, mtime=0)[:-9], "BAD_COMPRESSION"),
        (zlib.compress(b"\xff\xff" * 50)[:-5], "BAD_COMPRESSION"),
    ],
)
def test_bad_data_is_invalid_argument_which_clients_do_not_send_again(
    body: bytes, code: str, channel: Any, disk: Disk
) -> None:
    before = disk.size()
    error = refused(channel, [("x-api-key", disk.new_key().key)], body)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = details_of(error)
    assert detail(status, ErrorInfo).reason == code
    assert detail(status, RetryInfo) is None
    assert [(leaf["kind"], leaf["refusal"]["code"]) for leaf in disk.leaves(before) if leaf["kind"] != "key"] == [
        ("refusal", code.lower())
    ]


def test_a_request_of_which_nothing_can_be_kept_is_invalid_argument_that_names_the_items(
    channel: Any, disk: Disk
) -> None:
    request = traces("all bad", 60)
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.trace_id = b"x" * 15
    error = refused(channel, [("x-api-key", disk.new_key().key)], request.SerializeToString())
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    named = detail(details_of(error), BadRequest).field_violations
    assert named[0].field == "resourceSpans[0].scopeSpans[0].spans[0]"
    assert 1 <= len(named) <= 20


def test_a_message_over_the_limit_is_resource_exhausted_without_retry(channel: Any, service: RunningService) -> None:
    error = refused(channel, writer(service), bytes(16 * 1024 * 1024 + 1))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "16777216" in error.details()
    assert "grpc-status-details-bin" not in dict(error.trailing_metadata() or ())


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_bomb_costs_its_limit_and_is_refused_and_recorded(compression: Any, channel: Any, disk: Disk) -> None:
    before = disk.size()
    body = bytes(100 * 1024 * 1024)
    error = refused(channel, [("x-api-key", disk.new_key().key)], body, compression=compression)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    status = details_of(error)
    assert detail(status, ErrorInfo).reason == "RATIO_TOO_HIGH"
    assert detail(status, RetryInfo) is None
    assert disk.leaves(before)[-1]["refusal"]["code"] == "ratio_too_high"


def test_a_call_of_no_message_or_of_two_is_invalid_argument(channel: Any, disk: Disk) -> None:
    body = traces("twice in a call").SerializeToString()
    metadata = [("x-api-key", disk.new_key().key)]
    before = disk.size()
    for messages in ([], [body, body]):
        with pytest.raises(grpc.RpcError) as caught:
            channel.stream_unary(PATHS[Signal.TRACES])(iter(messages), metadata=metadata, timeout=10)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [leaf["kind"] for leaf in disk.leaves(before)] in (["refusal"], ["refusal", "refusal"])


def test_another_method_is_unimplemented(channel: Any, service: RunningService) -> None:
    for path in ("/opentelemetry.proto.collector.trace.v1.TraceService/Import", "/grpc.health.v1.Health/Check"):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(path)(b"", metadata=writer(service), timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


# -- the coding of a message --------------------------------------------------------------------------------------


def test_a_message_shows_its_coding_by_its_first_bytes() -> None:
    request = traces("coding").SerializeToString()
    assert coding_of(b"") == coding_of(b"\n") == coding_of(request) == "identity"
    assert {coding_of(gzip.compress(request, level)) for level in range(10)} == {"gzip"}
    assert {coding_of(zlib.compress(request, level)) for level in range(10)} == {"deflate"}
    # Field 15 as a varint is protobuf unless the check value of RFC 1950 follows it.
    assert coding_of(b"\x78\x00") == "identity"
