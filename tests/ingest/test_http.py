"""The rules of OTLP/HTTP on a real server (OTLP 1.11; CONVENTIONS 5), and who may send."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import time
import zlib
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest
import zstandard
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it has no py.typed
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from sqlalchemy import update

from counterfoil.core.note import parse_vkey
from counterfoil.core.promise import open_promise
from counterfoil.identity.roles import Role
from counterfoil.identity.tables import credentials
from tests.ingest.disk import Disk
from tests.ingest.spans import digest, logs, otlp_json, traces
from tests.service.running import LOG, OTHER_LOG, OTHER_TENANT, TENANT, RunningService

PROTOBUF, JSON = "application/x-protobuf", "application/json"


def send(service: RunningService, signal: str, body: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.client.post(f"/v1/{signal}", content=body, headers={**service.headers(), **named})


def post_spans(service: RunningService, name: str, headers: dict[str, str]) -> int:
    """Post one span of the trace `name` with other headers; the status of the answer."""
    body = traces(name).SerializeToString()
    return service.client.post("/v1/traces", content=body, headers={"Content-Type": PROTOBUF, **headers}).status_code


CODERS: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda data: data,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("coding", CODERS)
@pytest.mark.parametrize(
    "content_type", [PROTOBUF, JSON, "application/json; charset=utf-8", "Application/X-Protobuf;a=b"]
)
def test_spans_in_every_encoding_and_compression_are_on_disk_when_the_answer_comes(
    coding: str, content_type: str, service: RunningService, disk: Disk
) -> None:
    request = traces(f"{coding} {content_type}", 3)
    json_wanted = "json" in content_type.lower()
    body = otlp_json(request) if json_wanted else request.SerializeToString()
    before = disk.size()
    headers = {"Content-Type": content_type, "Content-Encoding": coding}
    response = send(service, "traces", CODERS[coding](body), **headers)
    leaves = disk.leaves(before)
    assert response.status_code == 200
    assert response.headers["content-type"] == (JSON if json_wanted else PROTOBUF)
    assert response.content == (b"{}" if json_wanted else ExportTraceServiceResponse().SerializeToString())
    spans = request.resource_spans[0].scope_spans[0].spans
    assert [leaf["span_id"] for leaf in leaves] == [span.span_id.hex() for span in spans]
    assert {leaf["trace_id"] for leaf in leaves} == {spans[0].trace_id.hex()}
    assert {leaf["source"] for leaf in leaves} == {"otlp:traces"}
    assert {leaf["writer"] for leaf in leaves} == {service.made.keys["writer"].id}


def test_log_events_are_on_disk_when_the_answer_comes(service: RunningService, disk: Disk) -> None:
    before = disk.size()
    response = send(service, "logs", logs("log events", 2).SerializeToString(), Content_Type=PROTOBUF)
    leaves = disk.leaves(before)
    assert response.status_code == 200
    assert ExportLogsServiceResponse.FromString(response.content) == ExportLogsServiceResponse()
    assert [(leaf["kind"], leaf["source"], leaf["decision"]["outcome"]) for leaf in leaves] == [
        ("decision", "otlp:logs", "deny")
    ] * 2


def test_the_promise_names_what_was_appended_and_is_signed_by_the_log(service: RunningService, disk: Disk) -> None:
    before = disk.size()
    response = send(service, "traces", traces("promised", 3).SerializeToString(), Content_Type=PROTOBUF)
    note = base64.b64decode(response.headers["counterfoil-promise"], validate=True)
    promise = open_promise(note, [parse_vkey(disk.log().vkey)])
    assert promise.origin == service.made.origin
    assert promise.ranges == ((before, before + 2),)


@pytest.mark.parametrize("signal", ["traces", "logs", "metrics"])
@pytest.mark.parametrize(("content_type", "body"), [(PROTOBUF, b""), (JSON, b"{}"), (JSON, b"")])
def test_an_empty_request_succeeds_and_leaves_nothing(
    signal: str, content_type: str, body: bytes, service: RunningService, disk: Disk
) -> None:
    before = disk.size()
    response = send(service, signal, body, Content_Type=content_type)
    assert response.status_code == 200
    assert "counterfoil-promise" not in response.headers
    assert disk.size() == before


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceSpans":[]}',
        b'{"resourceSpans":[{"scopeSpans":[]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[]}]}]}',
    ],
)
def test_empty_envelopes_are_ignored(body: bytes, service: RunningService, disk: Disk) -> None:
    before = disk.size()
    response = send(service, "traces", body, Content_Type=JSON)
    assert (response.status_code, response.content) == (200, b"{}")
    assert disk.size() == before


def test_metrics_are_accepted_not_kept_and_the_answer_says_so(service: RunningService, disk: Disk) -> None:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="latency")
    metric.gauge.data_points.add(as_double=1.5)
    before = disk.size()
    response = send(
        service, "metrics", gzip.compress(request.SerializeToString()), Content_Type=PROTOBUF, Content_Encoding="gzip"
    )
    partial = ExportMetricsServiceResponse.FromString(response.content).partial_success
    assert response.status_code == 200
    assert partial.rejected_data_points == 0
    assert "not kept" in partial.error_message
    as_json = send(service, "metrics", b'{"resourceMetrics":[{}]}', Content_Type=JSON)
    assert as_json.json() == {"partialSuccess": {"errorMessage": partial.error_message}}
    assert disk.size() == before


@pytest.mark.parametrize(("content_type", "body"), [(PROTOBUF, b"\xff"), (JSON, b"{"), (JSON, b"[]")])
def test_metrics_that_cannot_be_read_are_refused(content_type: str, body: bytes, service: RunningService) -> None:
    assert send(service, "metrics", body, Content_Type=content_type).status_code == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("signal", ["traces", "logs", "metrics"])
def test_any_other_method_is_405_with_a_status(method: str, signal: str, service: RunningService) -> None:
    headers = {**service.headers(), "Content-Type": PROTOBUF}
    response = service.client.request(method, f"/v1/{signal}", headers=headers)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert response.headers["content-type"] == PROTOBUF
    if method != "HEAD":
        assert "POST" in Status.FromString(response.content).message


# -- who may send -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
@pytest.mark.parametrize(
    "key",
    [None, "", "cf_", "nonsense", "cf_abcdefghijklmnop_" + "A" * 43, "Basic"],
)
def test_without_a_valid_key_nothing_is_taken(
    key: str | None, content_type: str, service: RunningService, disk: Disk
) -> None:
    before = disk.size()
    headers = {"Content-Type": content_type} | ({} if key is None else {"Authorization": f"Bearer {key}".strip()})
    response = service.client.post("/v1/traces", content=traces("anonymous").SerializeToString(), headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    code = Status.FromString(response.content).code if content_type == PROTOBUF else response.json()["code"]
    assert code == 16
    if key:
        assert key.encode() not in response.content
    assert disk.size() == before


def test_a_wrong_key_is_told_before_the_body_is_read(service: RunningService) -> None:
    """The server answers while the body has not been sent at all."""
    where = urlsplit(service.url)
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(service: RunningService) -> None:
    where = urlsplit(service.url)
    key = service.made.keys["writer"].key
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"x-api-key: " + key.encode() + b"\r\nContent-Length: 16777217\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_body_in_chunks_without_a_length_is_taken(service: RunningService, disk: Disk) -> None:
    body = traces("in chunks", 2).SerializeToString()
    before = disk.size()
    headers = {**service.headers(), "Content-Type": PROTOBUF}
    response = service.client.post("/v1/traces", content=iter([body[:9], body[9:40], body[40:]]), headers=headers)
    assert response.status_code == 200
    assert disk.size() == before + 2


def test_a_body_in_chunks_is_refused_where_it_passes_the_limit(service: RunningService, disk: Disk) -> None:
    headers = {"x-api-key": disk.new_key().key, "Content-Type": JSON}
    chunks = (bytes(1024 * 1024) for _ in range(18))
    response = service.client.post("/v1/traces", content=chunks, headers=headers)
    assert response.status_code == 413
    assert "body_too_large" in response.json()["message"]


@pytest.mark.parametrize("role", ["reviewer", "auditor", "administrator"])
def test_a_key_of_another_role_may_not_send(role: str, service: RunningService, disk: Disk) -> None:
    before = disk.size()
    headers = {**service.headers(role), "Content-Type": PROTOBUF}
    response = service.client.post("/v1/traces", content=traces("not a writer").SerializeToString(), headers=headers)
    assert response.status_code == 403
    assert Status.FromString(response.content).code == 7
    assert disk.size() == before


def test_a_revoked_key_stops_working_at_once(service: RunningService, disk: Disk) -> None:
    key = disk.new_key()
    headers = {"x-api-key": key.key, "Content-Type": PROTOBUF}
    assert (
        service.client.post("/v1/traces", content=traces("before").SerializeToString(), headers=headers).status_code
        == 200
    )
    disk.accounts.revoke_credential(TENANT, key.id)
    assert (
        service.client.post("/v1/traces", content=traces("after").SerializeToString(), headers=headers).status_code
        == 401
    )


def test_an_expired_key_does_not_work(service: RunningService, disk: Disk) -> None:
    key = disk.new_key(expires_us=time.time_ns() // 1000 + 300_000)
    headers = {"x-api-key": key.key, "Content-Type": PROTOBUF}
    time.sleep(0.4)
    assert service.client.post("/v1/traces", content=b"", headers=headers).status_code == 401


def test_a_key_in_the_address_is_not_looked_at(service: RunningService) -> None:
    key = service.made.keys["writer"].key
    response = service.client.post(
        f"/v1/traces?key={key}&x-api-key={key}", content=b"", headers={"Content-Type": PROTOBUF}
    )
    assert response.status_code == 401


# -- which log ----------------------------------------------------------------------------------------------------


def test_a_key_of_the_whole_tenant_writes_to_its_only_log_of_interactions(service: RunningService, disk: Disk) -> None:
    key = disk.new_key(log=None)
    before = disk.size()
    headers = {"x-api-key": key.key, "Content-Type": PROTOBUF}
    assert (
        service.client.post("/v1/traces", content=traces("only log").SerializeToString(), headers=headers).status_code
        == 200
    )
    assert disk.leaves(before)[-1]["trace_id"] == digest("only log", 16).hex()


def test_a_key_of_the_whole_tenant_names_the_log(service: RunningService, disk: Disk) -> None:
    key = disk.new_key(log=None)
    before = disk.size()
    assert post_spans(service, "named log", {"x-api-key": key.key, "counterfoil-log": LOG}) == 200
    assert disk.size() == before + 1


@pytest.mark.parametrize("name", [OTHER_LOG, "nowhere", "access", "../main", "x" * 500])
def test_a_log_of_another_tenant_is_the_same_as_none(name: str, service: RunningService, disk: Disk) -> None:
    key = disk.new_key(log=None)
    other = disk.log(OTHER_TENANT, OTHER_LOG)
    before, other_before = disk.size(), disk.size(other)
    headers = {"x-api-key": key.key, "Content-Type": JSON, "counterfoil-log": name}
    response = service.client.post("/v1/traces", content=otlp_json(traces("stray")), headers=headers)
    assert response.status_code == 404
    assert response.json()["code"] == 5
    assert (disk.size(), disk.size(other)) == (before, other_before)


def test_a_writers_key_of_an_access_log_appends_nothing_to_it(service: RunningService, disk: Disk) -> None:
    key = disk.new_key()
    access = disk.log(TENANT, "access")
    with disk.logs.ledger.write() as connection:  # no such key can be made: an older version made it, say
        changed = update(credentials).where(credentials.c.id == key.id).values(log_id=access.id)
        assert connection.execute(changed).rowcount == 1
    before, access_before = disk.size(), disk.size(access)
    body = otlp_json(traces("telemetry among accesses"))
    for named in ({}, {"counterfoil-log": "access"}, {"counterfoil-log": LOG}):
        response = service.client.post(
            "/v1/traces", content=body, headers={"x-api-key": key.key, "Content-Type": JSON, **named}
        )
        assert response.status_code in ((404,) if named.get("counterfoil-log") == "access" else (403,))
    assert (disk.size(), disk.size(access)) == (before, access_before)


def test_a_key_of_one_log_cannot_write_to_another(service: RunningService, disk: Disk) -> None:
    before = disk.size()
    response = send(service, "traces", b"{}", Content_Type=JSON, counterfoil_log="access")
    assert response.status_code in (403, 404)
    same = send(service, "traces", otlp_json(traces("same log")), Content_Type=JSON, counterfoil_log=LOG)
    assert same.status_code == 200
    assert disk.size() == before + 1


def test_each_tenant_writes_to_its_own_log(service: RunningService, disk: Disk) -> None:
    other = disk.log(OTHER_TENANT, OTHER_LOG)
    before, other_before = disk.size(), disk.size(other)
    headers = {**service.headers(other=True), "Content-Type": PROTOBUF}
    assert (
        service.client.post("/v1/traces", content=traces("theirs").SerializeToString(), headers=headers).status_code
        == 200
    )
    assert disk.size() == before
    assert [leaf["trace_id"] for leaf in disk.leaves(other_before, other)] == [digest("theirs", 16).hex()]


# -- sending again ------------------------------------------------------------------------------------------------


def test_a_request_sent_again_is_answered_alike_and_makes_no_second_record(service: RunningService, disk: Disk) -> None:
    request = traces("again", 5)
    body = request.SerializeToString()
    first = send(service, "traces", body, Content_Type=PROTOBUF)
    size = disk.size()
    for again, headers in (
        (body, {"Content-Type": PROTOBUF}),
        (gzip.compress(body), {"Content-Type": PROTOBUF, "Content-Encoding": "gzip"}),
        (otlp_json(request), {"Content-Type": JSON}),
    ):
        response = send(service, "traces", again, **headers)
        assert response.status_code == 200
        assert "counterfoil-promise" in response.headers
    assert send(service, "traces", body, Content_Type=PROTOBUF).content == first.content
    assert disk.size() == size


def test_spans_batched_otherwise_are_the_same_spans(service: RunningService, disk: Disk) -> None:
    whole = traces("split", 6)
    assert send(service, "traces", whole.SerializeToString(), Content_Type=PROTOBUF).status_code == 200
    size = disk.size()
    for number in range(0, 6, 2):
        part = traces("split", 6)
        spans = part.resource_spans[0].scope_spans[0].spans
        kept = [spans[number + 1], spans[number]]
        halves = [span.SerializeToString() for span in kept]
        del spans[:]
        for half in halves:
            spans.add().ParseFromString(half)
        assert send(service, "traces", part.SerializeToString(), Content_Type=PROTOBUF).status_code == 200
    assert disk.size() == size


def test_equal_log_events_of_one_request_are_all_kept_and_their_retry_makes_none(
    service: RunningService, disk: Disk
) -> None:
    request = logs("equal events", 1)
    records = request.resource_logs[0].scope_logs[0].log_records
    for _ in range(2):
        records.add().CopyFrom(records[0])
    before = disk.size()
    for _ in range(2):
        assert send(service, "logs", request.SerializeToString(), Content_Type=PROTOBUF).status_code == 200
        assert disk.size() == before + 3


def test_another_writer_sending_the_same_span_makes_its_own_record(service: RunningService, disk: Disk) -> None:
    body = traces("two writers").SerializeToString()
    assert send(service, "traces", body, Content_Type=PROTOBUF).status_code == 200
    size = disk.size()
    headers = {"x-api-key": disk.new_key(Role.WRITER).key, "Content-Type": PROTOBUF}
    size = disk.size()
    assert service.client.post("/v1/traces", content=body, headers=headers).status_code == 200
    assert disk.size() == size + 1


def test_a_partial_success_sent_again_makes_no_second_refusal(service: RunningService, disk: Disk) -> None:
    request = traces("partly bad", 3)
    request.resource_spans[0].scope_spans[0].spans[1].trace_id = b"short"
    answers = [send(service, "traces", request.SerializeToString(), Content_Type=PROTOBUF) for _ in range(2)]
    size = disk.size()
    assert answers[0].content == answers[1].content != b""
    assert [leaf["kind"] for leaf in disk.leaves(size - 3)].count("refusal") == 1


# -- text that is no text -----------------------------------------------------------------------------------------


def test_a_string_that_is_not_utf8_is_kept_as_bytes_and_nothing_else_suffers(
    service: RunningService, disk: Disk
) -> None:
    request = traces("not utf-8", 3)
    request.resource_spans[0].scope_spans[0].spans[1].attributes.add(key="word").value.string_value = "ab"
    body = request.SerializeToString().replace(b"\x0a\x02ab", b"\x0a\x02\xff\xfe")
    before = disk.size()
    response = send(service, "traces", body, Content_Type=PROTOBUF)
    leaves = disk.leaves(before)
    assert (response.status_code, response.content) == (200, b"")
    assert len(leaves) == 3
    content = json.dumps(disk.content(leaves[1]))
    assert base64.b64encode(b"\xff\xfe").decode() in content
    assert "invalidUtf8" in content
