"""What an erasure or expiry explains: exactly the records and fields that it names, and only those before it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core.removal import covers


def leaf(fields: Any = "all", kind: str = "erasure", ranges: Any = ((10, 12), (20, 20), (30, 39))) -> dict[str, Any]:
    return {"kind": kind, "seq": 50, kind: {"ranges": [list(pair) for pair in ranges], "fields": fields}}


@pytest.mark.parametrize("kind", ["erasure", "expiry"])
def test_both_ends_of_every_range_are_covered_and_nothing_between_them(kind: str) -> None:
    covered = [seq for seq in range(50) if covers(leaf(kind=kind), seq, "rationale")]
    assert covered == [10, 11, 12, 20, *range(30, 40)]


def test_only_the_fields_that_are_named_are_covered() -> None:
    assert covers(leaf(["inputs", "rationale"]), 20, "rationale")
    assert not covers(leaf(["inputs", "rationale"]), 20, "output")
    assert not covers(leaf(["inputs"]), 21, "inputs")


def test_a_record_that_names_no_fields_covers_nothing() -> None:
    without = leaf()
    del without["erasure"]["fields"]
    assert not covers(without, 20, "rationale")


@pytest.mark.parametrize("kind", ["redaction", "hold"])
def test_other_kinds_with_ranges_explain_no_absence(kind: str) -> None:
    assert not covers(leaf(kind=kind), 20, "rationale")


def test_a_record_covers_neither_itself_nor_what_comes_after_it() -> None:
    wide = leaf(ranges=[(0, 99)])
    assert [seq for seq in range(100) if covers(wide, seq, "a")] == list(range(50))


@given(st.lists(st.integers(0, 60), min_size=2, max_size=20, unique=True), st.integers(0, 60))
def test_looking_up_a_range_finds_what_reading_them_all_finds(ends: list[int], seq: int) -> None:
    ends = sorted(ends)
    ranges = list(zip(ends[::2], ends[1::2], strict=False))
    expected = any(first <= seq <= last for first, last in ranges) and seq < 50
    assert covers(leaf(ranges=ranges), seq, "a") is expected
