"""What a value in a leaf may be: tokens above all."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core import rules
from counterfoil.core.rules import is_token

UUID = "550e8400-e29b-41d4-a716-446655440000"

TOKENS = [
    "a",
    "0",
    "lookup_order",
    "gpt-4o:2024-08-06",
    "a" * 128,
    "123456",
    "123456-123456",
    "v1.2.3+build/4:x",
    UUID,
    UUID.upper(),
    "12345678-1234-1234-1234-123456789012",
    f"conv-{UUID}",
    f"thread_{UUID}:2",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "01arz3ndektsv4rrffq69g5fav",
    "01234567890123456789ABCDEF",
    "00f067aa0ba902b7",
    "1234567890abcde0",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "run-1234567812345678123456781234567a",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "call_ABC123def456",
]
NOT_TOKENS = [
    "",
    "-a",
    "_a",
    " a",
    "a b",
    "a\n",
    "ä",
    "a\u0660",
    "٣",
    "a" * 129,
    "a@example.com",
    "a,b",
    "1234567",
    "tel:4915112345678",
    "+4915112345678",
    "order-1234567",
    "4111111111111111",  # a card number has as many digits as a span id
    "41111111111111111111111111111111",
    "1" * 26,
    "1" * 64,
    "4111-1111111-1111",
    f"{UUID}-1234567",
    f"{UUID}x1234567",
    f"x{UUID}".replace("e29b", "1234567"),
    "1234567g90abcdef",
    "81234567ZZZZZZZZZZZZZZZZZZ",  # 26 characters, but no ULID begins with 8
    "0123456789abcdef0",  # 17 hex digits
    "x00f067aa01234567",  # 16 hex digits, but not set apart
]


@pytest.mark.parametrize("value", TOKENS)
def test_random_ids_names_and_versions_are_tokens(value: str) -> None:
    assert is_token(value)


@pytest.mark.parametrize("value", [*NOT_TOKENS, None, 1, True, b"a", ["a"]], ids=repr)
def test_words_numbers_of_people_and_anything_else_are_no_tokens(value: object) -> None:
    assert not is_token(value)


def token_model(value: str) -> bool:
    """The rule in other words: split at the punctuation, strike random ids, look for seven digits in what is left."""
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}", value):
        return False
    uuid = re.compile("(?<![A-Za-z0-9])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![A-Za-z0-9])")
    for word in re.split("[._:/+-]", uuid.sub(".", value)):
        is_hex = len(word) in (16, 32, 64) and set(word) <= set("0123456789abcdefABCDEF")
        is_ulid = len(word) == 26 and word[0] in "01234567" and not set(word.upper()) & set("ILOU")
        if (is_hex or is_ulid) and not word.isdigit():
            continue
        if re.search("[0-9]{7}", word):
            return False
    return True


PIECES = st.sampled_from(
    [*TOKENS[:12], "1234567", "123456", "-", ".", "_", ":", "/", "+", "x", "00f067aa0ba902b7", "4111111111111111", UUID]
)


@given(st.lists(PIECES, max_size=5).map("".join) | st.text("0123456789abcdefXYZ-._", max_size=40))
def test_the_token_rule_agrees_with_its_model(value: str) -> None:
    assert is_token(value) is token_model(value)


GOOD: list[tuple[rules.Rule, list[Any]]] = [
    (rules.BOOLEAN, [True, False]),
    (rules.INTEGER, [0, 1, 2**53 - 1]),
    (rules.DECIMAL, ["0", "1", "0.5", "0.000000001", "0.123456789"]),
    (rules.ORIGIN, ["example.com/log", "a", "localhost:8080/x~y_z", "a" * 255]),
    (rules.TRACE_ID, ["4bf92f3577b34da6a3ce929d0e0e4736", "0" * 31 + "1"]),
    (rules.SPAN_ID, ["00f067aa0ba902b7"]),
    (rules.FIELD, ["a", "rationale", "input_2", "a" * 64]),
    (rules.HASH, ["A" * 43 + "=", "+/" * 21 + "8="]),
    (rules.FIELD_DIGEST, ["A" * 43, "-_" * 21 + "8"]),
    (rules.DIGEST, ["A" * 43, "A" * 43 + "=", "0" * 64]),
    (rules.VKEY, ["example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"]),
    (rules.TIME_US, ["2026-11-22T10:48:39.000123Z"]),
    (rules.TIME_NS, ["2026-11-22T10:48:39.000123456Z"]),
    (rules.RANGES, [[[0, 0]], [[0, 3], [4, 4]], [[5, 9], [11, 2**53 - 1]]]),
]
BAD: list[tuple[rules.Rule, list[Any]]] = [
    (rules.BOOLEAN, [0, 1, "true", None]),
    (rules.INTEGER, [-1, 2**53, True, 1.0, "1", None]),
    (
        rules.DECIMAL,
        ["", "0.", ".5", "0.0", "0.50", "1.0", "1.1", "2", "-0.5", "0.1234567891", "1e-3", 0, 1, 0.5, "0.5\n"],
    ),
    (rules.ORIGIN, ["", "a b", "https+x", "/a", "ä", "a" * 256, 1, "a\n"]),
    (rules.TRACE_ID, ["0" * 32, "4BF92F3577B34DA6A3CE929D0E0E4736", "4bf9", 1]),
    (rules.SPAN_ID, ["0" * 16, "00f067aa0ba902b", 1]),
    (rules.FIELD, ["", "A", "1a", "_a", "a-b", "a" * 65, 1]),
    (rules.HASH, ["A" * 43, "A" * 42 + "B=", "A" * 44, "-_" * 21 + "8=", 1]),
    (rules.FIELD_DIGEST, ["A" * 43 + "=", "A" * 42 + "B", "+/" * 21 + "8", 1]),
    (rules.DIGEST, ["0" * 63, "F" * 64, "", 1]),
    (rules.VKEY, ["", "a+b", "a b+530d903a+AAAA", 1]),
    (rules.TIME_US, ["2026-11-22T10:48:39Z", "2026-02-30T10:48:39.000123Z", "2026-11-22T10:48:39.000123456Z", 1]),
    (rules.TIME_NS, ["2026-11-22T10:48:39.000123Z", "2600-11-22T10:48:39.000123456Z", 1]),
    (
        rules.RANGES,
        [[], [[1, 0]], [[0]], [[0, 1, 2]], [[0, 3], [3, 4]], [[4, 4], [0, 3]], [[-1, 0]], [[0, 2**53]], [[True, 1]]],
    ),
    (rules.RANGES, [[["0", "1"]], [(0, 1)], [1], [[2 * i, 2 * i] for i in range(1025)], "all", None]),
]


@pytest.mark.parametrize(
    ("rule", "value"), [(rule, value) for rule, values in GOOD for value in values], ids=lambda v: str(v)[:40]
)
def test_a_rule_accepts_what_it_says(rule: rules.Rule, value: Any) -> None:
    assert rule.accepts(value)


@pytest.mark.parametrize(
    ("rule", "value"), [(rule, value) for rule, values in BAD for value in values], ids=lambda v: str(v)[:40]
)
def test_a_rule_accepts_nothing_else_and_says_what_it_wants(rule: rules.Rule, value: Any) -> None:
    assert not rule.accepts(value)
    assert rule.explain(value, "key") == f"key must be {rule.wanted}"


def test_an_enumeration_also_has_other_unless_it_is_closed() -> None:
    risk = rules.enum("low", "high")
    assert [value for value in ("low", "high", "other", "medium", "", 1, None, ["low"]) if risk.accepts(value)] == [
        "low",
        "high",
        "other",
    ]
    assert risk.values == ("low", "high", "other")
    assert not rules.enum("ok", other=False).accepts("other")


def test_composed_rules_explain_the_innermost_fault() -> None:
    inner = rules.mapping_of({"id": rules.TOKEN, "n": rules.INTEGER}, "id")
    outer = rules.mapping_of({"items": rules.list_of(inner, 2), "table": rules.table_of(rules.FIELD, rules.INTEGER, 2)})
    assert outer.accepts({"items": [{"id": "a"}, {"id": "b", "n": 1}], "table": {"a": 1}})
    for value, fault in [
        ({"items": [{"id": "a"}, {"n": 1}]}, "x.items[1].id is missing"),
        ({"items": [{"id": "a", "m": 1}]}, "x.items[0].m is not a key of this kind of record"),
        ({"items": [{"id": "a", "n": -1}]}, f"x.items[0].n must be {rules.INTEGER.wanted}"),
        ({"items": []}, "x.items must be an array of 1 to 2 items"),
        ({"items": [{"id": "a"}] * 3}, "x.items must be an array of 1 to 2 items"),
        ({"items": {"id": "a"}}, "x.items must be an array of 1 to 2 items"),
        ({}, "x must be an object with keys among items, table"),
        ([], "x must be an object with keys among items, table"),
        ({"table": {}}, f"x.table must be {outer.keys['table'].wanted if outer.keys else ''}"),
        ({"table": {"a": 1, "b": 2, "c": 3}}, f"x.table must be {outer.keys['table'].wanted if outer.keys else ''}"),
        ({"table": {"A": 1}}, f"x.table must be {outer.keys['table'].wanted if outer.keys else ''}"),
        ({"table": {"a": "1"}}, f"x.table must be {outer.keys['table'].wanted if outer.keys else ''}"),
    ]:
        assert not outer.accepts(value)
        assert outer.explain(value, "x") == fault
