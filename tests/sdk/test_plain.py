"""Any value as plain data: what it says, bounded, or not at all."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from collections import OrderedDict, UserDict, namedtuple
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from pydantic import BaseModel

from counterfoil.sdk.encode import fill_value
from counterfoil.sdk.plain import MAX_DEPTH, MAX_VALUES, Unavailable, snapshot

LIMIT = 100_000


def any_value(value: Any) -> AnyValue:
    made = AnyValue()
    fill_value(made, value)
    return made


@dataclasses.dataclass
class Order:
    id: int
    tags: tuple[str, ...]


class Model(BaseModel):
    name: str
    at: datetime.date


class Colour(enum.Enum):
    RED = "red"


class Flag(enum.IntFlag):
    A = 1


Pair = namedtuple("Pair", "x y")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, None),
        (True, True),
        (2**63 - 1, 2**63 - 1),
        (2**70, str(2**70)),
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"ab"), b"ab"),
        (Colour.RED, "red"),
        (Flag.A, 1),
        (Order(1, ("a", "b")), {"id": 1, "tags": ["a", "b"]}),
        (Pair(1, 2), {"x": 1, "y": 2}),
        (Model(name="a", at=datetime.date(2026, 11, 22)), {"name": "a", "at": "2026-11-22"}),
        (OrderedDict({"a": 1}), {"a": 1}),
        (UserDict({"a": 1}), {"a": 1}),
        ({1: "a", (2, 3): "b"}, {"1": "a", "(2, 3)": "b"}),
        (frozenset({"a"}), ["a"]),
        (decimal.Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("/a/b"), "/a/b"),
        (..., "Ellipsis"),
        (Order, str(Order)),
    ],
)
def test_a_value_becomes_what_it_says(value: Any, wanted: Any) -> None:
    plain, size = snapshot(value, LIMIT)
    assert plain == wanted
    assert type(plain) is type(wanted)
    assert 0 < size <= LIMIT


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


class Endless(UserDict[str, str]):
    def items(self) -> Any:
        return ((str(n), "x" * 100) for n in range(10_000))


class Raises:
    def __str__(self) -> str:
        raise MemoryError


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("x" * (LIMIT + 1), "over the limit"),
        (["x" * 60_000] * 2, "over the limit"),
        (nested(MAX_DEPTH + 1), "nested deeper"),
        ([1] * (MAX_VALUES + 1), "more than"),
        ([[1] * 200] * 100, "limit|more than"),
        (2**5000, "integer of more than"),
        (Endless(), "limit"),
        (dict.fromkeys(range(MAX_VALUES + 1)), "more than"),
        (memoryview(bytes(LIMIT + 1)), "limit"),
        (Raises(), "cannot be read: MemoryError"),
        ({"a": Raises()}, "cannot be read"),
    ],
)
def test_what_is_beyond_a_bound_or_cannot_be_read_is_unavailable(value: Any, said: str) -> None:
    with pytest.raises(Unavailable, match=said):
        snapshot(value, LIMIT)


def test_nesting_up_to_the_bound_is_kept() -> None:
    assert snapshot(nested(MAX_DEPTH), LIMIT)[0] == nested(MAX_DEPTH)


def test_the_copy_shares_nothing_with_the_value() -> None:
    value = {"a": [1, {"b": 2}]}
    plain, _ = snapshot(value, LIMIT)
    value["a"][1]["b"] = 3  # type: ignore[index]  # a nested value of mixed types
    assert plain == {"a": [1, {"b": 2}]}


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(plain_values)
def test_every_plain_value_can_be_encoded_and_read_back(value: Any) -> None:
    plain, _ = snapshot(value, 1_000_000)
    encoded = any_value(plain)
    assert AnyValue.FromString(encoded.SerializeToString()) == encoded


def test_lone_surrogates_are_written_out() -> None:
    assert any_value("a\udc80b").string_value == "a\\udc80b"
    assert any_value("é€😀").string_value == "é€😀"
