"""A set of numbers as rising ranges that never touch: one range where a million numbers came in order. Pure.

A hostile producer can make every second number a range of its own, so a set has a limit: what would need one range
more than that is not kept, and `add` says so. Whoever asks a limited set is told that it is not exact.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

MAX_RANGES = 4_096
"""Ranges of one producer that are kept, of each sort."""

Range = tuple[int, int]
"""First and last, both in it."""


class Ranges:
    """Numbers from 0. Adding what is in it changes nothing."""

    __slots__ = ("_firsts", "_lasts", "_limit")

    def __init__(self, ranges: Iterable[Range] = (), limit: int = MAX_RANGES) -> None:
        """`ranges` rise and never touch."""
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._limit = limit
        for first, last in ranges:
            self._firsts.append(first)
            self._lasts.append(last)

    def __iter__(self) -> Iterator[Range]:
        return zip(self._firsts, self._lasts, strict=True)

    def __len__(self) -> int:
        """How many ranges there are."""
        return len(self._firsts)

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self._lasts, number)
        return at < len(self._lasts) and self._firsts[at] <= number

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    @property
    def highest(self) -> int:
        """The highest number; -1 where there is none."""
        return self._lasts[-1] if self._lasts else -1

    def add(self, first: int, last: int) -> bool:
        """Add the numbers from `first` to `last`; False, and nothing is changed, where that takes a range too many."""
        firsts, lasts = self._firsts, self._lasts
        if lasts and first == lasts[-1] + 1:  # in order, as nearly always
            lasts[-1] = last
            return True
        low = bisect_left(lasts, first - 1)
        high = bisect_right(firsts, last + 1)
        if low == high:
            if len(firsts) >= self._limit:
                return False
            firsts.insert(low, first)
            lasts.insert(low, last)
            return True
        firsts[low:high] = [min(first, firsts[low])]
        lasts[low:high] = [max(last, lasts[high - 1])]
        return True


def union(one: Iterable[Range], other: Iterable[Range]) -> list[Range]:
    """The numbers that are in either, as rising ranges that never touch."""
    merged: list[Range] = []
    for first, last in sorted([*one, *other]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def gaps(ranges: Sequence[Range], low: int, high: int) -> list[Range]:
    """The numbers from `low` to `high` that are in none of `ranges` (which rise and never touch)."""
    found: list[Range] = []
    at = low
    for first, last in ranges:
        if first > high:
            break
        if first > at:
            found.append((at, first - 1))
        at = max(at, last + 1)
    if at <= high:
        found.append((at, high))
    return found


def difference(ranges: Sequence[Range], other: Sequence[Range]) -> list[Range]:
    """The numbers that are in `ranges` and not in `other` (both rise and never touch)."""
    found: list[Range] = []
    at = 0
    for first, last in ranges:
        low = first
        while at < len(other) and other[at][0] <= last:
            begin, end = other[at]
            if begin > low:
                found.append((low, begin - 1))
            low = max(low, end + 1)
            if end > last:
                break  # it may reach into the next range too
            at += 1
        if low <= last:
            found.append((low, last))
    return found


def size(ranges: Iterable[Range]) -> int:
    """How many numbers there are in ranges that never touch."""
    return sum(last - first + 1 for first, last in ranges)


def missing_up_to(ranges: Sequence[Range], bounds: Sequence[int]) -> list[int]:
    """For each bound how many of the numbers from 0 to it are in none of `ranges` (which rise and never touch)."""
    lasts = [last for _, last in ranges]
    before = list(accumulate((last - first + 1 for first, last in ranges), initial=0))
    missing = []
    for bound in bounds:
        at = bisect_right(lasts, bound)
        there = before[at]
        if at < len(ranges) and ranges[at][0] <= bound:
            there += bound - ranges[at][0] + 1
        missing.append(bound + 1 - there)
    return missing
