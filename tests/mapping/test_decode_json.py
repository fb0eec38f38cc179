"""Every quirk of OTLP/JSON, and what is refused: the item by name, or a request whose JSON is no evidence."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from counterfoil.core.errors import InputError
from counterfoil.mapping.decode import JSON, decode_logs, decode_traces
from counterfoil.mapping.signals import TRACES
from tests.mapping.storage import assert_given_back, decode, map_decoded

IDS = {"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174"}


def body(*spans: dict[str, Any], **inner: Any) -> bytes:
    """A traces request."""
    return orjson.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans), **inner}]}]})


def span_of(**members: Any) -> Any:
    """The message of a span with these members."""
    decoded = decode_traces(body(IDS | members), JSON)
    assert not decoded.refused
    assert_given_back(decoded, map_decoded(decoded))
    return decoded.groups[0].items[0]


def value_of(value: Any) -> Any:
    """The AnyValue message of a JSON value."""
    return span_of(attributes=[{"key": "k", "value": value}]).attributes[0].value


def test_ids_are_hex_in_either_case() -> None:
    span = span_of(parentSpanId="EEe19b7ec3c1b173")
    assert span.trace_id.hex() == IDS["traceId"].lower()
    assert span.parent_span_id.hex() == "eee19b7ec3c1b173"


@pytest.mark.parametrize("given", ["1544712660000000000", 1544712660000000000, 1544712660000000000.0])
def test_times_are_strings_or_numbers(given: Any) -> None:
    assert span_of(startTimeUnixNano=given).start_time_unix_nano == 1544712660000000000


@pytest.mark.parametrize("given", ["-9223372036854775808", -9223372036854775808])
def test_integers_are_strings_or_numbers(given: Any) -> None:
    assert value_of({"intValue": given}).int_value == -(2**63)


@pytest.mark.parametrize("given", [3, "SPAN_KIND_CLIENT", "3"])
def test_enumerations_are_integers_and_names_are_read_too(given: Any) -> None:
    assert span_of(kind=given).kind == 3


@pytest.mark.parametrize(("given", "printed"), [("NaN", "nan"), ("Infinity", "inf"), ("-Infinity", "-inf"), (1, "1.0")])
def test_doubles_may_be_named(given: Any, printed: str) -> None:
    assert str(value_of({"doubleValue": given}).double_value) == printed


@pytest.mark.parametrize("given", ["aGk+Pz8/", "aGk-Pz8_"])
def test_bytes_are_base64_in_either_alphabet(given: str) -> None:
    assert value_of({"bytesValue": given}).bytes_value == b"hi>???"


@pytest.mark.parametrize("given", ["aGkx", "aGk=", "aGk"])
def test_bytes_may_lack_their_padding(given: str) -> None:
    assert value_of({"bytesValue": given}).bytes_value.startswith(b"hi")


def test_values_may_be_empty_nested_and_mixed() -> None:
    value = value_of({"arrayValue": {"values": [{}, {"kvlistValue": {}}, {"intValue": 1}, {"stringValue": ""}]}})
    inner = value.array_value.values
    assert [one.WhichOneof("value") for one in inner] == [None, "kvlist_value", "int_value", "string_value"]


def test_null_is_absence() -> None:
    span = span_of(status=None, attributes=None, name=None)
    assert not span.HasField("status")
    assert not span.attributes


def test_unknown_keys_are_ignored_at_any_depth() -> None:
    request = {
        "resourceSpans": [
            {
                "future": 1,
                "scopeSpans": [{"spans": [IDS | {"later": {"a": [1]}, "attributes": [{"key": "k", "x": 1}]}]}],
            }
        ],
        "partial": {},
    }
    decoded = decode_traces(orjson.dumps(request), JSON)
    assert decoded.groups[0].items[0].attributes[0].key == "k"


def test_snake_case_is_not_ours_to_guess() -> None:
    decoded = decode_traces(body(IDS | {"start_time_unix_nano": "5"}), JSON)
    assert decoded.groups[0].items[0].start_time_unix_nano == 0


@pytest.mark.parametrize("media", ["application/json", "application/json; charset=utf-8", "Application/JSON ;x=y"])
def test_the_media_type_may_have_parameters(media: str) -> None:
    assert len(decode_traces(body(IDS), media).groups[0].items) == 1


@pytest.mark.parametrize("media", ["text/plain", "", "application/jsonx"])
def test_other_media_types_are_refused(media: str) -> None:
    with pytest.raises(InputError) as refused:
        decode_traces(body(IDS), media)
    assert refused.value.code == "unsupported_content_type"


@pytest.mark.parametrize(
    "members",
    [
        {"name": 5},
        {"name": ["x"]},
        {"kind": "SPAN_KIND_UNHEARD_OF"},
        {"kind": True},
        {"startTimeUnixNano": "1e3"},
        {"startTimeUnixNano": "1_000"},
        {"startTimeUnixNano": " 1"},
        {"startTimeUnixNano": 1.5},
        {"traceId": "zz" * 16},
        {"traceId": "5B8EFFF7 98038103D269B633813FC60C"},
        {"attributes": {}},
        {"attributes": [None]},
        {"attributes": [{"key": "k", "value": "text"}]},
        {"attributes": [{"key": "k", "value": {"boolValue": "true"}}]},
        {"attributes": [{"key": "k", "value": {"doubleValue": "nan"}}]},
        {"attributes": [{"key": "k", "value": {"doubleValue": "one"}}]},
        {"attributes": [{"key": "k", "value": {"doubleValue": "1 "}}]},
        {"attributes": [{"key": "k", "value": {"doubleValue": "1_0"}}]},
        {"attributes": [{"key": "k", "value": {"doubleValue": True}}]},
        {"attributes": [{"key": "k", "value": {"bytesValue": "a?b"}}]},
        {"attributes": [{"key": "k", "value": {"bytesValue": 5}}]},
        {"attributes": [{"key": "k", "value": {"stringValue": "a", "intValue": "1"}}]},
        {"status": []},
        {"events": [{"timeUnixNano": -1}]},
        {"flags": 2**32},
        {"startTimeUnixNano": str(2**64)},
        {"startTimeUnixNano": 2**64},
    ],
)
def test_a_wrong_type_or_range_refuses_that_item_by_name_and_nothing_else(members: dict[str, Any]) -> None:
    text = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [IDS, IDS | members, IDS | {"name": "last"}]}]}]})
    decoded = decode_traces(text.encode(), JSON)
    (refused,) = decoded.refused
    assert refused.item == "resourceSpans[0].scopeSpans[0].spans[1]"
    assert refused.code in {"bad_type", "out_of_range"}
    mapped = map_decoded(decoded)
    assert len(mapped.items) == 2
    assert mapped.refused == [refused]


def test_a_wrong_resource_refuses_the_items_below_it_each_by_name() -> None:
    request = {
        "resourceSpans": [
            {"resource": {"attributes": 5}, "scopeSpans": [{"spans": [IDS, IDS]}]},
            {"scopeSpans": [{"schemaUrl": 5, "spans": [IDS]}]},
            {"schemaUrl": "https://example.com/1", "scopeSpans": [{"spans": [IDS]}]},
        ]
    }
    decoded = decode_traces(orjson.dumps(request), JSON)
    assert [refused.item for refused in decoded.refused] == [
        "resourceSpans[0].scopeSpans[0].spans[0]",
        "resourceSpans[0].scopeSpans[0].spans[1]",
        "resourceSpans[1].scopeSpans[0].spans[0]",
    ]
    assert len(map_decoded(decoded).items) == 1


def test_the_item_is_named_by_its_place_even_behind_refused_ones() -> None:
    decoded = decode_traces(body(IDS | {"name": 1}, IDS | {"spanId": ""}), JSON)
    mapped = map_decoded(decoded)
    assert [(refused.item[-8:], refused.code) for refused in mapped.refused] == [
        ("spans[0]", "bad_type"),
        ("spans[1]", "bad_span_id"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        '{"resourceSpans":[],"resourceSpans":[]}',
        '{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a","name":"b"}]}]}]}',
        '{"resourceSpans":[{"scopeSpans":[{"spans":[{"unknown":{"x":1,"\\u0078":2}}]}]}]}',
    ],
)
def test_a_key_that_stands_twice_refuses_the_request(text: str) -> None:
    with pytest.raises(InputError) as refused:
        decode_traces(text.encode(), JSON)
    assert refused.value.code == "duplicate_key"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b'{"resourceSpans":{}}',
        b'{"resourceSpans":[5]}',
        b'{"resourceSpans":[{"scopeSpans":5}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":"x"}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":NaN}]}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"\xff"}]}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"\\ud800"}]}]}]}',
        b"[" * 100_000,
        b'{"resourceSpans":' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"resourceSpans":[],"x":' + b"1" * 5_000 + b"}",
    ],
)
def test_what_is_no_json_or_no_request_is_bad_data(text: bytes) -> None:
    with pytest.raises(InputError) as refused:
        decode_traces(text, JSON)
    assert refused.value.code == "bad_json"


def test_an_empty_request_is_lawful() -> None:
    assert decode_traces(b"{}", JSON).groups == []
    assert decode_logs(b'{"resourceLogs":[{"scopeLogs":[{}]}]}', JSON).groups[0].items == []


def test_a_request_of_the_other_signal_is_named_as_such() -> None:
    with pytest.raises(InputError) as refused:
        decode_logs(body(IDS), JSON)
    assert refused.value.code == "wrong_signal"


def test_nesting_is_refused_for_its_item_only() -> None:
    value: dict[str, Any] = {"intValue": 1}
    for _ in range(32):
        value = {"arrayValue": {"values": [value]}}
    deep = IDS | {"attributes": [{"key": "deep", "value": value}]}
    lawful = IDS | {"attributes": [{"key": "deep", "value": value["arrayValue"]["values"][0]}]}
    decoded = decode(TRACES, body(deep, lawful), JSON)
    (refused,) = decoded.refused
    assert (refused.code, refused.limit) == ("nesting_too_deep", "nesting=32")
    assert len(map_decoded(decoded).items) == 1
