"""The bodies of answers: google.rpc.Status for errors, Export…ServiceResponse for what was taken."""

from __future__ import annotations

import json

import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo  # type: ignore[import-untyped]  # it has no py.typed
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it has no py.typed
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from counterfoil.core.errors import CounterfoilError, EvidenceError, Fault, InputError
from counterfoil.ingest.limits import MAX_NAMED_ITEMS
from counterfoil.ingest.media import Encoding, parse_content_type
from counterfoil.ingest.response import METRICS_WARNING, describe_refusals, format_response
from counterfoil.ingest.signal import Signal
from counterfoil.ingest.status import ExportError, error_of, format_status, headers_of
from counterfoil.log.errors import Busy, ClockBehind, Closing, HeadContradicted, LogRolledBack
from counterfoil.mapping.draft import Refused
from counterfoil.store.errors import StorageError, UnknownOutcome

REFUSED = [Refused(f"resourceSpans[0].scopeSpans[0].spans[{n}]", "bad_trace_id", "15 bytes") for n in range(30)]


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("application/x-protobuf", Encoding.PROTOBUF),
        ("application/json", Encoding.JSON),
        ("Application/JSON ; charset=utf-8", Encoding.JSON),
        ("application/protobuf", None),
        ("text/plain", None),
        ("", None),
        (None, None),
    ],
)
def test_content_type_is_read_as_a_media_type(header: str | None, encoding: Encoding | None) -> None:
    assert parse_content_type(header) is encoding


def test_an_error_is_a_status_with_our_code_the_item_and_the_limit() -> None:
    error = ExportError(413, "too_many_values", "more than 9 values", item="spans[3]", limit="values=9")
    status = Status.FromString(format_status(error, Encoding.PROTOBUF))
    assert (status.code, status.message) == (8, "too_many_values: spans[3]: more than 9 values")
    info, bad = ErrorInfo(), BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad)
    assert (info.reason, info.domain, dict(info.metadata)) == ("TOO_MANY_VALUES", "counterfoil", {"limit": "values=9"})
    assert [(one.field, one.description) for one in bad.field_violations] == [("spans[3]", "more than 9 values")]


def test_the_json_form_says_the_same() -> None:
    error = ExportError(429, "busy", "50000 items wait")
    assert json.loads(format_status(error, Encoding.JSON)) == {
        "code": 8,
        "message": "busy: 50000 items wait",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "BUSY", "domain": "counterfoil"},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"},
        ],
    }


def test_what_may_be_sent_again_says_when() -> None:
    for http_status in (429, 503):
        error = ExportError(http_status, "busy", "later")
        retry = RetryInfo()
        assert Status.FromString(format_status(error, Encoding.PROTOBUF)).details[1].Unpack(retry)
        assert retry.retry_delay.seconds == 1
        assert headers_of(error) == {"Retry-After": "1"}
    assert headers_of(ExportError(400, "bad", "never")) == {}


def test_a_missing_key_says_how_to_authenticate() -> None:
    assert headers_of(ExportError(401, "unauthenticated", "no key")) == {
        "WWW-Authenticate": 'Bearer realm="counterfoil"'
    }


@pytest.mark.parametrize(
    ("error", "http_status", "code"),
    [
        (InputError("bad_protobuf", "no request"), 400, "bad_protobuf"),
        (Busy("the queue is full"), 429, "busy"),
        (Closing("stopping"), 503, "storage_unavailable"),
        (StorageError("disk full"), 503, "storage_unavailable"),
        (UnknownOutcome("commit failed"), 503, "storage_unavailable"),
        (ClockBehind("61 s"), 503, "clock_behind"),
        (LogRolledBack("head store is ahead"), 503, "log_rolled_back"),
        (Fault("a bug"), 500, "internal"),
        (HeadContradicted("the head row does not agree"), 503, "head_contradicted"),
        (EvidenceError("record", "damaged"), 503, "evidence_damaged"),
    ],
)
def test_trouble_of_the_store_is_never_500(error: CounterfoilError, http_status: int, code: str) -> None:
    answer = error_of(error)
    assert (answer.http_status, answer.code) == (http_status, code)


def test_our_own_mistakes_are_not_told_to_the_client() -> None:
    assert "secret" not in error_of(Fault("secret")).message


def test_success_leaves_partial_success_unset() -> None:
    assert format_response(Signal.TRACES, Encoding.PROTOBUF) == b""
    assert format_response(Signal.LOGS, Encoding.JSON) == b"{}"


def test_a_partial_success_counts_and_names() -> None:
    message = describe_refusals(Signal.TRACES, REFUSED[:2], 512)
    assert message == (
        "2 of 512 spans refused for good, not to be sent again: "
        "resourceSpans[0].scopeSpans[0].spans[0]: bad_trace_id: 15 bytes; "
        "resourceSpans[0].scopeSpans[0].spans[1]: bad_trace_id: 15 bytes"
    )
    answer = ExportTraceServiceResponse.FromString(format_response(Signal.TRACES, Encoding.PROTOBUF, 2, message))
    assert (answer.partial_success.rejected_spans, answer.partial_success.error_message) == (2, message)
    logs = ExportLogsServiceResponse.FromString(format_response(Signal.LOGS, Encoding.PROTOBUF, 2, message))
    assert logs.partial_success.rejected_log_records == 2
    assert json.loads(format_response(Signal.TRACES, Encoding.JSON, 2, "x")) == {
        "partialSuccess": {"rejectedSpans": "2", "errorMessage": "x"}
    }


def test_a_warning_has_a_message_and_no_count() -> None:
    assert json.loads(format_response(Signal.METRICS, Encoding.JSON, 0, METRICS_WARNING)) == {
        "partialSuccess": {"errorMessage": METRICS_WARNING}
    }


def test_a_message_names_the_first_items_and_counts_the_rest() -> None:
    message = describe_refusals(Signal.TRACES, REFUSED, 30)
    assert message.count("bad_trace_id") == MAX_NAMED_ITEMS
    assert message.endswith("; and 10 more")


def test_the_longest_answer_is_far_below_four_mebibytes() -> None:
    refused = [Refused("r" * 100_000, "bad_trace_id", "m" * 100_000)] * 10_000
    message = describe_refusals(Signal.LOGS, refused, 10_000)
    assert len(format_response(Signal.LOGS, Encoding.JSON, 10_000, message)) < 64 * 1024
    error = ExportError(400, "bad_trace_id", message, refused=refused)
    assert len(format_status(error, Encoding.PROTOBUF)) < 128 * 1024
