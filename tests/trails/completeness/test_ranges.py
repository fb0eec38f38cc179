"""Sets of numbers as ranges, against sets of numbers."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.trails.completeness.ranges import MAX_RANGES, Ranges, difference, gaps, missing_up_to, size, union

pairs = st.tuples(st.integers(0, 40), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def naive(ranges: list[tuple[int, int]]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


def as_ranges(numbers: set[int]) -> list[tuple[int, int]]:
    """By definition: a range begins where the number before is not there."""
    firsts = sorted(number for number in numbers if number - 1 not in numbers)
    lasts = sorted(number for number in numbers if number + 1 not in numbers)
    return list(zip(firsts, lasts, strict=True))


@given(st.lists(pairs, max_size=30))
def test_ranges_hold_what_a_set_holds_and_rise_without_touching(added: list[tuple[int, int]]) -> None:
    ranges, numbers = Ranges(), naive(added)
    for first, last in added:
        assert ranges.add(first, last)
    assert list(ranges) == as_ranges(numbers)
    assert ranges.count == len(numbers)
    assert ranges.highest == max(numbers, default=-1)
    assert [number for number in range(60) if number in ranges] == sorted(numbers)


@given(st.lists(pairs, max_size=12), st.lists(pairs, max_size=12), st.integers(0, 20), st.integers(0, 60))
def test_union_and_gaps_are_those_of_sets(
    one: list[tuple[int, int]], other: list[tuple[int, int]], low: int, high: int
) -> None:
    both = naive(one) | naive(other)
    merged = union(one, other)
    assert merged == as_ranges(both)
    assert size(merged) == len(both)
    assert gaps(merged, low, high) == as_ranges(set(range(low, high + 1)) - both)
    assert missing_up_to(merged, [high, low, -1]) == [len(set(range(bound + 1)) - both) for bound in (high, low, -1)]


@given(st.lists(pairs, max_size=12), st.lists(pairs, max_size=12))
def test_the_difference_is_that_of_sets(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    left, right = naive(one), naive(other)
    assert difference(as_ranges(left), as_ranges(right)) == as_ranges(left - right)


@given(st.lists(pairs, max_size=40), st.integers(1, 4))
def test_a_full_set_takes_what_needs_no_further_range_and_refuses_the_rest_unchanged(
    added: list[tuple[int, int]], limit: int
) -> None:
    ranges = Ranges(limit=limit)
    numbers: set[int] = set()
    for first, last in added:
        wanted = numbers | naive([(first, last)])
        fits = len(as_ranges(wanted)) <= limit
        assert ranges.add(first, last) == fits
        numbers = wanted if fits else numbers
        assert list(ranges) == as_ranges(numbers)


def test_a_million_alternating_numbers_take_no_more_room_than_the_limit() -> None:
    ranges = Ranges()
    refused = sum(not ranges.add(number, number) for number in range(0, 1_000_000, 2))
    assert len(ranges) == MAX_RANGES
    assert refused == 500_000 - MAX_RANGES


def test_numbers_shuffled_in_windows_end_as_one_range() -> None:
    numbers = list(range(20_000))
    shuffled = random.Random(7)
    for at in range(0, len(numbers), 500):
        window = numbers[at : at + 500]
        shuffled.shuffle(window)
        numbers[at : at + 500] = window
    ranges = Ranges()
    assert all(ranges.add(number, number) for number in numbers)
    assert list(ranges) == [(0, 19_999)]


def test_the_largest_number_of_a_leaf_is_a_number_like_any_other() -> None:
    ranges = Ranges()
    assert ranges.add(2**53 - 1, 2**53 - 1)
    assert gaps(list(ranges), 0, 2**53 - 1) == [(0, 2**53 - 2)]
    assert missing_up_to(list(ranges), [2**53 - 1]) == [2**53 - 1]
