"""The short form of `make fuzz`, and every crash that it ever found, sent again.

A seed that differs from run to run would find more and be no test: here it is fixed, and the long form takes another
one each time.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from counterfoil.ingest.call import Answer
from counterfoil.ingest.media import Encoding
from counterfoil.ingest.signal import Signal
from counterfoil.log.initialise import open_logs
from tests.fuzz.fuzz import CRASHES, fuzz, keep, read_crash
from tests.fuzz.target import Input, Target, run
from tests.ingest.spans import otlp_json
from tests.service.running import LOG, Made, check_ledger_clean, make_directory

SECONDS = 4.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_directory(tmp_path_factory.mktemp("fuzz") / "audit")


@pytest.fixture(scope="module")
def target(made: Made) -> Iterator[Target]:
    """One log for all; at the end every byte of it is checked."""
    logs = open_logs(made.directory)
    opened = Target(logs, next(log.id for log in logs.all() if log.name == LOG))
    yield opened
    opened.close()
    logs.close()
    check_ledger_clean(made)


def test_damaged_requests_of_real_frameworks_are_answered_and_never_a_mistake_of_ours(
    target: Target, tmp_path: Path
) -> None:
    told, crashes = asyncio.run(fuzz(target, SECONDS, random.Random(27), tmp_path))
    assert crashes == 0, f"kept in {tmp_path}; move them to {CRASHES}"
    assert told["200"] > 0
    assert told["200 partly"] > 0
    assert told["400 bad_json"] > 0
    assert told["400 bad_protobuf"] > 0


def test_what_once_was_a_crash_is_answered(target: Target) -> None:
    kept = [read_crash(path) for path in sorted(CRASHES.glob("*.json"))]
    assert len(run(target, kept)) == len(kept)


def test_a_crash_is_kept_so_that_it_can_be_sent_again(tmp_path: Path) -> None:
    one = Input(Signal.LOGS, Encoding.JSON, "gzip", b"\x1f\x8b", over_grpc=False)
    kept = keep(one, ValueError("why"), tmp_path)
    assert read_crash(kept.with_suffix(".json")) == one
    assert json.loads(kept.with_suffix(".json").read_text())["found"] == "ValueError: why"


# -- requests that no framework sends, but any could: built from the messages themselves ------------------------------

TEXT = st.text(max_size=30) | st.sampled_from(
    ["counterfoil.decision.id", "counterfoil.fallback.trigger", "gen_ai.operation.name", "chat", "user.id", "0.5", ""]
)
LEAF_VALUES = (
    st.builds(lambda text: AnyValue(string_value=text), TEXT)
    | st.builds(lambda number: AnyValue(int_value=number), st.integers(-(2**63), 2**63 - 1))
    | st.builds(lambda number: AnyValue(double_value=number), st.floats())
    | st.builds(lambda value: AnyValue(bool_value=value), st.booleans())
    | st.builds(lambda data: AnyValue(bytes_value=data), st.binary(max_size=20))
    | st.just(AnyValue())
)


def _pairs(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[list[KeyValue]]:
    return st.lists(st.builds(lambda key, value: KeyValue(key=key, value=value), TEXT, values), max_size=4)


VALUES = st.recursive(
    LEAF_VALUES,
    lambda inner: (
        st.builds(lambda values: AnyValue(array_value=ArrayValue(values=values)), st.lists(inner, max_size=3))
        | st.builds(lambda pairs: AnyValue(kvlist_value=KeyValueList(values=pairs)), _pairs(inner))
    ),
    max_leaves=8,
)
IDS = st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8)
TIMES = st.sampled_from([0, 1, 1_790_000_000_000_000_000, 2**63, 2**64 - 1])
SPANS = st.builds(
    lambda trace_id, span_id, parent, name, start, end, attributes, events, kind: Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent,
        name=name,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=attributes,
        events=[Span.Event(name=event, time_unix_nano=end, attributes=inner) for event, inner in events],
        kind=kind,
    ),
    IDS[0],
    IDS[1],
    st.sampled_from([b"", b"\x00" * 8, b"\x01" * 8, b"\x01" * 7]),
    TEXT,
    TIMES,
    TIMES,
    _pairs(VALUES),
    st.lists(st.tuples(TEXT | st.just("counterfoil.decision"), _pairs(VALUES)), max_size=2),
    st.integers(0, 6),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(spans=st.lists(SPANS, max_size=4), resource=_pairs(VALUES))
def test_any_lawful_message_is_taken_or_refused_item_by_item_in_both_encodings(
    spans: list[Span], resource: list[KeyValue], target: Target
) -> None:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(resource)
    group.scope_spans.add().spans.extend(spans)
    bodies = {Encoding.PROTOBUF: request.SerializeToString(), Encoding.JSON: otlp_json(request)}
    answers = run(target, [Input(Signal.TRACES, encoding, "identity", body) for encoding, body in bodies.items()])
    assert len({isinstance(answer, Answer) for answer in answers}) == 1, "both encodings, or neither"
