"""Whatever a request says is given back, through either encoding, and every draft is a lawful leaf."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings

from counterfoil.core.record import is_token
from counterfoil.mapping.decode import JSON
from counterfoil.mapping.draft import Draft, Item
from counterfoil.mapping.limits import MAX_NESTING
from counterfoil.mapping.restore import restore_item
from counterfoil.mapping.signals import LOGS, TRACES
from tests.mapping.requests import LOG_REQUESTS, TRACE_REQUESTS, nested
from tests.mapping.storage import assert_given_back, decode, map_decoded, map_protobuf, stored

_TIMES = {"started_at", "ended_at", "shown_at", "decided_at"}


def fact_strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every string in the facts, with the key it stands at."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from fact_strings(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from fact_strings(inner, key)


def assert_leaf_safe(draft: Draft) -> None:
    """A lawful leaf, in which every string is a token, a time or an id."""
    leaf, _ = stored(draft)
    for key, string in fact_strings(draft.facts):
        assert key in _TIMES or is_token(string) or key in {"trace_id", "span_id", "parent_span_id"}, (key, string)
    assert len(orjson.dumps(leaf)) < 14_000


def ids_to_hex(value: Any) -> Any:
    """OTLP/JSON from the stock printer's JSON, which has ids in base64."""
    if isinstance(value, list):
        return [ids_to_hex(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(inner).hex() if key in {"traceId", "spanId", "parentSpanId"} else ids_to_hex(inner)
        for key, inner in value.items()
    }


def assert_lossless(request: Any) -> None:
    """Both encodings, through mapping and storage and back."""
    signal = LOGS if isinstance(request, LOGS.request) else TRACES
    decoded = decode(signal, request.SerializeToString(), "application/x-protobuf")
    mapped = map_decoded(decoded)
    assert not mapped.refused
    assert_given_back(decoded, mapped)
    for item in mapped.items:
        for draft in item.drafts:
            assert_leaf_safe(draft)
    # The stock printer is an encoder that is not ours.
    text = orjson.dumps(ids_to_hex(MessageToDict(request)))
    from_json = map_decoded(decode(signal, text, JSON))
    assert not from_json.refused
    assert [item.identity for item in from_json.items] == [item.identity for item in mapped.items]
    assert [described(item) for item in from_json.items] == [described(item) for item in mapped.items]


def described(item: Item) -> Any:
    """An item as a comparable value."""
    return (
        item.signal,
        item.trace_id,
        item.span_id,
        item.producer,
        item.ordinal,
        [(draft.kind, stored(draft), draft.interaction_id, draft.subject_id, draft.persons) for draft in item.drafts],
    )


@settings(max_examples=80, deadline=None)
@given(TRACE_REQUESTS)
def test_any_trace_request_is_given_back(request: Any) -> None:
    assert_lossless(request)


@settings(max_examples=80, deadline=None)
@given(LOG_REQUESTS)
def test_any_log_request_is_given_back(request: Any) -> None:
    assert_lossless(request)


@pytest.mark.parametrize("maps", [False, True])
def test_nesting_up_to_the_limit_is_given_back_everywhere_it_may_stand(maps: bool) -> None:
    value = nested(MAX_NESTING, maps=maps)
    request = TRACES.request()
    outer = request.resource_spans.add()
    outer.resource.attributes.add(key="deep").value.CopyFrom(value)
    inner = outer.scope_spans.add()
    inner.scope.attributes.add(key="deep").value.CopyFrom(value)
    span = inner.spans.add(trace_id=b"t" * 16, span_id=b"s" * 8)
    span.attributes.add(key="deep").value.CopyFrom(value)
    span.events.add(name="e").attributes.add(key="deep").value.CopyFrom(value)
    span.links.add(trace_id=b"t" * 16, span_id=b"s" * 8).attributes.add(key="deep").value.CopyFrom(value)
    assert_lossless(request)


def test_a_body_nested_up_to_the_limit_is_given_back() -> None:
    request = LOGS.request()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.body.CopyFrom(nested(MAX_NESTING, maps=True))
    assert_lossless(request)


@pytest.mark.parametrize("members", [{}, {"name": "n"}])
def test_a_field_that_otlp_does_not_know_is_kept_with_the_item(members: dict[str, str]) -> None:
    request = TRACES.request()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, **members)
    raw = span.SerializeToString()
    span.MergeFromString(b"\xfa\x3e\x05later")
    (item,) = map_protobuf(request).items
    content = dict(stored(item.drafts[0])[1])
    assert base64.b64decode(content["span"]["unknownFields"]) == raw + b"\xfa\x3e\x05later"
    restored = restore_item([stored(draft) for draft in item.drafts])
    assert restored["resourceSpans"][0]["scopeSpans"][0]["spans"][0] == {
        "traceId": "74" * 16,
        "spanId": "73" * 8,
        **members,
    }
