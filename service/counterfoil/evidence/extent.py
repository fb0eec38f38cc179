"""From a time range to a range of records: the first at or after `from`, the first at or after `to`.

`recorded_at` never decreases within a log, so a binary search over the leaves finds both with a few dozen reads, and
the records just outside show a reader that the range is not too narrow (borders, EVIDENCE 3).
"""

from __future__ import annotations

from collections.abc import Callable

from counterfoil.core.filter import Filter
from counterfoil.evidence.population import Extent


def find_extent(leaf_filter: Filter, tree_size: int, recorded_at: Callable[[int], str]) -> Extent:
    """The extent of a range under `leaf_filter` in a tree of `tree_size`; `recorded_at` reads one record's time.

    SPEC: EVIDENCE 3 - `from` inclusive, `to` exclusive. Times have one fixed form, so their order is that of the text.
    """
    bounds = {name: values[0] for name, values in leaf_filter.terms if name in ("from", "to")}
    a = _first_at_or_after(bounds["from"], tree_size, recorded_at) if "from" in bounds else 0
    b = _first_at_or_after(bounds["to"], tree_size, recorded_at) if "to" in bounds else tree_size
    # A range that ends before it begins selects nothing; it is shown as the empty range at its beginning.
    b = max(a, b)
    return Extent(a, b, before="from" in bounds and a > 0, after="to" in bounds and b < tree_size)


def _first_at_or_after(time: str, tree_size: int, recorded_at: Callable[[int], str]) -> int:
    low, high = 0, tree_size
    while low < high:
        middle = (low + high) // 2
        if recorded_at(middle) < time:
            low = middle + 1
        else:
            high = middle
    return low
