"""Patterns of leaves: whatever they match is a leaf that the long way takes too, and the usual leaf is matched."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core import schema
from counterfoil.core.encoding import encode_base64, load_canonical
from counterfoil.core.errors import EvidenceError
from counterfoil.core.pattern import leaf_pattern, named_kind
from counterfoil.core.record import FIRST_PREV, check_record, format_record, parse_record, read_usual
from tests.core.test_record import example, leaves

NEVER = {"erasure", "expiry", "genesis", "redaction"}
"""Kinds with a required key that no pattern says."""


def long_way(data: bytes) -> Any:
    """The leaf by its table, without patterns; None where it is none."""
    try:
        leaf = load_canonical(data, limit=schema.MAX_LEAF_BYTES)
        check_record(leaf)
    except EvidenceError:
        return None
    return leaf


def usual(**more: Any) -> dict[str, Any]:
    leaf: dict[str, Any] = {
        "v": 1,
        "log": "example.com/log",
        "seq": 7,
        "prev": encode_base64(bytes(range(32))),
        "recorded_at": "2026-11-22T10:48:39.000123Z",
        "kind": "decision",
        "source": "otlp:logs",
        "writer": "k-1",
        "mapping": {"name": "counterfoil", "version": "1"},
        "content": {"input": "A" * 43, "rationale": "B" * 42 + "A"},
        "decision": {"outcome": "deny", "confidence": "0.65", "policy": {"id": "R-12", "digest": "A" * 43}},
    }
    return leaf | more


@pytest.mark.parametrize("kind", sorted(schema.KINDS))
def test_each_kind_has_a_pattern_unless_no_pattern_says_what_it_needs(kind: str) -> None:
    assert (leaf_pattern(kind) is None) == (kind in NEVER)


@given(leaves())
def test_what_a_pattern_reads_is_what_the_long_way_reads(leaf: dict[str, Any]) -> None:
    data = format_record(leaf)
    assert read_usual(data) in (None, leaf)
    assert parse_record(data) == leaf


def test_the_usual_leaf_of_every_kind_is_read_by_its_pattern() -> None:
    for kind in schema.KINDS - NEVER:
        leaf = example(kind)
        for key in ("key", "hold", "supersedes", "interaction", "agent", "name"):
            # What no pattern says: verifier keys, ranges; and tokens that the example gives digits in a row.
            leaf.pop(key, None) if key != kind else None
        if kind not in ("key", "hold"):
            leaf |= {"seq": max(leaf["seq"], 1), "prev": encode_base64(bytes(range(32)))}
            assert read_usual(format_record(leaf)) in (leaf, None)
    assert read_usual(format_record(usual())) == usual()


@pytest.mark.parametrize(
    "day", ["2024-02-28", "2026-01-29", "2026-04-30", "2026-12-31", "1970-01-01", "2499-12-31", "2026-10-30"]
)
def test_days_of_the_calendar_are_matched(day: str) -> None:
    leaf = usual(recorded_at=f"{day}T23:59:59.999999Z")
    assert read_usual(format_record(leaf)) == leaf


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recorded_at", "2024-02-29T00:00:00.000000Z"),
        ("recorded_at", "2500-01-01T00:00:00.000000Z"),
        ("seq", 2**53 - 1),
        ("subject", "550e8400-e29b-41d4-a716-446655440000"),
        ("writer", "0123456789abcdef"),
    ],
)
def test_what_a_pattern_leaves_out_is_read_the_long_way(key: str, value: Any) -> None:
    leaf = usual(**{key: value})
    data = format_record(leaf)
    assert read_usual(data) is None
    assert parse_record(data) == leaf


@pytest.mark.parametrize(
    "change",
    [
        (b'"seq":7', b'"seq":07'),
        (b'"seq":7', b'"seq":7.0'),
        (b'"seq":7', b'"seq":-7'),
        (b'"v":1', b'"v":2'),
        (b'"v":1', b'"v":1,"w":1'),
        (b'"v":1,', b'"v":1, '),
        (b',"writer":"k-1"', b""),
        (b'"writer":"k-1"', b'"writer":"1234567"'),
        (b'"writer":"k-1"', b'"writer":"k-1",'),
        (b'"writer":"k-1"', b'"writer":"\\u006b-1"'),
        (b'"recorded_at":"2026-11-22T', b'"recorded_at":"2026-11-31T'),
        (b'"recorded_at":"2026-11-22T', b'"recorded_at":"2025-02-29T'),
        (b'"recorded_at":"2026-11-22T', b'"recorded_at":"1969-12-31T'),
        (b'"source":"otlp:logs"', b'"source":"service"'),
        (b'"input":"', b'"rationale":"'),
        (b'"input":"', b'"zzz":"'),
        (b'"kind":"decision"', b'"kind":"fallback"'),
        (b'"kind":"decision"', b'"kind":"nothing"'),
        (b'"kind":"decision",', b""),
        (b'"decision":{', b'"decision":{,'),
        (b'"decision":{"confidence":"0.65"', b'"decision":{"confidence":"0.650"'),
        (encode_base64(bytes(range(32))).encode(), FIRST_PREV.encode()),
        (b'{"content":{', b'{"absent":{},"content":{'),
        (b'{"content":{', b'{"absent":{"b":"redacted","a":"redacted"},"content":{'),
        (b'"version":"1"}', b'"version":"1"},"producer":{"n":1}'),
        (b'"source":"otlp:logs"', b'"source":"otlp:logs","supersedes":7'),
    ],
    ids=lambda change: change[1].decode()[:40],
)
def test_no_pattern_takes_what_the_long_way_refuses(change: tuple[bytes, bytes]) -> None:
    data = format_record(usual())
    assert change[0] in data
    changed = data.replace(*change, 1)
    assert (read_usual(changed), long_way(changed)) == (None, None)


@given(st.integers(0, 2_000), st.binary(max_size=3), st.integers(0, 3))
def test_every_mutation_is_read_alike(place: int, put: bytes, cut: int) -> None:
    links = [{"span_id": "a" * 16, "trace_id": "b" * 32}]
    data = format_record(usual(agent={"id": "a-1", "name": "refunds"}, links=links))
    place %= len(data)
    changed = data[:place] + put + data[place + cut :]
    assert read_usual(changed) in (None, long_way(changed))


def test_members_moved_or_doubled_are_never_taken() -> None:
    rng = random.Random(5)
    members = [b'"%b":' % key.encode() for key in sorted(usual())]
    data = format_record(usual())
    for _ in range(200):
        one, other = rng.sample(members, 2)
        changed = data.replace(one, b"@", 1).replace(other, one, 1).replace(b"@", other, 1)
        assert read_usual(changed) in (None, long_way(changed))


def test_a_leaf_over_the_limit_is_not_looked_at() -> None:
    content = {f"f{number:03}": "A" * 43 for number in range(64)}
    links = [{"span_id": "a" * 16, "trace_id": "b" * 32}] * 32
    leaf = usual(content=content, links=links)
    data = format_record(leaf)
    assert read_usual(data) == leaf
    assert read_usual(data.replace(b'"outcome":"deny"', b'"outcome":"deny"' + b" " * 16_384)) is None


@pytest.mark.parametrize("data", [b"", b"{}", b'"kind":"', b'"kind":"decision', b'{"kind":"\xff"}'])
def test_bytes_without_a_kind_name_none(data: bytes) -> None:
    assert named_kind(data) in (None, "decision")
    assert read_usual(data) is None
