"""The sentences of the OTLP specification 1.11 that bind a server, each as a test; HTTP and gRPC side by side.

https://opentelemetry.io/docs/specs/otlp/ — the section of each test is in its first line. What is tested in
more depth has a file of its own: `test_http`, `test_grpc`, `test_bad_input`, `test_trouble`, `test_grpc_trouble`.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import zstandard
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it has no py.typed
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.ingest.disk import Disk, open_disk
from tests.ingest.spans import digest, otlp_json, traces
from tests.service.running import RunningService

PROTOBUF, JSON = "application/x-protobuf", "application/json"


@pytest.fixture(scope="module")
def bad(service: RunningService) -> dict[str, str]:
    """The header of a key for what is refused: refusals are counted for each key, and told in its later records."""
    with open_disk(service.made) as disk:
        return {"Authorization": f"Bearer {disk.new_key().key}"}


def post(service: RunningService, body: bytes, content_type: str = PROTOBUF, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.client.post(
        "/v1/traces", content=body, headers={**service.headers(), "Content-Type": content_type, **named}
    )


def one_span(**members: Any) -> bytes:
    """OTLP/JSON of one span with these members."""
    span = {"traceId": digest(repr(members), 16).hex(), "spanId": "00f067aa0ba902b7", "name": "chat", **members}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def test_the_server_must_support_gzip_and_no_compression(service: RunningService) -> None:
    """OTLP/gRPC and OTLP/HTTP: "all server components MUST support the following transport compression options"."""
    body = traces("none and gzip").SerializeToString()
    assert post(service, body).status_code == 200
    assert post(service, gzip.compress(body), Content_Encoding="gzip").status_code == 200


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
        ("zstd", zstandard.ZstdCompressor().compress),
        ("identity", bytes),
    ],
    ids=["zlib", "raw deflate", "zstd", "identity"],
)
def test_other_compressions_may_be_supported(
    coding: str, encode: Callable[[bytes], bytes], service: RunningService, disk: Disk
) -> None:
    """OTLP/HTTP Request: the codings beside gzip; deflate as RFC 9110 has it, and as some senders do."""
    before = disk.size()
    assert post(service, encode(traces(f"{coding} {encode}").SerializeToString()), Content_Encoding=coding).is_success
    assert disk.size() == before + 1


@pytest.mark.parametrize("coding", ["br", "snappy", "lz4", "gzip, gzip", "zlib"])
def test_an_unknown_compression_is_415_and_the_answer_names_those_accepted(
    coding: str, bad: dict[str, str], service: RunningService
) -> None:
    """RFC 9110, 12.5.3 and 15.5.16; not in OTLP, which then has the general rule of 4xx."""
    response = post(service, b"\x00", Content_Encoding=coding, **bad)
    assert response.status_code == 415
    assert response.headers["accept-encoding"] == "identity, gzip, deflate, zstd"
    assert "identity, gzip, deflate, zstd" in Status.FromString(response.content).message


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_the_server_must_use_the_same_content_type_in_the_response_as_it_received(
    content_type: str, bad: dict[str, str], service: RunningService
) -> None:
    """OTLP/HTTP Response: "The server MUST use the same Content-Type in the response as it received in the request"."""
    request = traces(f"same type {content_type}")
    good = otlp_json(request) if content_type == JSON else request.SerializeToString()
    for body, status in ((good, 200), (b"\xff\xff", 400)):
        response = post(service, body, content_type, **bad)
        assert (response.status_code, response.headers["content-type"]) == (status, content_type)


def test_on_success_the_server_must_respond_200_and_must_leave_partial_success_unset(service: RunningService) -> None:
    """Full Success: "the server MUST respond with HTTP 200 OK … The server MUST leave the partial_success unset"."""
    response = post(service, traces("full success").SerializeToString())
    assert response.status_code == 200
    assert not ExportTraceServiceResponse.FromString(response.content).HasField("partial_success")


def test_on_partial_success_the_server_must_set_the_number_and_should_say_why_in_english(
    service: RunningService,
) -> None:
    """Partial Success: "MUST also set the rejected_spans …, SHOULD also provide a human-readable … message"."""
    request = traces("partial", 2)
    request.resource_spans[0].scope_spans[0].spans[0].trace_id = b"\x00" * 16
    response = post(service, request.SerializeToString())
    partial = ExportTraceServiceResponse.FromString(response.content).partial_success
    assert (response.status_code, partial.rejected_spans) == (200, 1)
    assert "1 of 2 spans refused for good, not to be sent again" in partial.error_message


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/v1/traces", "POST", {}, 400),
        ("/v1/traces", "POST", {"Authorization": "Bearer nothing"}, 401),
        ("/v1/traces", "POST", {"counterfoil-log": "nowhere"}, 404),
        ("/v1/traces", "GET", {}, 405),
        ("/v1/traces", "POST", {"Content-Encoding": "br"}, 415),
    ],
)
def test_the_body_of_every_4xx_and_5xx_must_be_a_status_in_the_encoding_of_the_request(
    path: str,
    method: str,
    headers: dict[str, str],
    status: int,
    content_type: str,
    bad: dict[str, str],
    service: RunningService,
) -> None:
    """Failures: the body "for all HTTP 4xx and HTTP 5xx responses MUST be a Protobuf-encoded Status message"."""
    named = {**bad, "Content-Type": content_type, **headers}
    response = service.client.request(method, path, content=b"\xff\xff", headers=named)
    assert (response.status_code, response.headers["content-type"]) == (status, content_type)
    message = Status.FromString(response.content).message if content_type == PROTOBUF else response.json()["message"]
    assert message
    assert "retry-after" not in response.headers, "none of these may be sent again"


def test_bad_data_must_be_400_and_must_not_be_sent_again(bad: dict[str, str], service: RunningService) -> None:
    """Bad Data: "the server MUST respond with HTTP 400 Bad Request … The client MUST NOT retry the request"."""
    response = post(service, b"\xff\xff", **bad)
    status = Status.FromString(response.content)
    assert (response.status_code, status.code) == (400, 3)
    assert not [detail for detail in status.details if detail.type_url.endswith("RetryInfo")]


def test_the_server_should_accept_both_encodings_on_the_same_port(service: RunningService, disk: Disk) -> None:
    """OTLP/HTTP: "Server … SHOULD accept both binary and JSON encoding"; the same spans are the same records."""
    request = traces("both encodings", 2)
    before = disk.size()
    assert post(service, request.SerializeToString()).status_code == 200
    assert post(service, otlp_json(request), JSON).status_code == 200
    assert disk.size() == before + 2


def test_a_request_without_data_should_succeed(service: RunningService) -> None:
    """OTLP/HTTP Response: "the server … SHOULD respond with success" to a request that has no data."""
    assert post(service, b"").status_code == 200
    assert post(service, b"{}", JSON).json() == {}


def test_http_keep_alive_and_parallel_connections_are_served(service: RunningService, disk: Disk) -> None:
    """OTLP/HTTP Connection and Concurrent Requests: keep-alive, "the client MAY use multiple … connections"."""
    before = disk.size()
    with httpx.Client(base_url=service.url, headers=service.headers() | {"Content-Type": PROTOBUF}) as one:
        for number in range(3):
            body = traces(f"kept alive {number}").SerializeToString()
            assert one.post("/v1/traces", content=body).headers.get("connection", "keep-alive") == "keep-alive"
    assert disk.size() == before + 3


@pytest.mark.parametrize(
    "members",
    [
        {"traceId": "5B8EFFF798038103D269B633813FC60C"},
        {"startTimeUnixNano": 1544712660000000000, "endTimeUnixNano": "1544712661000000000"},
        {"kind": 2, "status": {"code": 1}},
        {"kind": "SPAN_KIND_CLIENT"},
        {"unknownField": {"deep": [1, 2]}, "droppedAttributesCount": 3},
        {"attributes": [{"key": "d", "value": {"doubleValue": "NaN"}}, {"key": "e", "value": {}}, {"key": "f"}]},
        {"attributes": [{"key": "b", "value": {"bytesValue": "AAE="}}, {"key": "i", "value": {"intValue": "-5"}}]},
        {"attributes": [{"key": "a", "value": {"arrayValue": {}}}, {"key": "m", "value": {"kvlistValue": {}}}]},
        {"parentSpanId": "", "traceState": "", "links": [], "events": None},
    ],
)
def test_json_follows_the_protobuf_mapping_with_hex_ids_and_ignores_what_it_does_not_know(
    members: dict[str, Any], service: RunningService, disk: Disk
) -> None:
    """JSON Protobuf Encoding: hex ids of either case, 64-bit integers as strings or numbers, integers for enumerations,
    "OTLP/JSON receivers MUST ignore message fields with unknown names"."""
    before = disk.size()
    response = post(service, one_span(**members), JSON)
    assert (response.status_code, response.json()) == (200, {})
    assert disk.size() == before + 1


def test_ids_in_base64_are_not_ids(bad: dict[str, str], service: RunningService) -> None:
    """JSON Protobuf Encoding: "trace_id and span_id … are represented as case-insensitive hex-encoded strings"."""
    response = post(service, one_span(traceId="W47/95gDgQPSabYzgT/GDA=="), JSON, **bad)
    assert response.status_code == 400


def test_a_body_of_another_signal_is_not_taken_for_this_one(bad: dict[str, str], service: RunningService) -> None:
    """Logs and traces share field numbers, so a wrong path decodes silently: ids tell."""
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(event_name="x", time_unix_nano=1)
    record.body.string_value = "a log record"
    assert post(service, request.SerializeToString(), **bad).status_code == 400


def test_unknown_fields_of_protobuf_are_ignored_and_kept(service: RunningService, disk: Disk) -> None:
    """Future Versions and Interoperability: fields that are not known are ignored, never refused."""
    request = ExportTraceServiceRequest.FromString(traces("future").SerializeToString() + b"\xfa\x3e\x03abc")
    before = disk.size()
    assert post(service, request.SerializeToString()).status_code == 200
    assert disk.size() == before + 1


def test_every_success_says_how_often_a_producer_shall_beat(bad: dict[str, str], service: RunningService) -> None:
    """Not OTLP: the header `counterfoil-heartbeat`, in seconds, on every signal; no error has it."""
    for signal in ("traces", "logs", "metrics", "audit"):
        headers = {**service.headers(), "Content-Type": JSON}
        assert (
            service.client.post(f"/v1/{signal}", content=b"{}", headers=headers).headers["counterfoil-heartbeat"]
            == "60"
        )
    assert "counterfoil-heartbeat" not in post(service, b"\xff", **bad).headers
