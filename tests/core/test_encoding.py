"""Encodings take exactly one spelling of each value."""

import base64
import json
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core import encoding
from counterfoil.core.errors import EvidenceError, InputError

MAX_INT = 2**53 - 1


def restricted_json(keys: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[object]:
    """Values in the domain of RECORD 1, objects on top."""
    keys = keys or st.text(st.characters(max_codepoint=127), min_size=0, max_size=8)
    text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
    leaves = text | st.booleans() | st.integers(-MAX_INT, MAX_INT)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, min_size=1, max_size=4) | st.dictionaries(keys, inner, min_size=1, max_size=4),
        max_leaves=20,
    )


def jcs(value: object) -> str:
    """RFC 8785 straight from its text, for the restricted domain: sections 3.2.2.2 (strings) and 3.2.3 (sorting)."""
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        short = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
        return '"' + "".join(short.get(ord(c), f"\\u{ord(c):04x}" if c < " " else c) for c in value) + '"'
    if isinstance(value, list):
        return "[" + ",".join(map(jcs, value)) + "]"
    assert isinstance(value, dict)
    keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
    return "{" + ",".join(f"{jcs(key)}:{jcs(value[key])}" for key in keys) + "}"


@given(st.binary())
def test_every_byte_string_survives_base64_base64url_and_hex(data: bytes) -> None:
    assert encoding.decode_base64(encoding.encode_base64(data)) == data
    assert encoding.decode_base64url(encoding.encode_base64url(data)) == data
    assert encoding.decode_hex(data.hex(), len(data)) == data
    assert encoding.encode_base64(data) == base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "text", ["A", "AA", "AA=", "AAA", "AB==", "AA==\n", " AA==", "AA==AA==", "AA-_", "ÄA==", "=", "A A="]
)
def test_base64_has_one_spelling(text: str) -> None:
    with pytest.raises(EvidenceError, match="encoding"):
        encoding.decode_base64(text)


@pytest.mark.parametrize("text", ["A", "AA==", "AB", "AA+/", "A\n", " AAA", "ÄA", "AAAAA", "A=A"])
def test_base64url_has_one_spelling(text: str) -> None:
    with pytest.raises(EvidenceError, match="encoding"):
        encoding.decode_base64url(text)


@pytest.mark.parametrize("text", ["", "0", "0A", "zz", "00ff", " 0", "é0"])
def test_hex_is_lower_case_and_of_the_size_asked_for(text: str) -> None:
    with pytest.raises(EvidenceError, match="1 bytes of lower-case hex"):
        encoding.decode_hex(text, 1)


@given(st.integers(0, 2**63 - 1))
def test_decimals_round_trip(value: int) -> None:
    assert encoding.parse_decimal(str(value)) == value


@pytest.mark.parametrize(
    "text", ["", "00", "01", "+1", "-0", "-1", "1_000", " 1", "1\n", "1.0", "٣", "9223372036854775808", "1" * 30]
)
def test_decimals_have_one_spelling_and_a_limit(text: str) -> None:
    with pytest.raises(EvidenceError):
        encoding.parse_decimal(text)


@given(st.integers(0, encoding.MAX_TIME_US))
def test_microseconds_round_trip_and_agree_with_datetime(us: int) -> None:
    text = encoding.format_time_us(us)
    assert encoding.parse_time_us(text) == us
    assert encoding.is_time_us(text)
    whole, micro = divmod(us, 1_000_000)
    expected = datetime(1970, 1, 1, tzinfo=UTC).toordinal() * 86_400 + whole
    assert (
        datetime.fromisoformat(text).replace(microsecond=micro).isoformat(timespec="microseconds")
        == text[:-1] + "+00:00"
    )
    assert expected >= 0


@given(st.integers(0, encoding.MAX_TIME_NS))
def test_nanoseconds_round_trip(ns: int) -> None:
    assert encoding.parse_time_ns(encoding.format_time_ns(ns)) == ns
    assert encoding.is_time_ns(encoding.format_time_ns(ns))


def test_times_print_as_in_the_specification() -> None:
    assert encoding.format_time_us(0) == "1970-01-01T00:00:00.000000Z"
    assert encoding.format_time_us(encoding.MAX_TIME_US) == "9999-12-31T23:59:59.999999Z"
    assert encoding.format_time_ns(951_782_400_000_000_001) == "2000-02-29T00:00:00.000000001Z"
    assert encoding.format_time_ns(encoding.MAX_TIME_NS) == "2554-07-21T23:34:33.709551615Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-22T10:48:39Z",
        "2026-11-22T10:48:39.00012Z",
        "2026-11-22T10:48:39.0001234Z",
        "2026-11-22T10:48:39.000123+00:00",
        "2026-11-22T10:48:39.000123z",
        "2026-11-22t10:48:39.000123Z",
        "2026-11-22 10:48:39.000123Z",
        "2026-02-29T10:48:39.000123Z",
        "2026-13-01T10:48:39.000123Z",
        "2026-00-01T10:48:39.000123Z",
        "0000-01-01T10:48:39.000123Z",
        "1969-12-31T23:59:59.999999Z",
        "2026-11-22T24:00:00.000000Z",
        "2026-11-22T23:59:60.000000Z",
        "2026-11-22T10:60:00.000000Z",
        "2026-11-22T10:48:39.000123Z\n",
        "٢٠٢٦-11-22T10:48:39.000123Z",
    ],
)
def test_a_time_has_one_spelling_and_exists(text: str) -> None:
    with pytest.raises(EvidenceError):
        encoding.parse_time_us(text)
    assert not encoding.is_time_us(text)
    with pytest.raises(EvidenceError):
        encoding.parse_time_ns(text.replace("Z", "000Z"))
    assert not encoding.is_time_ns(text.replace("Z", "000Z"))


def test_times_out_of_range_are_refused() -> None:
    for us in (-1, encoding.MAX_TIME_US + 1):
        with pytest.raises(InputError, match="1970 to 9999"):
            encoding.format_time_us(us)
    for ns in (-1, encoding.MAX_TIME_NS + 1):
        with pytest.raises(InputError, match="2\\^64-1"):
            encoding.format_time_ns(ns)
    with pytest.raises(EvidenceError, match="2\\^64-1"):
        encoding.parse_time_ns("2554-07-21T23:34:33.709551616Z")
    assert not encoding.is_time_ns("2554-07-21T23:34:33.709551616Z")


@given(restricted_json())
def test_canonical_json_is_rfc_8785_and_what_the_write_path_prints(value: object) -> None:
    data = encoding.format_json(value)
    assert data.decode() == jcs(value)
    assert data == orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    assert encoding.parse_json(data, limit=len(data), depth=64) == value


def test_canonical_json_escapes_as_rfc_8785_does() -> None:
    value = {"\x01": '€$\u000f\nA\'B"\\"/\x7f\u2028😀', "a": [True, False, -MAX_INT, 0, MAX_INT]}
    expected = (
        '{"\\u0001":"€$\\u000f\\nA\'B\\"\\\\\\"/\x7f\u2028😀","a":[true,false,-9007199254740991,0,9007199254740991]}'
    )
    assert encoding.format_json(value) == expected.encode()
    assert orjson.dumps(value, option=orjson.OPT_SORT_KEYS) == expected.encode()


class Text(str):
    """A string that could print as something else."""


NOT_CANONICAL: list[object] = [
    None,
    1.0,
    float("nan"),
    "",
    [],
    {},
    {"a": None},
    {"a": []},
    [{}],
    [""],
    {"ä": 1},
    {1: 1},
    2**53,
    -(2**53),
    (1,),
    b"x",
    "\ud800",
    {"\ud800": 1},
    Text("x"),
    [[0.5]],
]


@pytest.mark.parametrize("value", NOT_CANONICAL, ids=repr)
def test_values_outside_the_restricted_domain_are_not_printed(value: object) -> None:
    with pytest.raises(InputError) as caught:
        encoding.format_json(value)
    assert caught.value.code == "not_canonical_json"


def test_nesting_is_limited_when_printing_and_reading() -> None:
    value: object = 1
    for _ in range(encoding.MAX_JSON_DEPTH):
        value = [value]
    data = encoding.format_json(value)
    with pytest.raises(InputError, match="nesting"):
        encoding.format_json([value])
    assert encoding.parse_json(data, limit=1000, depth=64) == value
    with pytest.raises(EvidenceError, match="nesting"):
        encoding.parse_json(data, limit=1000, depth=63)
    with pytest.raises(EvidenceError):
        encoding.parse_json(b"[" * 100_000 + b"1" + b"]" * 100_000, limit=1_000_000, depth=64)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" 1",
        b"1 ",
        b"1\n",
        b"01",
        b"-0",
        b"1.0",
        b"1e3",
        b"0.5",
        b"null",
        b"NaN",
        b"Infinity",
        b'""',
        b"[]",
        b"{}",
        b"[1, 2]",
        b'{"a": 1}',
        b'{"b":1,"a":1}',
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'"\\u0041"',
        b'"\\/"',
        b'"\\u000A"',
        b'"\\u000a"',
        b'"\x01"',
        b'"\\ud800"',
        b'"\\ud83d\\ude00"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf1",
        b"9007199254740992",
        b"-9007199254740992",
        b"1" * 5000,
        b'{"\xc3\xa4":1}',
        b"[1",
        b"tru",
        b"1]",
        b'{"a":[null]}',
    ],
)
def test_json_that_is_not_canonical_is_refused(data: bytes) -> None:
    with pytest.raises(EvidenceError) as caught:
        encoding.parse_json(data, limit=10_000, depth=8)
    assert caught.value.check == "encoding"


def test_json_over_the_limit_is_refused_by_name() -> None:
    with pytest.raises(EvidenceError, match="7 bytes is over the limit of 6"):
        encoding.parse_json(b'{"a":1}', limit=6, depth=8)


@given(restricted_json(), st.data())
def test_any_other_spelling_of_a_value_is_refused(value: object, data: st.DataObject) -> None:
    printed = encoding.format_json(value)
    other = json.dumps(
        value, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.sampled_from([None, 1]))
    ).encode()
    if other != printed:
        with pytest.raises(EvidenceError):
            encoding.parse_json(other, limit=len(other), depth=64)
